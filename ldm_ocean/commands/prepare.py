"""``ldm-ocean prepare``: output of any ocean model → a store of canonical states."""

import argparse
from pathlib import Path

from ..errors import UserError
from ..physics.eos import EQUATIONS
from .sample import assignments

EXAMPLES = """examples:
  NEMO means (T, U and V files of one run) with its mesh:
    ldm-ocean prepare run1_grid_T.nc run1_grid_U.nc run1_grid_V.nc --mesh mesh_mask.nc --out states.zarr \\
        --equation-of-state seos --setting run1 --parameter rn_ztau0=0.2 --parameter rn_tstar_n=5
  a second run into the same store, kept for testing:
    ldm-ocean prepare run2_*.nc --mesh mesh_mask.nc --out states.zarr --equation-of-state seos \\
        --setting run2 --split test --parameter rn_ztau0=0.3 --parameter rn_tstar_n=7 --append
  many runs in one call, from a table with the columns files, setting, split; parameters as their namelist_cfg has them:
    ldm-ocean prepare runs.csv --mesh mesh_mask.nc --equation-of-state seos --parameter rn_ztau0 \\
        --parameter rn_tstar_n --out states.zarr
  NEMO restarts:          ldm-ocean prepare *_restart.nc --mesh mesh_mask.nc --out states.zarr
  Veros averages:         ldm-ocean prepare acc.averages.nc --out acc.zarr
  a Veros restart:        ldm-ocean prepare acc.restart.h5 --mesh acc.snapshot.nc --out acc.zarr
  anything else, its names in a YAML table, such as
    variables: {theta_k: {to: toce, offset: -273.15}}
    dimensions: {lev: depth}
    ldm-ocean prepare model.nc --map names.yaml --out states.zarr"""


def add_arguments(parser: argparse.ArgumentParser):
    """Options of ``ldm-ocean prepare``."""
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        help="files of one simulation (NetCDF-3/4, Zarr, Veros restart), or a table of many (.csv, .yaml): a row for "
        "each, its columns files, setting and any of split, mesh, namelist, season, equilibrium, parameters",
    )
    parser.add_argument("--out", "-o", type=Path, required=True, help="the Zarr store to write")
    parser.add_argument(
        "--mesh", type=Path, help="mesh_mask.nc (or a file to derive the mesh from); default: derive it from the files"
    )
    parser.add_argument(
        "--map", dest="mapping", type=Path, help="YAML table of names, units, dimensions and the land rule"
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a parameter of this simulation, without a value as the namelist has it; repeat",
    )
    parser.add_argument("--namelist", type=Path, help="NEMO's, stored too (default: the namelist_cfg beside the files)")
    parser.add_argument("--setting", help="name of this simulation (default: the first file's name)")
    parser.add_argument("--split", default="train", help="train, validation, test … (default: train)")
    parser.add_argument(
        "--season",
        help="share of the year, 0 to 1: one, one for each state (0,0.25,…), or a variable; default: by their dates",
    )
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
    from ..io.prepare import prepare_all
    from ..io.simulations import TABLES, Simulation, read_table, season_of

    given, table = args.sources, args.sources[0].suffix in TABLES
    if table and len(given) > 1:
        raise UserError(f"{given[0]} is a table: give it alone, its rows name the files")
    one = Simulation(
        given, args.setting or given[0].name.split(".")[0], args.split, _parameters(args.parameter), args.mesh,
        args.namelist, season_of(args.season), equilibrium=not args.spinning_up,
    )  # fmt: skip
    states = prepare_all(
        read_table(given[0], one) if table else [one], args.out, args.mapping, args.variables, args.equation_of_state,
        args.append, progress=True,
    )  # fmt: skip
    sizes = states.sizes
    found = ", ".join(str(k) for k, v in states.data_vars.items() if "mask" in v.attrs)
    print(f"{args.out}: {sizes['sample']} states of {found} on {sizes['depth']} × {sizes['y']} × {sizes['x']} cells")


def _parameters(texts: list[str]) -> dict[str, float | None]:
    """NAME=VALUE, or NAME alone, which the namelist is to tell."""
    values = assignments([text if "=" in text else f"{text}=nan" for text in texts])
    return {name: None if name in texts else value for name, value in values.items()}
