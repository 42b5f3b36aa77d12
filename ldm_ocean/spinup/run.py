"""One integration: from a restart or from rest, month by month, recorded and resumable after any interruption."""

import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from ..bar import bar
from ..errors import UserError
from ..io.atomic import published
from ..metrics.diagnostics import Diagnostics
from ..metrics.regions import Regions
from ..ocean.fields import EASTWARD, NORTHWARD, Fields
from ..ocean.grid import OceanGrid
from ..physics.budget import kinetic_energy
from ..simulate.dino import Dino
from ..simulate.pool import the_model, workers
from ..simulate.progress import dataset
from .trajectory import MONTHS, Trajectory, annual, swings

MONTH_GROUPS = 5  # groups of three two-day steps
BASIN = Dino()
CHUNK = 60  # months between two saves, and of one task of a worker


@dataclass(frozen=True)
class Run:
    """``months`` of the basin with ``parameters``, from sample ``number`` of the canonical file ``start`` (None: from
    rest) on ``day`` of the year, under the forcing noise of ``seed``."""

    name: str
    parameters: dict[str, float]
    seed: int
    day: int
    months: int
    start: Path | None = None
    number: int = 0


@dataclass
class Record:
    """What a run has so far: model state, monthly scalars, annual mean states, kinetic energy of the first month.

    ``scalars[name]`` (months,); ``years`` (V, D, Y, X) each, the last one of fewer months where ``months`` is no
    multiple of twelve; ``last`` (V, D, Y, X) the state at the end; ``energy`` [J] at the start and after every group;
    core-seconds spent in integrating, in making the restart, and in compiling (of the process that began it).
    ``blown``: the model left finite numbers.
    """

    state: dict
    scalars: dict[str, list[float]] = field(default_factory=dict)
    years: list[np.ndarray] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)
    seconds: float = 0.0
    restart_seconds: float = 0.0
    compile_seconds: float = 0.0
    blown: bool = False
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, "float32"))

    NUMBERS: ClassVar = ("seconds", "restart_seconds", "compile_seconds", "blown")

    @property
    def months(self) -> int:
        return len(next(iter(self.scalars.values()), []))

    @property
    def trajectory(self) -> Trajectory:
        """What it has to tell."""
        costs = {"restart_seconds": self.restart_seconds}
        costs |= {"seconds_a_year": self.seconds / self.months * MONTHS} if self.months else {}
        means = {k: annual(v) for k, v in self.scalars.items()}
        return Trajectory(means, self.years, swings(np.array(self.energy)), self.blown, costs=costs)

    @classmethod
    def load(cls, path: Path) -> "Record":
        with np.load(path) as f:
            state = {k[2:]: f[k] for k in f if k.startswith("s_")}
            scalars = {k[2:]: list(f[k]) for k in f if k.startswith("d_")}
            numbers = {k: f[k].item() for k in cls.NUMBERS}
            return cls(state, scalars, list(f["years"]), list(f["energy"]), last=f["last"], **numbers)

    def save(self, path: Path) -> None:
        """Publish under the final name only when complete."""
        arrays: dict[str, Any] = {f"s_{k}": np.asarray(v) for k, v in self.state.items()}
        arrays |= {f"d_{k}": np.asarray(v) for k, v in self.scalars.items()}
        numbers = {k: getattr(self, k) for k in self.NUMBERS}
        with published(path) as temporary, temporary.open("wb") as file:
            np.savez(file, years=np.array(self.years), last=self.last, energy=self.energy, **numbers, **arrays)


class Laboratory:
    """The compiled model of this process and what it is looked at with."""

    def __init__(self, regions: Regions):
        start = time.process_time()
        self.model = the_model(BASIN)
        self.model.advance(self.model.initial(), BASIN.parameters(), 0, 1)
        self.compile_seconds = time.process_time() - start
        mesh = self.model.mesh()
        self.grid = OceanGrid.from_dataset(mesh)
        self.fields = Fields.from_dataset(dataset([self.model.snapshot(self.model.initial())]))
        self.diagnostics = Diagnostics(self.grid, self.fields, regions)
        self.volumes = self.fields.volumes(self.grid).numpy()

    def look(self, state: dict) -> np.ndarray | None:
        """(V, D, Y, X), or None where numbers are no longer finite."""
        try:
            return self.fields.stack(dataset([self.model.snapshot(state)]), self.grid)[0].astype("float64")
        except UserError:  # a hole in the water
            return None

    def energy(self, state: np.ndarray) -> float:
        """Kinetic energy [J] of (V, D, Y, X)."""
        u, v = self.fields.index_of(EASTWARD), self.fields.index_of(NORTHWARD)
        return float(kinetic_energy(state[u], state[v], self.volumes[u], self.volumes[v]))


