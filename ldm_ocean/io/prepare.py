"""Output of any ocean model → a store of canonical states, one state in memory at a time."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from ..bar import bar
from ..errors import UserError
from ..ocean.grid import OceanGrid
from .history import History, read_history
from .lock import only_writer
from .namelist import ATTRIBUTE
from .names import Names
from .output import check_apart, name_of_call
from .simulations import (
    Simulation,
    check_parameters,
    check_together,
    with_namelist,
)
from .states import open_states
from .store import CALLS, StateWriter


def prepare(
    sources: list[Path], out: Path, mesh: Path | None = None, mapping: Path | None = None,
    parameters: dict[str, float | None] | None = None, setting: str = "setting", split: str = "train",
    equilibrium: bool = True, variables: list[str] | None = None, equation_of_state: str | None = None,
    append: bool = False, progress: bool = False, namelist: Path | None = None,
    season: float | list[float] | str | None = None,
) -> xr.Dataset:  # fmt: skip
    """``prepare_all`` of one simulation: the files ``sources`` are one ``setting`` with one set of ``parameters``."""
    files = [Path(p) for p in sources]
    one = Simulation(files, setting, split, parameters or {}, mesh, namelist, season=season, equilibrium=equilibrium)
    return prepare_all([one], out, mapping, variables, equation_of_state, append, progress)


def prepare_all(
    simulations: list[Simulation], out: Path, mapping: Path | None = None, variables: list[str] | None = None,
    equation_of_state: str | None = None, append: bool = False, progress: bool = False,
) -> xr.Dataset:  # fmt: skip
    """Write the states of ``simulations`` to the Zarr store ``out`` and open it.

    ``io.history.read_history`` says how the files of one are read and joined. The season comes from the calendar unless
    it is given; the namelist that lies beside the files, or that a simulation names, goes into the store's attributes.
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
        attrs: dict[str, str | list[str]] = {"parameters": list(simulations[0].parameters)}
        attrs |= {ATTRIBUTE: json.dumps(namelists)} if namelists else {}
        with StateWriter(out, runs[0].grid.assign_attrs(attrs), runs[0].fields, append, call) as writer:
            _write(writer, simulations, runs, progress)
        return open_states(out)


def _opened(simulations: list[Simulation], mapping, variables, equation_of_state) -> list[History]:
    """The files of each simulation, checked to be of one ocean; they share one mesh in memory."""
    runs: list[History] = []
    for one in simulations:
        run = read_history(one.files, one.mesh, mapping, variables, equation_of_state, one.season)
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


def _write(writer: StateWriter, simulations: list[Simulation], runs: list[History], progress: bool) -> None:
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


def _check_same(old: xr.Dataset, out: Path, run: History, one: Simulation) -> None:
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


def _check_alike(fields: dict, attrs: dict, run: History, where: str) -> None:
    if set(fields) != set(run.fields):
        raise UserError(
            f"{where} holds {', '.join(sorted(fields))}, the files {', '.join(sorted(run.fields))}: "
            "give the same variables"
        )
    for key in ("equation_of_state", "x_overlap"):
        if (mine := run.grid.attrs.get(key)) != (theirs := attrs.get(key)):
            raise UserError(f"{where} has {key} {theirs}, these files {mine}: give the same")
