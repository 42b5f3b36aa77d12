"""``ldm-ocean prepare``: output of any ocean model → a store of canonical states, one state in memory at a time."""

import argparse
import sys
from pathlib import Path

import xarray as xr
from tqdm import tqdm

from ..errors import UserError
from ..io.lock import only_writer
from ..io.output import check_apart, name_of_call
from ..io.run import read_run
from ..io.states import check_names, open_states
from ..io.store import CALLS, StateWriter
from ..ocean.grid import OceanGrid
from ..physics.eos import EQUATIONS

EXAMPLES = """examples:
  NEMO means (T, U and V files of one run) with its mesh:
    ldm-ocean prepare run1_grid_T.nc run1_grid_U.nc run1_grid_V.nc --mesh mesh_mask.nc --out states.zarr \\
        --equation-of-state seos --setting run1 --parameter rn_ztau0=0.2 --parameter rn_tstar_n=5
  a second run into the same store, kept for testing:
    ldm-ocean prepare run2_*.nc --mesh mesh_mask.nc --out states.zarr --equation-of-state seos \\
        --setting run2 --split test --parameter rn_ztau0=0.3 --parameter rn_tstar_n=5 --append
  NEMO restarts:          ldm-ocean prepare *_restart.nc --mesh mesh_mask.nc --out states.zarr
  Veros averages:         ldm-ocean prepare acc.averages.nc --out acc.zarr
  a Veros restart:        ldm-ocean prepare acc.restart.h5 --mesh acc.snapshot.nc --out acc.zarr
  anything else, its names in a YAML table, such as
    variables: {theta_k: {to: toce, offset: -273.15}}
    dimensions: {lev: depth}
    ldm-ocean prepare model.nc --map names.yaml --out states.zarr"""


def prepare(
    sources: list[Path], out: Path, mesh: Path | None = None, mapping: Path | None = None,
    parameters: dict[str, float] | None = None, setting: str = "setting", split: str = "train",
    equilibrium: bool = True, variables: list[str] | None = None, equation_of_state: str | None = None,
    append: bool = False, progress: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Write the states found in ``sources`` to the Zarr store ``out`` and open it.

    The files of one call are one ``setting``: one simulation with one set of ``parameters`` (name → value);
    ``io.run.read_run`` says how they are read and joined. Season comes from the calendar, 0 where there is none.
    UserError, and no store, for anything that does not fit. The same call again after it was killed goes on where it
    was; after it was done, it does nothing.
    """
    parameters, out = {k: float(v) for k, v in (parameters or {}).items()}, Path(out)
    asked = (parameters, setting, split, equilibrium, variables, equation_of_state)
    check_names([setting], "--setting")
    inputs = [*sources, *filter(None, (mesh, mapping))]
    call = name_of_call(asked, inputs)
    check_apart(out, inputs)
    with only_writer(out):
        if out.exists() and call in (states := open_states(out)).attrs.get(CALLS, []):
            return states
        run = read_run(sources, mesh, mapping, variables, equation_of_state)
        grid = run.grid.assign_attrs(parameters=list(parameters))
        if append and out.exists():
            _check_same(out, grid, run.fields, setting, split)
        with StateWriter(out, grid, run.fields, append, call) as writer:
            first = len(writer.labels)
            bar = tqdm(run.states(first), total=len(run), initial=first, unit="state", disable=not progress)
            for state, season in bar:
                labels = {"setting": setting, "split": split, "season": season, "equilibrium": equilibrium}
                writer.append(state, labels | parameters)
        return open_states(out)


def _check_same(out: Path, grid: xr.Dataset, fields: dict, setting: str, split: str):
    """What is added to a store must be states of the same ocean."""
    old = open_states(out)
    OceanGrid.from_dataset(grid).check_same(OceanGrid.from_dataset(old), str(out), "write to another store")
    known = {str(k) for k, v in old.data_vars.items() if "mask" in v.attrs}
    if known != set(fields):
        raise UserError(
            f"{out} holds {', '.join(sorted(known))}, the files {', '.join(sorted(fields))}: give the same variables"
        )
    for key in ("parameters", "equation_of_state", "x_overlap"):
        mine, theirs = grid.attrs.get(key), old.attrs.get(key)
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
        help="of files that do not tell their own: without it, nothing that needs density can be done with the states",
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
