"""Finished runs of NEMO measured as those of Veros are: from output and ``run.stat`` to what the page shows.

The years of a run are those since its first output. Its shock is that of |ssh|_max in ``run.stat``, step by step: NEMO
does not write kinetic energy that often, and what is out of balance leaves as surface waves first.
"""

from collections.abc import Callable
from math import isclose
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ..bar import bar
from ..errors import UserError
from ..io.checks import NoOcean
from ..io.history import History, read_history
from ..io.namelist import numbers_of, time_step
from ..io.nemo import LAYOUT, open_netcdf
from ..io.states import parameters_of
from ..io.times import IDEAL_YEAR, SECONDS_PER_DAY
from ..metrics.diagnostics import Diagnostics
from ..metrics.kernels import normalising_weights
from ..metrics.regions import Regions
from ..metrics.scoring import jsonable
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from ..ocean.preflight import Preflight, preflight
from .analysis import compare, looked_at
from .finished import Ending, Finished, ending
from .starts import REST, TRUTH
from .trajectory import Trajectory, swings

SHOCK = {"of": "highest or lowest sea level, |ssh|_max of run.stat,", "unit": "m"}
SHOCK_OF, SHOCK_DAYS = "|ssh|_max", 30
YEAR_DAYS = 365.25  # near enough to those of any calendar: a season tells the rest
UNEVEN = 1.5  # longest over shortest time between two outputs, with room for months of 28 and 31 days
WHOLE = 0.97  # of what it takes is enough: calendars differ by that
ONE_SEASON = 0.5  # length of the mean of unit vectors towards the seasons: 0 for all seasons, 1 for one
Notes = list[tuple[str, str]]  # (what, of which run)


class Reference:
    """What runs are measured by: the states that they should look like, their grid, and the tools for it."""

    def __init__(self, store: xr.Dataset, regions: Regions, mesh: Path | None):
        settled = store.equilibrium.values if "equilibrium" in store.coords else np.zeros(store.sizes["sample"], bool)
        self.store = store.isel(sample=np.flatnonzero(settled))
        if self.store.sizes["sample"] < 2:
            raise UserError("the states hold fewer than two in equilibrium, D has no unit: prepare more")
        self.mesh, self.equation_of_state = mesh, store.attrs.get("equation_of_state")
        self.grid, self.fields = OceanGrid.from_dataset(store), Fields.from_dataset(store)
        self.diagnostics = Diagnostics(self.grid, self.fields, regions)
        states = torch.from_numpy(self.fields.stack(self.store, self.grid)).double()
        self.weights = normalising_weights(states, self.fields.volumes(self.grid)).numpy()

    def of(self, setting: str) -> xr.Dataset | None:
        """The equilibrium states of a setting; None where there is none."""
        own = np.flatnonzero(self.store.setting.values == setting)
        return self.store.isel(sample=own) if len(own) else None

    def read(self, files: list[Path]) -> History:
        """Files of a run, on this grid and with these variables; UserError for any other."""
        run = read_history(files, self.mesh, equation_of_state=self.equation_of_state)
        mend = "give the states of this grid, and the mesh_mask of this run with --mesh"
        self.grid.check_same(OceanGrid.from_dataset(run.grid), f"the run in {files[0].parent}", mend)
        if lacking := [f.name for f in self.fields if f.name not in run.timeline]:
            names = ", ".join(path.name for path in files)
            raise UserError(
                f"{names} in {files[0].parent} lack {', '.join(lacking)}: name all of grid_T, grid_U, grid_V"
            )
        return run


def read_runs(runs: list[Finished], store: xr.Dataset, regions: Regions, mesh: Path | None, years: int) -> dict:
    """The result of ``runs`` over at most ``years``, JSON-able, in the form of ``experiment.spin_up``, measured by the
    states of a ``store``. UserError in one line for runs of another ocean, or that nothing can measure."""
    by = Reference(store, regions, mesh)
    settings = {}
    with bar(len(runs), "run", what="spinup") as progress:
        for name in dict.fromkeys(run.setting for run in runs):
            settings[name] = _setting([run for run in runs if run.setting == name], by, years, progress.update)
    roads = [pair for own in settings.values() for pair in own["roads"].items()]
    about = {"members": max((len(own["starts"]) for road, own in roads if road != REST), default=0)}
    about["years"] = max((_years(one) for road, own in roads for one in own["starts"] if road != REST), default=0)
    about["cold_years"] = min((_years(own["starts"][0]) for road, own in roads if road == REST), default=0)
    head = {"about": about, "units": by.diagnostics.units, "boxes": list(regions.boxes), "shock": SHOCK, "costs": {}}
    return jsonable(head | {"settings": settings})


