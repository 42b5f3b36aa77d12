"""The files of one simulation, opened together: their grid, their variables joined by time, their states one by one."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import UserError, nearest
from ..physics.eos import EQUATIONS
from . import mesh as meshes
from . import veros
from .checks import check_grid, check_values, shape_of
from .names import Names
from .source import Snapshot, Source, open_source

EQUATION_UNKNOWN = f"what needs density is left out, give --equation-of-state ({', '.join(EQUATIONS)})"


@dataclass(frozen=True)
class Step:
    """Where one state of one variable lies, and when."""

    source: Source
    index: int
    day: float


@dataclass(frozen=True)
class History:
    """The open files of one simulation: canonical mesh, steps of each variable, whether overlap columns are ``cut``.

    ``seasons``: share of the year of each state, NaN where the files do not tell. ``guessed``: cell sizes follow from
    coordinates alone, for want of a mesh.
    """

    grid: xr.Dataset
    timeline: dict[str, list[Step]]
    seasons: np.ndarray
    names: Names
    cut: bool
    guessed: bool

    def __len__(self) -> int:
        return len(next(iter(self.timeline.values())))

    @cached_property
    def fields(self) -> dict[str, tuple]:
        """Variable → (dimensions, shape, attributes) as the store takes them."""
        out = {}
        for name in self.timeline:
            variable = self.names.variables[name]
            dims = ("depth", "y", "x") if variable.deep else ("y", "x")
            attrs = {"mask": f"{variable.point}mask", **variable.attrs}
            out[name] = (dims, tuple(self.grid.sizes[d] for d in dims), attrs)
        return out

    def states(self, first: int = 0) -> Iterator[tuple[dict[str, np.ndarray], float]]:
        """(variable → float32 array, NaN on land; season), one state after another, from the ``first`` on."""
        masks = {name: self.grid[attrs["mask"]].values.astype(bool) for name, (_, _, attrs) in self.fields.items()}
        for number in range(first, len(self)):
            state = {}
            for name, steps in self.timeline.items():
                step, mask = steps[number], masks[name] if self.names.variables[name].deep else masks[name][0]
                frame = step.source.read(name, step.index)
                if self.cut:
                    frame = Snapshot(*(a[..., 1:-1] for a in (frame.values, frame.hole, frame.zero)))
                check_values(frame, name, self.names, mask, f"{step.source.path}, step {step.index}")
                state[name] = np.where(mask, frame.values, np.nan).astype("float32")
            yield state, float(self.seasons[number])

    def load(self, setting: str) -> xr.Dataset:
        """All states in memory, in the form of a store: equilibrium states of one ``setting``, without parameters."""
        states, seasons = zip(*self.states(), strict=True)
        data = {
            name: (("sample", *dims), np.stack([state[name] for state in states]), attrs)
            for name, (dims, _, attrs) in self.fields.items()
        }
        labels = {"setting": setting, "equilibrium": True}
        coords = {k: ("sample", np.full(len(states), v)) for k, v in labels.items()}
        return self.grid.assign(data).assign_coords(coords | {"season": ("sample", np.array(seasons))})


def read_history(
    sources: list[Path], mesh: Path | None = None, mapping: Path | None = None,
    variables: list[str] | None = None, equation_of_state: str | None = None,
    season: float | list[float] | str | None = None,
) -> History:  # fmt: skip
    """Open the files of one simulation.

    Files that hold different variables are joined by time, files that hold the same ones are put one after another.
    What the files hold becomes the states' variables, unless ``variables`` names canonical ones. ``mesh`` is a
    mesh_mask; without it mask and metrics come from the files' land and coordinates. ``season`` goes before their
    dates: a share of the year, one for each state in order of time, or a variable of the files. The equation of state
    is never guessed: where neither the files nor ``equation_of_state`` tell, the states have none, with a warning.
    UserError for anything that does not fit.
    """
    names = Names.load(mapping)
    if not sources:
        raise UserError("no files to prepare: name at least one")
    mesh_source = open_source(mesh, names) if mesh else None
    settings = veros.settings_of(mesh_source.data) if mesh_source else {}
    opened = [open_source(path, names, settings) for path in sources]
    for source in opened:
        settings = settings or veros.settings_of(source.data)
    timeline = _timeline(opened, names, variables)
    guessed = not (mesh_source and meshes.has_mask(mesh_source))
    if mesh_source and not guessed:
        grid = meshes.read_mesh(mesh_source)
    else:
        cyclic = settings.get("enable_cyclic_x") if names.periodic_x is None else names.periodic_x
        grid = meshes.derive_mesh(_providers(timeline, mesh_source), cyclic)
    grid, cut = _fitted(grid, timeline, names)
    grid = grid.assign_attrs(x_overlap=int(cut), variables=list(timeline))
    if equation := equation_of_state or veros.equation_of_state(settings):
        grid.attrs["equation_of_state"] = equation
    elif {"toce", "soce"} <= timeline.keys():
        warnings.warn(f"the files tell no equation of state: {EQUATION_UNKNOWN}", stacklevel=2)
    seasons = _dated(timeline) if season is None else _told(season, timeline)
    return History(grid, timeline, seasons, names, cut, guessed)


def _timeline(sources: list[Source], names: Names, wanted: list[str] | None) -> dict[str, list[Step]]:
    """Variable → its steps in order of time; every variable has the same ones."""
    timeline = {}
    for name in names.variables:
        found = [s for s in sources if name in s.variables]
        steps = [Step(s, i, s.times.days[i]) for s in found for i in range(len(s.times.days))]
        if steps and all(np.isfinite(step.day) for step in steps):
            steps.sort(key=lambda step: step.day)
            for a, b in pairwise(steps):
                if b.day - a.day < 1e-6 and a.source is not b.source:
                    raise UserError(f"{name} at one time is in {a.source.path} and {b.source.path}: give it once")
        if found:
            timeline[name] = steps
    for name in wanted or []:
        if name not in timeline:
            raise UserError(
                f"no {name} in {_listed(sources)}{nearest(name, timeline) if timeline else ''}: name it with --map"
            )
    timeline = {k: v for k, v in timeline.items() if not wanted or k in wanted}
    if not timeline:
        seen = sorted({str(k) for s in sources for k in s.data.data_vars})[:12]
        raise UserError(
            f"no known variable in {_listed(sources)} (they hold {', '.join(seen) or 'nothing'}): name them with --map"
        )
    first, steps = next(iter(timeline.items()))
    if not steps:
        raise UserError(f"{_listed(sources)} hold no time step: give files with states")
    for name, others in timeline.items():
        if len(others) != len(steps):
            raise UserError(f"{name} has {len(others)} time steps, {first} {len(steps)}: give files of the same times")
        if any(abs(a.day - b.day) > 1e-3 for a, b in zip(steps, others, strict=True)):
            raise UserError(f"{name} and {first} lie at different times: give files of the same times")
    return timeline


def _dated(timeline: dict[str, list[Step]]) -> np.ndarray:
    """Season of each state (N,), by whichever file has a date; NaN where none has."""
    return np.fmax.reduce([[step.source.times.season[step.index] for step in steps] for steps in timeline.values()])


def _told(season: float | list[float] | str, timeline: dict[str, list[Step]]) -> np.ndarray:
    """The same (N,), as asked for."""
    count = len(next(iter(timeline.values())))
    if isinstance(season, str):
        values = np.fmax.reduce([[_at(step, season) for step in steps] for steps in timeline.values()])
    else:
        try:
            values = np.ravel(np.asarray(season, "float64"))
        except (TypeError, ValueError):
            values = np.array(np.nan)
    if values.size not in (1, count):
        raise UserError(f"{values.size} seasons for {count} states: give one, or one for each (--season)")
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(f"season={season} is not a share of the year at every state: give 0 to 1 (--season)")
    return np.broadcast_to(values % 1.0, count)


def _at(step: Step, name: str) -> float:
    """What the variable ``name`` says of one step; NaN in a file that lacks it."""
    data = step.source.data
    if name not in data.variables:
        return np.nan
    values = np.ravel(data[name].values)
    if values.dtype.kind not in "fiu" or values.size not in (1, len(step.source.times.days)):
        raise UserError(f"{name} in {step.source.path} is not one number for each state: it cannot be the season")
    return float(values[step.index if values.size > 1 else 0])


def _listed(sources: list[Source]) -> str:
    return ", ".join(str(s.path) for s in sources[:3]) + (" …" if len(sources) > 3 else "")


def _providers(timeline: dict, mesh_source: Source | None) -> dict[str, Source]:
    """Which file gives each variable's land when there is no mesh_mask."""
    if mesh_source is not None:
        if not mesh_source.variables:
            raise UserError(
                f"{mesh_source.path} holds neither tmask nor fields: give NEMO's mesh_mask.nc, or a file with fields"
            )
        return {k: mesh_source for k in mesh_source.variables}
    return {name: steps[0].source for name, steps in timeline.items()}


def _fitted(grid: xr.Dataset, timeline: dict, names: Names) -> tuple[xr.Dataset, bool]:
    """The mesh with the files' levels and without overlap columns; UserError where files and mesh are not one grid."""
    depths = {shape_of(steps[0].source, name)[0] for name, steps in timeline.items() if names.variables[name].deep}
    wet_levels = int(grid.tmask.any(("y", "x")).values.nonzero()[0].max(initial=-1)) + 1
    if wet_levels == 0:
        raise UserError("the mask has no wet cell: give the mesh_mask of this grid with --mesh")
    if len(depths) == 1 and wet_levels <= min(depths) < grid.sizes["depth"]:
        grid = grid.isel(depth=slice(0, min(depths)))  # only land was below
    for name, steps in timeline.items():
        for source in {step.source for step in steps}:
            check_grid(source, name, names, grid)
    for name, steps in timeline.items():
        if names.variables[name].point == "t" and names.variables[name].deep:
            values = steps[0].source.read(name, steps[0].index).values
            if meshes.overlaps(values, grid.tmask.values.astype(bool)):
                return grid.isel(x=slice(1, -1)).assign_attrs(periodic_x=1), True
            break
    return grid, False
