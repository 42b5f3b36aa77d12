"""``ldm-ocean restart``: states → files that NEMO or Veros start from; ``--check`` judges any file by NEMO's rules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

from ..errors import UserError
from ..io.lock import only_writer
from ..io.output import check_apart
from ..physics.eos import EQUATIONS
from ..shipped import find
from . import options

if TYPE_CHECKING:  # what takes seconds to import is imported where it is used: `--help` needs none of it
    import xarray as xr

    from ..io.restart_rules import Finding

VEROS_ENDING = ".restart.h5"
EXAMPLES = """examples:
  ldm-ocean restart samples.zarr --mesh mesh_mask.nc --rdt 2700 --out run/DINO_restart.nc --member 0
  ldm-ocean restart samples.zarr --mesh mesh_mask.nc --template OWN_00172800_restart.nc --out run/DINO_restart.nc
      (all members: run/DINO_m000_restart.nc, run/DINO_m001_restart.nc …)
  ldm-ocean restart samples.zarr --mesh other_mesh_mask.nc --regrid --rdt 2700 --out run/DINO_restart.nc
  ldm-ocean restart --check run/DINO_restart.nc --mesh mesh_mask.nc --equation-of-state seos
  ldm-ocean restart samples.zarr --out run/dino.restart.h5          for the basin of `ldm-ocean simulate`, on Veros
exit code: 0 nothing but notes, 1 NEMO would stop or the run be spoilt, 2 bad input
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean restart``."""
    parser.add_argument(
        "states", nargs="*", type=find, help="a store (sample, prepare, simulate), or a model's own files on MESH"
    )
    parser.add_argument("--mesh", type=Path, help="for NEMO: mesh_mask.nc written by the binary that will run")
    parser.add_argument("--out", "-o", type=Path, help="a name in _restart.nc (NEMO) or .restart.h5 (Veros)")
    parser.add_argument(
        "--member", type=int, action="append", help="number of the state in the store, from 0; repeat (default: all)"
    )
    parser.add_argument("--template", type=Path, help="a restart of your own configuration: what we do not know stays")
    parser.add_argument("--rdt", type=float, help="time step of the run [s]; default: by its namelist or template")
    parser.add_argument(
        "--namelist",
        type=Path,
        help="that of the run, to be compared with the states (default: namelist_cfg beside OUT)",
    )
    parser.add_argument("--regrid", action="store_true", help="interpolate states of another grid, then stabilise")
    parser.add_argument(
        "--equation-of-state", choices=list(EQUATIONS), help="of a file that does not tell, to judge and mend stability"
    )
    options.overwrite(parser)
    parser.add_argument("--check", type=Path, metavar="FILE", help="write nothing, judge this restart")


def run(args: argparse.Namespace) -> None:
    """Write and judge, or only judge; exit code 1 where NEMO would stop or the run be spoilt."""
    if args.check is not None:
        if args.states or args.out or args.member or args.template or args.namelist or args.regrid:
            raise UserError(
                "--check judges a file that is there: give only --mesh and --rdt, --equation-of-state with it"
            )
        good = _judged(args)
    elif not args.states or args.out is None:
        raise UserError("give states and --out, or a file to --check")
    elif not args.out.resolve().parent.is_dir():
        raise UserError(f"no folder {args.out.resolve().parent}: create it first")
    else:
        good = _for_veros(args) if args.out.name.endswith(VEROS_ENDING) else _for_nemo(args)
    if not good:
        sys.exit(1)


def _judged(args: argparse.Namespace) -> bool:
    """Print what NEMO would find in a file; whether there are only notes."""
    from ..io.nemo import read_grid
    from ..io.restart_rules import NOTE, check_restart

    grid = replace(read_grid(_mesh(args)), equation_of_state=args.equation_of_state)
    findings = list(check_restart(args.check, grid, args.rdt))
    _print(findings)
    return all(f.kind == NOTE for f in findings)


def _for_nemo(args: argparse.Namespace) -> bool:
    """Write NEMO's restarts; whether all of them are good."""
    from ..io.nemo import check_name
    from ..io.starts import starts

    check_name(args.out)
    mesh, good = _mesh(args), True
    for start in starts(
        _states(args), args.out, mesh, args.member or (), args.template, args.rdt, args.namelist, args.regrid,
        args.overwrite, args.states,
    ):  # fmt: skip
        print(f"{start.path}: state {start.number}\n{indent(start.namelist, '  ')}", end="")
        _print(start.findings)
        good &= start.good
    return good


def _for_veros(args: argparse.Namespace) -> bool:
    """Write Veros' restarts of the basin that ``simulate`` runs; the state's number seeds the weather."""
    if args.template or args.rdt or args.mesh or args.namelist:
        raise UserError("--mesh, --template, --namelist and --rdt are NEMO's: for Veros the basin tells them")
    if find_spec("veros") is None:
        raise UserError("Veros is not installed: pip install 'ldm_ocean[sim]'")
    from ..io.nemo import LAYOUT, difference, start_fields
    from ..io.starts import chosen, regridded
    from ..io.times import IDEAL_YEAR
    from ..ocean.grid import OceanGrid
    from ..simulate import veros_restart
    from ..simulate.dino import Dino
    from ..simulate.pool import the_model

    check_apart(args.out, args.states)
    ocean, states = Dino(), _states(args)
    if lacking := [k for k in ocean.ranges if k not in states.coords]:
        raise UserError(f"the states do not tell {', '.join(lacking)}: the basin cannot run without")
    model = the_model(ocean)
    grid = OceanGrid.from_dataset(model.mesh())
    asked = (args.regrid, args.equation_of_state)
    with only_writer(args.out):
        for number, path, state, own in chosen(
            states, args.out, VEROS_ENDING, args.member or (), asked, args.states, args.overwrite
        ):
            if args.regrid and difference(state, grid) is not None:
                state = regridded(state, grid)
            fields, one = start_fields(state, grid), state.isel(sample=0)
            parameters = {k: float(one[k]) for k in ocean.ranges}
            arrays = {name: fields[raw] for name, raw in LAYOUT["now"].items()}
            day = round(float(one.season) * IDEAL_YEAR) % int(IDEAL_YEAR)
            veros_restart.write(path, model, veros_restart.begin(model, arrays, parameters, number, day), own)
            print(f"{path}: state {number}, day {day} of the year")
    return True


def _mesh(args: argparse.Namespace) -> Path:
    if args.mesh is None:
        raise UserError("NEMO's masks are needed: give --mesh mesh_mask.nc")
    return args.mesh


def _states(args: argparse.Namespace) -> xr.Dataset:
    from ..io.history import read_history
    from ..io.states import is_canonical, open_states

    paths = args.states
    if len(paths) == 1 and (paths[0].is_dir() or is_canonical(paths[0])):
        if args.equation_of_state:
            raise UserError(f"{paths[0]} is no file: --equation-of-state was given to `ldm-ocean prepare`")
        return open_states(paths[0])
    run = read_history(paths, args.mesh, equation_of_state=args.equation_of_state)
    return run.load(paths[0].name.split(".")[0])


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"  {finding}")
