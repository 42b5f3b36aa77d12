"""From a short run: the nearest states run on for some years under the new parameters, and what is made of them then.

settled          the states that were reached, moved to the mean state that they are expected to go to
settled_member   the same with a mean state drawn for each
generated_after  members of the diffusion model, each told the state that one run reached
run_on           the states that were reached, as they are

A run of several parts is moved, as ``settled``, after each of them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import UserError
from ..io.states import write_states
from ..simulate.dino import YEAR_DAYS
from .plan import Plan
from .run import BASIN, Record, Run, integrate
from .starts import AFTER, NEAREST, RUN_ON, SETTLED, SETTLED_MEMBER, Case, Roads, day_of
from .trajectory import MONTHS


@dataclass(frozen=True)
class Reached:
    """What the short runs of a case ended with: ``states`` (sample) with ``season``, the annual mean states
    (V, D, Y, X) of each run, and the core-seconds that a state took so far."""

    states: xr.Dataset
    years: list[list[np.ndarray]]
    seconds: float


Settle = Callable[[Roads, Case, Reached, int], xr.Dataset]


def _settled(roads: Roads, case: Case, reached: Reached, seed: int) -> xr.Dataset:
    return roads.model.settle(reached.states, _asked(roads, case))


def _settled_member(roads: Roads, case: Case, reached: Reached, seed: int) -> xr.Dataset:
    return roads.model.settle(reached.states, _asked(roads, case), seed)


def _generated_after(roads: Roads, case: Case, reached: Reached, seed: int) -> xr.Dataset:
    asked, context = _asked(roads, case), reached.states
    season, count = float(context.season[0]), context.sizes["sample"]
    return roads.model.sample(asked, count, seed, season, context=context).rename(member="sample")


def _run_on(roads: Roads, case: Case, reached: Reached, seed: int) -> xr.Dataset:
    return reached.states


FROM_SHORT_RUNS: dict[str, Settle] = {
    SETTLED: _settled,
    SETTLED_MEMBER: _settled_member,
    AFTER: _generated_after,
    RUN_ON: _run_on,
}


def _asked(roads: Roads, case: Case) -> dict[str, float]:
    return {k: case.parameters[k] for k in roads.model.parameters}


def run_first(cases: list[Case], roads: Roads, plan: Plan, folder: Path, processes: int) -> None:
    """Write the starts of all roads that begin with short runs of ``plan.first`` years, part by part."""
    if not plan.first:
        return
    if not roads.model.knows_context:
        raise UserError("this model was trained without unfinished states: it can make nothing of a short run")
    starts = {case.name: _nearest(case, roads, plan, folder / "starts") for case in cases}
    for number, years in enumerate(plan.first):
        last = number == len(plan.first) - 1
        runs = {case.name: _runs(case, starts[case.name], years, number, plan) for case in cases}
        integrate([r for own in runs.values() for r in own], folder / "runs", plan.regions, processes)
        for case in cases:
            with xr.open_dataset(starts[case.name]) as start:
                before = start.attrs["seconds_a_state"]
            reached = _reached(runs[case.name], before, roads, folder / "runs")
            for road in [r for r in plan.roads if r in FROM_SHORT_RUNS] if last else [SETTLED]:
                part = "" if last else f"-{number}"
                starts[case.name] = path = folder / "starts" / f"{case.name}-{road}{part}.nc"
                _write(path, road, case, roads, reached, plan.noise(case))


def _nearest(case: Case, roads: Roads, plan: Plan, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{case.name}-{NEAREST}.nc"
    if not path.exists():
        states, seconds = roads.states(NEAREST, case, plan.members, plan.noise(case))
        write_states(states.assign_attrs(seconds_a_state=seconds), path)
    return path


def _runs(case: Case, start: Path, years: float, number: int, plan: Plan) -> list[Run]:
    parameters, months = {k: case.parameters[k] for k in BASIN.ranges}, max(1, round(years * MONTHS))
    with xr.open_dataset(start) as states:
        days = [day_of(s) for s in states.season.values]
    return [
        Run(f"{case.name}-first-{number}-{n:02d}", parameters, plan.seed + n, day, months, start, n)
        for n, day in enumerate(days)
    ]


def _reached(runs: list[Run], before: float, roads: Roads, folder: Path) -> Reached:
    records = [Record.load(folder / f"{run.name}.npz") for run in runs]
    if any(r.blown for r in records):
        raise UserError(f"{runs[0].name}: a short run blew up: choose parameters nearer to those of the states")
    states = roads.fields.unstack(np.stack([r.last for r in records]), roads.grid)
    season = [(run.day / YEAR_DAYS + run.months / MONTHS) % 1 for run in runs]
    seconds = before + float(np.median([r.seconds + r.restart_seconds for r in records]))
    return Reached(states.assign_coords(season=("sample", season)), [r.years for r in records], seconds)


def _write(path: Path, road: str, case: Case, roads: Roads, reached: Reached, seed: int) -> None:
    if path.exists():
        return
    began = time.process_time()
    made = FROM_SHORT_RUNS[road](roads, case, reached, seed).assign_coords(season=reached.states.season)
    seconds = reached.seconds + (time.process_time() - began) / made.sizes["sample"]
    write_states(roads.bare(made, case).assign_attrs(seconds_a_state=seconds), path)
