"""``ldm-ocean restart``: states → files that NEMO starts from; ``--check`` applies NEMO's reading rules to any file."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import xarray as xr

from . import adjust
from .data.states import is_canonical, open_states
from .errors import UserError
from .grid import OceanGrid
from .io.nemo import ENDING, check_name, difference, read_grid, write_restart
from .io.restart_rules import NOTE, check_restart
from .io.run import read_run
from .physics.eos import differentiable
from .regrid import regrid

EXAMPLES = """examples:
  ldm-ocean restart samples.zarr --mesh mesh_mask.nc --rdt 2700 --out run/DINO_restart.nc --member 0
  ldm-ocean restart samples.zarr --mesh mesh_mask.nc --template OWN_00172800_restart.nc --out run/DINO_restart.nc
      (all members: run/DINO_m000_restart.nc, run/DINO_m001_restart.nc …)
  ldm-ocean restart samples.zarr --mesh other_mesh_mask.nc --regrid --rdt 2700 --out run/DINO_restart.nc
  ldm-ocean restart --check run/DINO_restart.nc --mesh mesh_mask.nc
exit code: 0 nothing but notes, 1 the model would stop or the run be spoilt, 2 bad input
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean restart``."""
    parser.add_argument(
        "states", nargs="*", type=Path, help="a store (sample, prepare, simulate), or a model's own files on MESH"
    )
    parser.add_argument("--mesh", type=Path, required=True, help="mesh_mask.nc written by the binary that will run")
    parser.add_argument("--out", "-o", type=Path, help=f"a name that ends in {ENDING}")
    parser.add_argument(
        "--member", type=int, action="append", help="number of the state in the store, from 0; repeat (default: all)"
    )
    parser.add_argument("--template", type=Path, help="a restart of your own configuration: what we do not know stays")
    parser.add_argument("--rdt", type=float, help="time step of the run [s]; default: the file's own, if it tells")
    parser.add_argument("--regrid", action="store_true", help="interpolate states of another grid, then stabilise")
    parser.add_argument("--check", type=Path, metavar="FILE", help="write nothing, judge this restart")


def run(args: argparse.Namespace) -> None:
    """Write and judge, or only judge; exit code 1 where NEMO would stop or the run be spoilt."""
    if args.check is not None:
        if args.states or args.out or args.member or args.template or args.regrid:
            raise UserError("--check judges a file that is there: give only --mesh and --rdt with it")
        return _exit(_judge(args.check, read_grid(args.mesh), args.rdt))
    if not args.states or args.out is None:
        raise UserError("give states and --out, or a file to --check")
    check_name(args.out)
    if args.template and args.out.resolve() == args.template.resolve():
        raise UserError(f"{args.out} is the template: choose another name")
    states, grid = _states(args.states, args.mesh), read_grid(args.mesh)
    grid = replace(grid, equation_of_state=states.attrs.get("equation_of_state"))
    numbers = _numbers(args.member, states.sizes["sample"])
    good = True
    for number in numbers:
        path = args.out if len(numbers) == 1 else _numbered(args.out, number)
        state = states.isel(sample=[number]).load()
        if args.regrid and difference(state, grid) is not None:
            state = regridded(state, grid)
        kt = write_restart(path, state, grid, args.template, args.rdt)
        print(f"{path}: state {number}\n{_namelist(path, kt)}")
        good &= _judge(path, grid, args.rdt)
    _exit(good)


def regridded(states: xr.Dataset, grid: OceanGrid) -> xr.Dataset:
    """States interpolated to ``grid``; no density inversion is left where the equation of state is known."""
    if grid.equation_of_state is None:
        return regrid(states, grid)
    differentiable(grid.equation_of_state)
    return adjust.convective(regrid(states, grid))


def _states(paths: list[Path], mesh: Path) -> xr.Dataset:
    if len(paths) == 1 and (paths[0].is_dir() or is_canonical(paths[0])):
        return open_states(paths[0])
    return read_run(paths, mesh).load(paths[0].name.split(".")[0])


def _numbers(asked: list[int] | None, count: int) -> list[int]:
    for number in asked or []:
        if not 0 <= number < count:
            raise UserError(f"no state {number}: there are {count}, numbered from 0")
    return sorted(set(asked)) if asked else list(range(count))


def _numbered(path: Path, number: int) -> Path:
    """The number before the ending: behind it NEMO would take the file for a rank's piece."""
    return path.with_name(f"{path.name.removesuffix(ENDING)}_m{number:03d}{ENDING}")


def _namelist(path: Path, kt: int | None) -> str:
    date = "nn_rstctl = 0" if kt is None else f"nn_it000 = {kt + 1}, nn_rstctl = 2"
    folder = path.resolve().parent
    return f"  &namrun: ln_rstart = .true., cn_ocerst_in = '{path.stem}', cn_ocerst_indir = '{folder}', {date}"


def _judge(path: Path, grid: OceanGrid, rdt: float | None) -> bool:
    """Print every finding; True where there are only notes."""
    findings = check_restart(path, grid, rdt)
    for finding in findings:
        print(f"  {finding}")
    return all(f.kind == NOTE for f in findings)


def _exit(good: bool) -> None:
    if not good:
        sys.exit(1)
