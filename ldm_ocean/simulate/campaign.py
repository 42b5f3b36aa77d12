"""Run the design: one process a core, one file a finished setting, resumable after any interruption.

A setting starts from the last state of its nearest finished neighbour, read from that neighbour's file: what stands in
the folder is all that a campaign needs to go on, and whoever has a part of it may make the rest. What is unfinished is
kept under ``work/``; a run that is killed loses at most ``CHUNK`` looks. A setting that blows up is written down in the
manifest and passed over; what would have started from it starts from its own parent.
"""

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..bar import bar as progress_bar
from ..io.atomic import published, remove
from ..io.packed import SUFFIX, read_packed, write_packed
from ..ocean.grid import OceanGrid
from ..ocean.regrid import regrid
from .design import Setting
from .manifest import SERIES, Manifest, unstable
from .ocean import Ocean
from .pool import the_model
from .pool import workers as processes
from .progress import Progress, dataset
from .statistics import SUFFIX as STATISTICS

CHUNK = 10  # looks between two saves, and between two decisions whether a setting has settled
YEAR = 360  # days, for counting


@dataclass(frozen=True)
class Work:
    """One setting of a campaign, from the last equilibrium state in ``start`` (None: from rest)."""

    ocean: Ocean
    setting: Setting
    out: Path
    start: Path | None

    @property
    def work(self) -> Path:
        return self.out / "work" / self.setting.name

    @property
    def longest(self) -> tuple[float, float]:
        """Least and most days before the recording."""
        schedule = self.ocean.schedule
        return schedule.rest if self.start is None else (schedule.least, schedule.most)

    @property
    def series(self) -> tuple[int, float]:
        """Number of states and days between them of the long series that follows."""
        return self.ocean.series.get(self.setting.name, (0, 0.0))

    @property
    def years(self) -> float:
        """What it takes at least, in years of ``YEAR`` days."""
        schedule, (count, spacing) = self.ocean.schedule, self.series
        return (self.longest[0] + schedule.snapshots * schedule.spacing + count * spacing) / YEAR


@dataclass(frozen=True)
class Outcome:
    """What a worker did of a task: years integrated in this call, whether it is over, and what the manifest keeps."""

    task: Work
    years: float
    over: bool
    record: dict


def go_on(task: Work) -> Outcome:
    """``CHUNK`` steps more of a setting; publishes its file once all is recorded."""
    began, model = time.process_time(), the_model(task.ocean)
    progress = Progress(task.work, lambda: _begin(task, model))
    grid = OceanGrid.from_dataset(model.mesh())
    before, over = model.days(progress.state), False
    for _ in range(CHUNK):
        over = not _step(task, progress, model, grid)
        if over or progress.blown:
            break
    years = (model.days(progress.state) - before) / YEAR
    progress.seconds += time.process_time() - began
    record = {"core_seconds_a_year": round(progress.seconds / max(model.days(progress.state) / YEAR, 1e-9), 2)}
    if progress.blown:
        return Outcome(task, years, True, record | {"blew_up_on_day": model.days(progress.state)})
    if over:
        _publish(task, progress, model)
        return Outcome(task, years, True, record)
    progress.save()
    return Outcome(task, years, False, record)


def _step(task: Work, progress: Progress, model, grid: OceanGrid) -> bool:
    """One look, or one recorded state; False where nothing is left to do."""
    ocean, schedule = task.ocean, task.ocean.schedule
    day, (least, most) = round(model.days(progress.state)), task.longest
    decide = progress.looks % CHUNK == 0 and day >= least
    progress.settled = progress.settled or day >= most or (decide and ocean.settled(progress.history))
    if not progress.settled:
        if day in schedule.on_the_way and task.start is not None:
            progress.keep(model.snapshot(progress.state), day, equilibrium=False)
        mean = _advance(task, progress, model, schedule.look)
        if not progress.blown:
            progress.look(ocean.watch(progress.fields | {"toce": mean}, grid))
        return True
    count, spacing = task.series
    recorded = progress.recorded
    if recorded >= schedule.snapshots + count:
        return False
    _advance(task, progress, model, schedule.spacing if recorded < schedule.snapshots else spacing)
    if not progress.blown:
        _record(progress, round(model.days(progress.state)), schedule.every)
    return True


def _record(progress: Progress, day: int, every: int) -> None:
    """The present state, whole where it is the first of ``every``."""
    whole = progress.recorded % every == 0
    if every > 1:
        progress.statistics.add(progress.fields["toce"], day)
    if whole:
        progress.keep(progress.fields, day, equilibrium=True)


def _advance(task: Work, progress: Progress, model, days: float) -> np.ndarray:
    """``days`` on; the mean T on the way. ``progress.fields`` are then those of the new state."""
    from .model import to_canonical

    groups = round(days / model.group_days)
    progress.state, mean = model.advance(progress.state, task.setting.parameters, task.setting.seed, groups)
    progress.fields = model.snapshot(progress.state)
    progress.blown = any(np.isfinite(f).sum() != model.wet[k] for k, f in progress.fields.items())
    return to_canonical(mean)