def _years(start: dict) -> int:
    return len(next(iter(start.get("annual", {}).values()), []))


def _setting(runs: list[Finished], by: Reference, years: int, done: Callable[[], object]) -> dict:
    """All about the runs of one setting."""
    name, known = runs[0].setting, by.of(runs[0].setting)
    if known is None and not {TRUTH, REST} & {run.road for run in runs}:
        raise UserError(
            f"nothing to measure setting {name!r} by: the states hold none of it in equilibrium; prepare some, or give "
            f"the table its long run as road {TRUTH}"
        )
    ends = [ending(run) for run in runs]
    parameters = _parameters(runs, ends, by, known)
    told: dict[str, list[Trajectory]] = {}
    notes: dict[str, Notes] = {}
    seen: dict[str, list[Preflight]] = {}
    for run, end in zip(runs, ends, strict=True):
        trajectory, found = _trajectory(run, end, by)
        told.setdefault(run.road, []).append(trajectory)
        notes.setdefault(run.road, []).extend((what, run.name) for what in found)
        if looked := _before(run, end, by):
            seen.setdefault(run.road, []).append(looked)
            notes[run.road] += [(f"the start: {what}", run.name) for what in looked.stops + looked.warns]
        done()
    lengths = {road: max(len(t.years) for t in own) for road, own in told.items()}
    length = max((n for road, n in lengths.items() if road not in (REST, TRUTH)), default=lengths.get(TRUTH, 1))
    mean = None if known is None else by.fields.stack(known, by.grid).mean(0, dtype="float64")
    out = {"parameters": parameters, **compare(told, max(1, min(years, length)), by.weights, mean)}
    if known is not None and TRUTH not in told and _one_season(known.season.values):
        notes[runs[0].road].append(("its reference states are of one season, distances hold the others", name))
    for road, own in out["roads"].items():
        own |= looked_at(seen[road]) if road in seen else {}
        own["warnings"] = [f"{', '.join(names)}: {what}" for what, names in _gathered(notes[road]).items()]
    return out


def _gathered(notes: Notes) -> dict[str, list[str]]:
    """What is said, and of whom."""
    out: dict[str, list[str]] = {}
    for what, name in notes:
        out.setdefault(what, []).append(name)
    return out


def _one_season(seasons: np.ndarray) -> bool:
    return bool(np.abs(np.exp(2j * np.pi * seasons).mean()) > ONE_SEASON)


def _parameters(runs: list[Finished], ends: list[Ending], by: Reference, known: xr.Dataset | None) -> dict[str, float]:
    """Of a setting: as the reference has them, else as the namelists do. UserError where a namelist says otherwise."""
    names = list(map(str, by.store.attrs.get("parameters", [])))
    out = {} if known is None else dict(zip(names, map(float, parameters_of(known)[0]), strict=True))
    for run, end in zip(runs, ends, strict=True):
        for name in names:
            told = numbers_of(name, end.namelist)
            if told and not any(isclose(out.setdefault(name, min(told)), v, rel_tol=1e-6) for v in told):
                raise UserError(
                    f"{name} of setting {run.setting!r} is {out[name]:g}, but {min(told):g} in the namelist_cfg in "
                    f"{run.folder}: correct the column setting"
                )
    return out


def _trajectory(run: Finished, end: Ending, by: Reference) -> tuple[Trajectory, list[str]]:
    """What one run tells, and what is to be known of it."""
    notes = [end.note] if end.note else []
    if not run.files:
        return Trajectory({}, [], np.nan, True, end.step), notes
    output = by.read(run.files)
    number, days = _calendar(output, run)
    kept = int(np.searchsorted(number, number[-1])) if _partial(number, days) else len(number)
    annual: dict[str, list[float]] = {}
    years: list[np.ndarray] = []
    blown = end.blown
    states = output.states()
    for n in range(kept):
        try:
            state = _stacked(next(states)[0], output, by)
        except NoOcean as error:
            if not blown and n == 0:
                raise  # it is not the ocean that is wrong, but what we were told of its files
            notes += [] if blown else [f"holds what no ocean does ({error})"]
            blown = True
            break
        first = int(np.searchsorted(number, number[n]))
        if n == first:
            years.append(np.zeros(state.shape, "float32"))
        years[-1] += (state - years[-1]) / (n - first + 1)
        for name, value in by.diagnostics(state).items():
            own = annual.setdefault(name, [])
            if n == first:
                own.append(0.0)
            own[-1] += (float(value) - own[-1]) / (n - first + 1)
    shock, lacking = _shock(run, end, days * len(number))
    means = {k: np.array(v) for k, v in annual.items()}
    notes += [lacking] if lacking and run.road != REST else []
    return Trajectory(means, years, shock, blown, end.step), notes


