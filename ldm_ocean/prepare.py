"""``ldm-ocean prepare``: output of any ocean model → a store of canonical states, one state in memory at a time."""

import argparse
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr
from tqdm import tqdm

from .data.states import open_states
from .errors import UserError, nearest
from .grid import OceanGrid
from .io import mesh as meshes
from .io import veros
from .io.checks import check_grid, check_values, shape_of
from .io.names import Names
from .io.source import Frame, Source, open_source
from .io.store import StateWriter
from .physics.eos import EQUATIONS

DEFAULT_EQUATION = "seos"  # NEMO's idealised configurations
EXAMPLES = """examples:
  NEMO means (T, U and V files of one run) with its mesh:
    ldm-ocean prepare run1_grid_T.nc run1_grid_U.nc run1_grid_V.nc --mesh mesh_mask.nc --out states.zarr \\
        --setting run1 --parameter rn_ztau0=0.2 --parameter rn_tstar_n=5
  a second run into the same store, kept for testing:
    ldm-ocean prepare run2_*.nc --mesh mesh_mask.nc --out states.zarr --setting run2 --split test \\
        --parameter rn_ztau0=0.3 --parameter rn_tstar_n=5 --append
  NEMO restarts:          ldm-ocean prepare *_restart.nc --mesh mesh_mask.nc --out states.zarr
  Veros averages:         ldm-ocean prepare acc.averages.nc --out acc.zarr
  a Veros restart:        ldm-ocean prepare acc.restart.h5 --mesh acc.snapshot.nc --out acc.zarr
  anything else, its names in a YAML table, such as
    variables: {theta_k: {to: toce, offset: -273.15}}
    dimensions: {lev: depth}
    ldm-ocean prepare model.nc --map names.yaml --out states.zarr"""


@dataclass(frozen=True)
class Step:
    """Where one state of one variable lies, and when."""

    source: Source
    index: int
    day: float
    season: float