def go_on(run: Run, folder: Path, regions: Regions) -> tuple[Run, int, bool]:
    """At most ``CHUNK`` months more of a run, kept in ``folder``; (run, months done in this call, whether it ended)."""
    laboratory = _laboratory(regions)
    path = folder / f"{run.name}.npz"
    record = Record.load(path) if path.exists() else _begin(run, folder, laboratory)
    before = record.months
    while record.months < run.months and record.months < before + CHUNK and not record.blown:
        _month(run, record, laboratory)
    record.save(path)
    return run, record.months - before, record.blown or record.months >= run.months


def finished(run: Run, folder: Path) -> tuple[int, bool]:
    """Months that a run has so far, and whether nothing is left to do."""
    path = folder / f"{run.name}.npz"
    if not path.exists():
        return 0, False
    record = Record.load(path)
    return record.months, record.blown or record.months >= run.months


_ours: list[Laboratory] = []


def _laboratory(regions: Regions) -> Laboratory:
    """One a process."""
    if not _ours:
        _ours.append(Laboratory(regions))
    return _ours[0]


def _begin(run: Run, folder: Path, laboratory: Laboratory) -> Record:
    """Through the restart file: what the model starts from is what a user would start it from."""
    from ..simulate import veros_restart

    model, began = laboratory.model, time.process_time()
    if run.start is None:
        state = model.initial()
    else:
        with xr.open_dataset(run.start) as states:
            fields = {f.name: states[f.name].isel(sample=run.number).values for f in laboratory.fields}
        file = folder / f"{run.name}.restart.h5"
        veros_restart.write(file, model, veros_restart.begin(model, fields, run.parameters, run.seed, run.day))
        state = veros_restart.read(file, model)
    took = time.process_time() - began
    record = Record(state, restart_seconds=took, compile_seconds=laboratory.compile_seconds)
    start = laboratory.look(state)
    record.energy.append(np.nan if start is None else laboratory.energy(start))
    return record


def _month(run: Run, record: Record, laboratory: Laboratory) -> None:
    """Thirty days; those of the first month in steps of six, for the kinetic energy."""
    began, state = time.process_time(), None
    for groups in [1] * MONTH_GROUPS if record.months == 0 else [MONTH_GROUPS]:
        record.state, _ = laboratory.model.advance(record.state, run.parameters, run.seed, groups)
        state = laboratory.look(record.state)
        if record.months == 0 and state is not None:
            record.energy.append(laboratory.energy(state))
    record.seconds += time.process_time() - began
    record.blown = state is None
    if state is None:
        return
    record.last = state.astype("float32")
    month = record.months % MONTHS
    if month == 0:
        record.years.append(np.zeros(state.shape, "float32"))
    record.years[-1] += (state - record.years[-1]) / (month + 1)
    for name, value in laboratory.diagnostics(state).items():
        record.scalars.setdefault(name, []).append(float(value))


def integrate(runs: list[Run], folder: Path, regions: Regions, processes: int) -> None:
    """Do what is missing of ``runs``, long ones first, with a bar in model years."""
    folder.mkdir(parents=True, exist_ok=True)
    done = {run.name: finished(run, folder) for run in runs}
    waiting = sorted((r for r in runs if not done[r.name][1]), key=lambda r: done[r.name][0] - r.months)
    total = sum(r.months for r in runs) / MONTHS
    initial = sum(done[r.name][0] for r in runs) / MONTHS
    running: set[Future] = set()
    with (
        bar(round(total, 1), "year", round(initial, 1), "spinup") as progress,
        workers(processes) as pool,
    ):
        while waiting or running:
            while waiting and len(running) < processes:
                running.add(pool.submit(go_on, waiting.pop(0), folder, regions))
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                run, months, over = future.result()
                progress.update(months / MONTHS)
                if not over:
                    waiting.insert(0, run)