def _begin(task: Work, model) -> dict:
    """The state that a setting starts from; its days are counted from here."""
    if task.start is None:
        return model.initial()
    from . import veros_restart

    mesh = xr.load_dataset(task.start.parent / "mesh.nc")
    states, grid = read_packed(task.start, mesh), OceanGrid.from_dataset(model.mesh())
    last = states.isel(sample=[np.flatnonzero(states.equilibrium.values)[-1]])
    if mesh.tmask.shape != grid.shape:
        last = regrid(last.merge(mesh, combine_attrs="override").assign_attrs(mesh.attrs), grid)
    fields = {k: last[k].values[0] for k in model.wet}
    return veros_restart.begin(model, fields, task.setting.parameters, task.setting.seed, 0)


def _publish(task: Work, progress: Progress, model) -> None:
    """The files of the setting, that of its states last; what was unfinished goes."""
    mesh, file = model.mesh(), f"{task.setting.name}{SUFFIX}"
    first = len(progress.labels) - task.series[0]
    if task.series[0]:
        write_packed(task.out / SERIES / file, _states(task, progress, slice(first, None), mesh), mesh, task.ocean.bits)
    if len(progress.statistics):
        about = {"title": task.ocean.title, "setting": task.setting.name, **task.setting.parameters}
        progress.statistics.write(task.out / f"{task.setting.name}{STATISTICS}", mesh.gdept.values, about)
    write_packed(task.out / file, _states(task, progress, slice(0, first), mesh), mesh, task.ocean.bits)
    remove(task.work)


def _states(task: Work, progress: Progress, which: slice, mesh: xr.Dataset) -> xr.Dataset:
    day, equilibrium = np.array(progress.labels[which]).T
    record = task.setting.record()
    coords = {
        "day": ("sample", day),
        "equilibrium": ("sample", equilibrium.astype(bool)),
        **{k: ("sample", np.full(len(day), v)) for k, v in record["parameters"].items()},
    }
    years = progress.looks * task.ocean.schedule.look / YEAR
    attrs = {**record, "years": years, **task.ocean.drift(progress.history)}
    states = dataset(progress.snapshots(which)).assign_coords(coords).assign_attrs(attrs)
    return states.assign_attrs(unstable_volume_percent=unstable(states, mesh))


def simulate(
    ocean: Ocean,
    out: Path,
    settings: list[Setting],
    workers: int = 2,
    precision: str = "float64",
    starts: Path | None = None,
) -> dict:
    """Run what is not yet there of ``settings`` into ``out``; returns the manifest.

    Settings without a parent start from rest, or from the state of their name in the folder ``starts``. Processes are
    spawned, each with one thread; a setting starts as soon as its parent has ended.
    """
    (out / "work").mkdir(parents=True, exist_ok=True)
    manifest = Manifest(ocean, out, settings, _mesh(ocean, out))
    manifest.write()
    parents = {s.name: s.parent for s in settings}
    ended = {s.name for s in settings if manifest.ended(s)}
    waiting = [s for s in settings if s.name not in ended]
    tasks: list[Work] = []
    running: set[Future[Outcome]] = set()
    years = sum(Work(ocean, s, out, out if s.parent or starts else None).years for s in waiting)
    with progress_bar(round(years), "year") as bar, processes(workers, precision) as pool:
        while waiting or tasks or running:
            for setting in [s for s in waiting if s.parent is None or s.parent in ended]:
                tasks.append(Work(ocean, setting, out, _start(setting, parents, out, starts)))
                waiting.remove(setting)
            while tasks and len(running) < workers:
                running.add(pool.submit(go_on, tasks.pop(0)))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for outcome in (future.result() for future in done):
                name = outcome.task.setting.name
                bar.set_postfix_str(f"{name}, {outcome.record['core_seconds_a_year']} core-s a year", refresh=False)
                bar.update(round(outcome.years, 2))
                if outcome.over:
                    ended.add(name)
                    manifest.write(**{name: outcome.record})
                else:
                    tasks.insert(0, outcome.task)
    return manifest.write()


def _start(setting: Setting, parents: dict[str, str | None], out: Path, starts: Path | None) -> Path | None:
    """The file to start from: that of the nearest ancestor that did not blow up."""
    if starts is not None:
        return starts / f"{setting.name}{SUFFIX}"
    parent = setting.parent
    while parent is not None and not (out / f"{parent}{SUFFIX}").exists():
        parent = parents[parent]
    return None if parent is None else out / f"{parent}{SUFFIX}"


def _mesh(ocean: Ocean, out: Path) -> xr.Dataset:
    """The mesh, in the folder and in that of the series."""
    for folder in [out] + [out / SERIES] * bool(ocean.series):
        path = folder / "mesh.nc"
        if not path.exists():
            mesh = the_model(ocean).mesh()
            with published(path, RuntimeError) as temporary:
                mesh.to_netcdf(temporary, encoding={k: {"zlib": True} for k in mesh.data_vars}, engine="netcdf4")
    return xr.load_dataset(out / "mesh.nc")