def prepare(
    sources: list[Path], out: Path, mesh: Path | None = None, mapping: Path | None = None,
    parameters: dict[str, float] | None = None, setting: str = "setting", split: str = "train",
    equilibrium: bool = True, variables: list[str] | None = None, equation_of_state: str | None = None,
    append: bool = False, progress: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Write the states found in ``sources`` to the Zarr store ``out`` and open it.

    The files of one call are one ``setting``: one simulation with one set of ``parameters`` (name → value). Files that
    hold different variables are joined by time, files that hold the same ones are put one after another. What the
    files hold becomes the states' variables, unless ``variables`` names canonical ones. ``mesh`` is a mesh_mask;
    without it mask and metrics come from the files' land and coordinates. Season comes from the calendar, 0 where
    there is none. UserError, and no store, for anything that does not fit.
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
    if mesh_source and meshes.has_mask(mesh_source):
        grid = meshes.read_mesh(mesh_source)
    else:
        cyclic = settings.get("enable_cyclic_x") if names.periodic_x is None else names.periodic_x
        grid = meshes.derive_mesh(_providers(timeline, mesh_source), cyclic)
    grid, cut = _fitted(grid, timeline, names)
    equation = equation_of_state or veros.equation_of_state(settings) or DEFAULT_EQUATION
    parameters = dict(parameters or {})
    grid = grid.assign_attrs(
        equation_of_state=equation, x_overlap=int(cut), parameters=list(parameters), variables=list(timeline)
    )
    fields = _fields(timeline, names, grid)
    if append and Path(out).exists():
        _check_same(Path(out), grid, fields, setting, split)
    states = _states(timeline, names, grid, fields, cut)
    with StateWriter(Path(out), grid, fields, append) as writer:
        for state, season in tqdm(states, total=len(next(iter(timeline.values()))), unit="state", disable=not progress):
            labels = {"setting": setting, "split": split, "season": season, "equilibrium": equilibrium}
            writer.append(state, labels | {k: float(v) for k, v in parameters.items()})
    return open_states(out)


def _timeline(sources: list[Source], names: Names, wanted: list[str] | None) -> dict[str, list[Step]]:
    """Variable → its steps in order of time; every variable has the same ones."""
    timeline = {}
    for name in names.variables:
        found = [s for s in sources if name in s.variables]
        steps = [Step(s, i, s.times.days[i], s.times.season[i]) for s in found for i in range(len(s.times.days))]
        if steps and all(np.isfinite(step.day) for step in steps):
            steps.sort(key=lambda step: step.day)
            for a, b in pairwise(steps):
                if b.day - a.day < 1e-6 and a.source is not b.source:
                    raise UserError(f"{name} at one time is in {a.source.path} and {b.source.path}: give it once")
        if steps:
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
    if any(np.isnan(step.season) for step in steps):
        print("warning: the files tell no date, season is set to 0", file=sys.stderr)
    return timeline


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


def _fields(timeline: dict, names: Names, grid: xr.Dataset) -> dict[str, tuple]:
    """Variable → (dimensions, shape, attributes) as the store takes them."""
    out = {}
    for name in timeline:
        variable = names.variables[name]
        dims = ("depth", "y", "x") if variable.deep else ("y", "x")
        attrs = {"mask": f"{variable.point}mask", **variable.attrs}
        out[name] = (dims, tuple(grid.sizes[d] for d in dims), attrs)
    return out


def _states(timeline: dict, names: Names, grid: xr.Dataset, fields: dict, cut: bool):
    """Yield (variable → float32 array, NaN on land; season), one state after another."""
    masks = {name: grid[attrs["mask"]].values.astype(bool) for name, (_, _, attrs) in fields.items()}
    for number in range(len(next(iter(timeline.values())))):
        state = {}
        for name, steps in timeline.items():
            step, mask = steps[number], masks[name] if names.variables[name].deep else masks[name][0]
            frame = step.source.read(name, step.index)
            if cut:
                frame = Frame(*(a[..., 1:-1] for a in (frame.values, frame.hole, frame.zero)))
            check_values(frame, name, names, mask, f"{step.source.path}, step {step.index}")
            state[name] = np.where(mask, frame.values, np.nan).astype("float32")
        yield state, float(np.nan_to_num(step.season))


def _check_same(out: Path, grid: xr.Dataset, fields: dict, setting: str, split: str):
    """What is added to a store must be states of the same ocean."""
    old = open_states(out)
    if OceanGrid.from_dataset(old).digest != OceanGrid.from_dataset(grid).digest:
        raise UserError(f"{out} holds another grid: write to another store")
    known = {str(k) for k, v in old.data_vars.items() if "mask" in v.attrs}
    if known != set(fields):
        raise UserError(
            f"{out} holds {', '.join(sorted(known))}, the files {', '.join(sorted(fields))}: give the same variables"
        )
    for key in ("parameters", "equation_of_state", "x_overlap"):
        mine, theirs = grid.attrs[key], old.attrs.get(key)
        if mine != theirs:
            raise UserError(f"{out} has {key} {theirs}, this call {mine}: give the same, in the same order")
    splits = set(old.split.values[old.setting.values == setting])
    if splits - {split}:
        raise UserError(
            f"setting {setting!r} is already in {out} as {splits.pop()!r}, not {split!r}: one setting, one split"
        )


def add_arguments(parser: argparse.ArgumentParser):
    """Options of ``ldm-ocean prepare``."""
    parser.add_argument(
        "sources", nargs="+", type=Path, help="files of one simulation: NetCDF-3/4, Zarr, Veros restart"
    )
    parser.add_argument("--out", "-o", type=Path, required=True, help="the Zarr store to write")
    parser.add_argument(
        "--mesh", type=Path, help="mesh_mask.nc (or a file to derive the mesh from); default: derive it from the files"
    )
    parser.add_argument(
        "--map", dest="mapping", type=Path, help="YAML table of names, units, dimensions and the land rule"
    )
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of this simulation; repeat"
    )
    parser.add_argument("--setting", help="name of this simulation (default: the first file's name)")
    parser.add_argument("--split", default="train", help="train, validation, test … (default: train)")
    parser.add_argument("--spinning-up", action="store_true", help="mark the states as not yet in equilibrium")
    parser.add_argument(
        "--variables", nargs="+", metavar="NAME", help="canonical variables that must be there; others are left out"
    )
    parser.add_argument(
        "--equation-of-state",
        choices=list(EQUATIONS),
        help=f"default: the source's own if it tells, else {DEFAULT_EQUATION}",
    )
    parser.add_argument("--append", action="store_true", help="add to the store if it exists")


def run(args: argparse.Namespace):
    """The subcommand."""
    parameters = {}
    for text in args.parameter:
        name, _, value = text.partition("=")
        try:
            parameters[name] = float(value)
        except ValueError as error:
            raise UserError(f"--parameter {text!r} is not NAME=VALUE: write for instance rn_ztau0=0.2") from error
    states = prepare(
        args.sources, args.out, mesh=args.mesh, mapping=args.mapping, parameters=parameters,
        setting=args.setting or args.sources[0].name.split(".")[0], split=args.split, equilibrium=not args.spinning_up,
        variables=args.variables, equation_of_state=args.equation_of_state, append=args.append,
        progress=sys.stderr.isatty(),
    )  # fmt: skip
    sizes = states.sizes
    found = ", ".join(str(k) for k, v in states.data_vars.items() if "mask" in v.attrs)
    print(f"{args.out}: {sizes['sample']} states of {found} on {sizes['depth']} × {sizes['y']} × {sizes['x']} cells")
