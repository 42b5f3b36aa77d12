"""``ldm-ocean prepare``: output of any ocean model → a store of canonical states, one state in memory at a time."""

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from ..bar import bar
from ..errors import UserError
from ..io.lock import only_writer
from ..io.namelist import ATTRIBUTE
from ..io.names import Names
from ..io.output import check_apart, name_of_call
from ..io.run import Run, read_run
from ..io.simulations import (
    TABLES,
    Simulation,
    check_parameters,
    check_together,
    read_table,
    season_of,
    with_namelist,
)
from ..io.states import open_states
from ..io.store import CALLS, StateWriter
from ..ocean.grid import OceanGrid
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


def prepare(
    sources: list[Path], out: Path, mesh: Path | None = None, mapping: Path | None = None,
    parameters: dict[str, float | None] | None = None, setting: str = "setting", split: str = "train",
    equilibrium: bool = True, variables: list[str] | None = None, equation_of_state: str | None = None,
    append: bool = False, progress: bool = False, namelist: Path | None = None,
    season: float | list[float] | str | None = None,
) -> xr.Dataset:  # fmt: skip
    """``prepare_all`` of one simulation: the files ``sources`` are one ``setting`` with one set of ``parameters``."""
    one = Simulation(
        list(sources), setting, split, parameters or {}, mesh, namelist, season=season, equilibrium=equilibrium
    )
    return prepare_all([one], out, mapping, variables, equation_of_state, append, progress)


def prepare_all(
    simulations: list[Simulation], out: Path, mapping: Path | None = None, variables: list[str] | None = None,
    equation_of_state: str | None = None, append: bool = False, progress: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Write the states of ``simulations`` to the Zarr store ``out`` and open it.

    ``io.run.read_run`` says how the files of one are read and joined. The season comes from the calendar unless it is
    given; the namelist that lies beside the files, or that a simulation names, goes into the store's attributes.
    UserError, and no store, for anything that does not fit. The same call again after it was killed goes on where it
    was; after it was done, it does nothing.
    """
    out = Path(out)
    if not all(one.files for one in simulations):
        raise UserError("no files to prepare: name at least one")
    check_parameters(simulations, Names.load(mapping).variables)
    told = [with_namelist(one) for one in simulations]
    simulations, namelists = [one for one, _ in told], {one.setting: groups for one, groups in told if groups}
    check_together(simulations)
    inputs = [p for s in simulations for p in (*s.files, s.mesh, s.namelist, mapping) if p]
    asked = [(s.setting, s.split, s.parameters, s.season, s.equilibrium, len(s.files)) for s in simulations]
    call = name_of_call((asked, namelists, variables, equation_of_state), inputs)
    check_apart(out, inputs)
    with only_writer(out):
        if out.exists() and call in (states := open_states(out)).attrs.get(CALLS, []):
            return states
        runs = _opened(simulations, mapping, variables, equation_of_state)
        if append and out.exists():
            old = open_states(out)
            for one in simulations:
                _check_same(old, out, runs[0], one)
            namelists = json.loads(old.attrs.get(ATTRIBUTE, "{}")) | namelists
        attrs = {"parameters": list(simulations[0].parameters)}
        attrs |= {ATTRIBUTE: json.dumps(namelists)} if namelists else {}
        with StateWriter(out, runs[0].grid.assign_attrs(attrs), runs[0].fields, append, call) as writer:
            _write(writer, simulations, runs, progress)
        return open_states(out)


def _opened(simulations: list[Simulation], mapping, variables, equation_of_state) -> list[Run]:
    """The files of each simulation, checked to be of one ocean; they share one mesh in memory."""
    runs: list[Run] = []
    for one in simulations:
        run = read_run(one.files, one.mesh, mapping, variables, equation_of_state, one.season)
        if np.isnan(run.seasons).any():
            mend = "say it with --season, one for all, one for each, or a variable of the files"
            if len(run) > 1:
                raise UserError(f"the files of setting {one.setting!r} tell no date for {len(run)} states: {mend}")
            warnings.warn(f"the files of setting {one.setting!r} tell no date, season 0 is taken: {mend}", stacklevel=3)
        first = runs[0] if runs else run
        where = f"the mesh of setting {one.setting!r}"
        OceanGrid.from_dataset(first.grid).check_same(OceanGrid.from_dataset(run.grid), where, "prepare it by itself")
        _check_alike(first.fields, first.grid.attrs, run, f"setting {simulations[0].setting!r}")
        runs.append(replace(run, grid=first.grid, seasons=np.nan_to_num(run.seasons)))
    return runs


def _write(writer: StateWriter, simulations: list[Simulation], runs: list[Run], progress: bool) -> None:
    """Append every state that is not there yet."""
    done, total = len(writer.labels), sum(map(len, runs))
    with bar(total, "state", done, "prepare", progress) as shown:
        for one, run in zip(simulations, runs, strict=True):
            first = min(done, len(run))
            done -= first
            labels = {"setting": one.setting, "split": one.split}
            for state, season in run.states(first):
                writer.append(state, labels | {"season": season, "equilibrium": one.equilibrium} | one.parameters)
                shown.update()


def _check_same(old: xr.Dataset, out: Path, run: Run, one: Simulation) -> None:
    """What is added to a store must be states of the same ocean."""
    OceanGrid.from_dataset(run.grid).check_same(OceanGrid.from_dataset(old), str(out), "write to another store")
    known = {str(k): v for k, v in old.data_vars.items() if "mask" in v.attrs}
    _check_alike(known, old.attrs, run, str(out))
    if list(one.parameters) != (theirs := list(old.attrs["parameters"])):
        raise UserError(
            f"{out} has parameters {theirs}, this call {list(one.parameters)}: give the same, in the same order"
        )
    splits = set(old.split.values[old.setting.values == one.setting])
    if splits - {one.split}:
        raise UserError(
            f"setting {one.setting!r} is already in {out} as {splits.pop()!r}, not {one.split!r}: "
            "one setting, one split"
        )


def _check_alike(fields: dict, attrs: dict, run: Run, where: str) -> None:
    if set(fields) != set(run.fields):
        raise UserError(
            f"{where} holds {', '.join(sorted(fields))}, the files {', '.join(sorted(run.fields))}: "
            "give the same variables"
        )
    for key in ("equation_of_state", "x_overlap"):
        if (mine := run.grid.attrs.get(key)) != (theirs := attrs.get(key)):
            raise UserError(f"{where} has {key} {theirs}, these files {mine}: give the same")


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