def _stacked(state: dict[str, np.ndarray], output: History, by: Reference) -> np.ndarray:
    """(V, D, Y, X) float64 of one state."""
    data = {name: (("sample", *dims), state[name][None], attrs) for name, (dims, _, attrs) in output.fields.items()}
    return by.fields.stack(xr.Dataset(data), by.grid)[0].astype("float64")


def _calendar(output: History, run: Finished) -> tuple[np.ndarray, float]:
    """Number of the year of each output (N,), from 0, and the days between two, NaN where there is one."""
    steps = next(iter(output.timeline.values()))
    days = np.array([step.day for step in steps])
    if not np.isfinite([days, output.seasons]).all():
        raise UserError(f"the output in {run.folder} tells no date: give it with NEMO's own time axis")
    if len(days) == 1:
        return np.zeros(1, int), np.nan
    gaps, turned = np.diff(days), np.diff(output.seasons)
    if gaps.max() > UNEVEN * gaps.min() or gaps.max() > UNEVEN * YEAR_DAYS:
        raise UserError(
            f"outputs in {run.folder} lie {gaps.min():.3g} to {gaps.max():.3g} days apart: "
            "name files of one frequency, a year or finer, without gaps (column files)"
        )
    spacing = float(np.median(gaps))
    restarts = any(LAYOUT["calendar"][0] in step.source.data for step in steps)
    if restarts and spacing > YEAR_DAYS / 2:
        raise UserError(f"one restart a year in {run.folder} tells no annual mean: name its means (column files)")
    spans = np.round(gaps / YEAR_DAYS - turned) + turned
    elapsed = np.concatenate([[0.0], np.cumsum(spans)])
    return np.floor(elapsed + np.median(spans) / 2).astype(int), spacing


def _partial(number: np.ndarray, days: float) -> bool:
    """Whether the last year, of several, lacks some of its outputs: its mean would hold the seasons that it has."""
    return bool(number[-1] > 0 and (number == number[-1]).sum() < WHOLE * IDEAL_YEAR / days)


def _shock(run: Finished, end: Ending, days: float) -> tuple[float, str | None]:
    """Shock [m] of a run whose output covers ``days``; NaN with the reason where it cannot be told."""
    seconds = _step_seconds(run, end)
    if end.stat is None or SHOCK_OF not in end.stat.extremes:
        return np.nan, f"no {SHOCK_OF} in a run.stat, its shock is not known"
    if not seconds:
        return np.nan, "no time step in its namelist_cfg, its shock is not known"
    step = end.stat.steps
    covered = (step[-1] - step[0] + 1) * seconds / SECONDS_PER_DAY
    if covered < WHOLE * days or (covered < SHOCK_DAYS and not end.blown):
        return np.nan, f"run.stat covers {covered:.0f} days, not all of the run from its start: its shock is not known"
    early = (step - step[0]) * seconds < SHOCK_DAYS * SECONDS_PER_DAY
    return swings(end.stat.extremes[SHOCK_OF][early]), None


def _step_seconds(run: Finished, end: Ending) -> float | None:
    """By the namelist, else by the restart that it began from."""
    told = time_step(end.namelist)
    if told is None and run.start:
        with open_netcdf(run.start) as data:
            told = float(data[LAYOUT["time_step"]][...]) if LAYOUT["time_step"] in data.variables else None
    return told


def _before(run: Finished, end: Ending, by: Reference) -> Preflight | None:
    """The restart that a run began from, looked at; None where none is named."""
    if run.start is None:
        return None
    looked = preflight(by.read([run.start]).load(run.setting), _step_seconds(run, end) or np.nan)
    return Preflight({k: v for k, v in looked.numbers.items() if np.isfinite(v)}, looked.stops, looked.warns)
