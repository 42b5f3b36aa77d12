"""The whole loop for some cases: starting states, restarts, runs, and what they tell."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from statistics import median

import xarray as xr

from ..errors import UserError
from ..io.atomic import write_text
from ..io.states import write_states
from ..metrics.diagnostics import Diagnostics
from ..metrics.kernels import normalising_weights
from ..metrics.scoring import jsonable
from ..ocean.preflight import check
from ..pipeline import OceanLDM
from .analysis import compare, looked_at
from .first import run_first
from .plan import Plan
from .run import BASIN, Record, Run, integrate
from .starts import REST, TRUTH, Case, Roads, day_of
from .trajectory import MONTHS

SHOCK = {"of": "kinetic energy", "unit": "J"}


def spin_up(model: OceanLDM, store: xr.Dataset, cases: list[Case], plan: Plan, folder: Path, processes: int) -> dict:
    """Do what is missing in ``folder``, then describe it, JSON-able: ``settings[case]["roads"][road]["starts"]``."""
    for case in cases:
        if lacking := [k for k in dict.fromkeys([*BASIN.ranges, *model.parameters]) if k not in case.parameters]:
            raise UserError(f"{case.name} does not tell {', '.join(lacking)}: the basin cannot run without")
    roads = Roads(model, store)
    _keep_apart(roads, cases, plan, folder)
    run_first(cases, roads, plan, folder, processes)
    begun = {case.name: _starts(case, roads, plan, folder / "starts") for case in cases}
    runs = {case.name: _runs(case, begun[case.name], plan) for case in cases}
    every = [run for own in runs.values() for road in own.values() for run in road]
    integrate(every, folder / "runs", plan.regions, processes)
    volumes = roads.fields.volumes(roads.grid)
    weights = normalising_weights(roads.training[0].double(), volumes).numpy()
    settings = {c.name: _setting(c, begun[c.name], runs[c.name], plan, folder / "runs", weights) for c in cases}
    about = {k: getattr(plan, k) for k in ("members", "years", "cold_years", "control_years", "seed")}
    units = Diagnostics(roads.grid, roads.fields, plan.regions).units
    head = {"about": about, "units": units, "boxes": list(plan.regions.boxes), "shock": SHOCK}
    head["costs"] = _costs(settings)
    return jsonable({**head, "settings": settings})


def _keep_apart(roads: Roads, cases: list[Case], plan: Plan, folder: Path) -> None:
    """A folder holds one experiment: what would make other starts is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    about = roads.model.generator.about
    own = {"codec": about["codec"], "generator": about.get("sha256"), "states": roads.digest}
    own |= {"seed": plan.seed, "members": plan.members}
    own |= {"regions": asdict(plan.regions), "cases": {c.name: c.parameters | {"season": c.season} for c in cases}}
    if plan.first:
        own["first"] = plan.first
    path = folder / "plan.json"
    if path.exists() and json.loads(path.read_text()) != json.loads(json.dumps(own)):
        raise UserError(f"{folder} holds an experiment with another plan (see {path}): choose another --out")
    write_text(path, json.dumps(own, indent=1))


def _starts(case: Case, roads: Roads, plan: Plan, folder: Path) -> dict[str, dict]:
    """Files of starting states by road, with the seconds a state and what was seen before the start."""
    folder.mkdir(parents=True, exist_ok=True)
    out: dict[str, dict] = {}
    for road in plan.roads:
        if road == REST or (road == TRUTH and case.truth is None):
            continue
        path = folder / f"{case.name}-{road}.nc"
        if not path.exists():
            states, seconds = roads.states(road, case, plan.members, plan.noise(case))
            write_states(states.assign_attrs(seconds_a_state=seconds), path)
        with xr.open_dataset(path) as states:
            looked = check(states, BASIN.step, f"{case.name}, {road}: start")
            days = [day_of(s) for s in states.season.values]
            out[road] = {"path": path, "days": days, "seconds": float(states.attrs["seconds_a_state"])}
        out[road] |= looked_at(looked)
        if out[road]["warnings"]:
            warnings.warn(f"{case.name}, {road}: {'; '.join(out[road]['warnings'])}", stacklevel=2)
    return out


def _runs(case: Case, starts: dict[str, dict], plan: Plan) -> dict[str, list[Run]]:
    """Start number i of every road, and of every case, meets the same weather; the first one from the truth goes on as
    the control."""
    parameters = {k: case.parameters[k] for k in BASIN.ranges}
    months, cold, controlled = (max(1, round(y * MONTHS)) for y in (plan.years, plan.cold_years, plan.control_years))
    runs = {}
    for road, own in starts.items():
        runs[road] = [
            Run(
                f"{case.name}-{road}-{n:02d}",
                parameters,
                plan.seed + n,
                day,
                max(months, controlled) if (road, n) == (TRUTH, 0) else months,
                own["path"],
                n,
            )
            for n, day in enumerate(own["days"])
        ]
    if REST in plan.roads:
        runs[REST] = [Run(f"{case.name}-{REST}-00", parameters, plan.seed, 0, cold)]
    return runs


def _setting(case: Case, starts: dict, runs: dict[str, list[Run]], plan: Plan, folder: Path, weights) -> dict:
    """All about one case."""
    records = {road: [Record.load(folder / f"{r.name}.npz") for r in own] for road, own in runs.items()}
    trajectories = {road: [r.trajectory for r in own] for road, own in records.items()}
    compared = compare(trajectories, max(1, int(plan.years)), weights)
    for road, own in compared["roads"].items():
        if road in starts:
            own |= {k: starts[road][k] for k in ("preflight", "warnings")}
            own["seconds_a_state"] = starts[road]["seconds"]
        own["compile_seconds"] = max(r.compile_seconds for r in records[road])
    return {"parameters": case.parameters, "season": case.season, **compared}


def _costs(settings: dict) -> dict:
    """Core-seconds by road: making a state, a restart of it, a model year; and of the whole cold start."""
    out: dict[str, dict] = {}
    for road in dict.fromkeys(r for s in settings.values() for r in s["roads"]):
        own = [s["roads"][road] for s in settings.values() if road in s["roads"]]
        starts = [s for o in own for s in o["starts"] if "seconds_a_year" in s]
        out[road] = {"state": median(o.get("seconds_a_state", 0.0) for o in own)}
        if starts:  # not all blew up in their first month
            out[road]["restart"] = median(s["restart_seconds"] for s in starts)
            out[road]["year"] = median(s["seconds_a_year"] for s in starts)
        out[road]["compile"] = max(o["compile_seconds"] for o in own)
        whole = [s["seconds_a_year"] * len(s["distance"]) for s in starts if not s["blown"]]
        if road == REST and whole:
            out[road]["whole"] = median(whole)
    return out
