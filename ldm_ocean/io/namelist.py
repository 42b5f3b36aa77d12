"""NEMO's namelists: parameters of a run, what sets one run apart from others, and the block that starts from a restart.

A namelist here is a plain table, group → name → value, all names in lower case as Fortran takes them. It holds what the
file sets and no more: what a ``namelist_cfg`` leaves to ``namelist_ref`` is not in it.
"""

import json
import math
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import f90nml
import numpy as np
import xarray as xr

from ..errors import UserError
from .nemo import LAYOUT, date_of, day_of
from .restart_rules import NOTE, SPOILS, Finding

Namelist = dict[str, dict[str, Any]]
ATTRIBUTE = "namelists"  # of a store: JSON, setting → namelist
SHARED = "namelist"  # of generated states: JSON, what the namelists of all training settings say alike
NAMES = LAYOUT["namelist"]


def read_namelist(path: Path) -> Namelist:
    """The content of a file; UserError for what is no Fortran namelist."""
    try:
        with redirect_stdout(StringIO()):  # the parser prints its tables where it gives up
            groups = f90nml.read(path).todict()
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the path") from error
    except Exception as error:  # the parser has many of its own
        reason = f"{type(error).__name__} {error}".strip()
        raise UserError(f"{path} is not a Fortran namelist ({reason:.100}): mend it, or name another") from error
    if not groups:
        raise UserError(f"{path} holds no &group: is it a Fortran namelist?")
    return json.loads(json.dumps(groups, default=str))  # plain lists, tables and numbers


def beside(path: Path) -> Path | None:
    """The namelist that NEMO reads in the folder of ``path``, where there is one."""
    found = path.resolve().parent / NAMES["file"]
    return found if found.is_file() else None


def numbers_of(name: str, groups: Namelist) -> set[float]:
    """The numbers that ``name`` has, in whichever groups."""
    found = [values[name.lower()] for values in groups.values() if name.lower() in values]
    return {float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)}


def time_step(groups: Namelist) -> float | None:
    """Seconds, None where the namelist leaves it to its reference."""
    found = [values[k] for values in groups.values() for k in NAMES["time_step"] if k in values]
    return float(found[0]) if found else None


def shared(namelists: Iterable[Namelist]) -> Namelist:
    """What all of them say alike."""
    first, *others = namelists
    return {
        group: {k: v for k, v in values.items() if all(k in n.get(group, {}) and n[group][k] == v for n in others)}
        for group, values in first.items()
    }


def shared_by(settings: Iterable[str], attrs: dict) -> dict[str, Namelist]:
    """``SHARED`` of these settings of a store by its attributes; empty where it keeps no namelist of theirs."""
    kept = json.loads(attrs.get(ATTRIBUTE, "{}"))
    own = [kept[name] for name in settings if name in kept]
    return {SHARED: shared(own)} if own else {}


def check_run(state: xr.Dataset, found: Namelist, path: Path) -> list[Finding]:
    """What sets the run of the namelist ``found`` at ``path`` apart from the runs that ``state`` (one sample) is like.

    Another value of a parameter of the state spoils the run. Any other value than that of the prepared runs is a note,
    unless it only steers a run (dates, numbers of steps, output).
    """
    findings = []
    names = [str(k) for k in np.atleast_1d(state.attrs.get("parameters", [])) if k in state.coords]
    for name in names:
        value, told = float(np.ravel(state[name].values)[0]), numbers_of(name, found)
        if told and not any(math.isclose(value, v, rel_tol=1e-6) for v in told):
            findings.append(Finding(SPOILS, f"{name} is {told.pop():g} in {path}, the state is of {value:g}: set it"))
    lines = []
    for group, values in _prepared(state).items():
        own = found.get(group, {})
        for name, value in values.items() if group not in NAMES["steering"] else ():
            if name not in map(str.lower, names) and not (name in own and own[name] == value):
                lines.append(f"{name} (&{group}) is {repr(own[name]) if name in own else 'not set'}, not {value!r}")
    if lines:
        findings.append(Finding(NOTE, f"{path} is not that of the prepared runs: {'; '.join(lines)}"))
    return findings


def _prepared(state: xr.Dataset) -> Namelist:
    """The namelist of the run that a state comes from, or what those of all training settings share."""
    kept = json.loads(state.attrs.get(ATTRIBUTE, "{}"))
    setting = str(np.ravel(state["setting"].values)[0]) if "setting" in state.coords else ""
    return kept.get(setting) or json.loads(state.attrs.get(SHARED, "{}"))


def start_block(restart: Path, kt: int | None, season: float | None) -> str:
    """The namelist group that starts NEMO from the file ``restart``, whose last step is ``kt`` (None: it has no date).

    ``season`` (share of the year) gives the date of the first day in months of 30 days. Where neither the file nor
    anybody has told the time step, a comment says how the first step follows from it.
    """
    lines = {"ln_rstart": True, "cn_ocerst_in": restart.stem, "cn_ocerst_indir": str(restart.resolve().parent)}
    lines |= {"ln_1st_euler": True, "nn_rstctl": 0 if kt is None else 2}
    if kt is not None:
        lines["nn_it000"] = kt + 1
    comment = "" if kt is not None else "! the state tells no season: choose nn_it000 and nn_date0\n"
    if season is not None:
        day = day_of(season)
        lines["nn_date0"] = date_of(day + 1)
        comment = comment and f"! to be added: nn_it000 = {day} * 86400 / rn_Dt + 1 (--rdt, and it is written here)\n"
    return f"{comment}{f90nml.Namelist({NAMES['start']: lines})}\n"
