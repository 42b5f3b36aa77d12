"""NEMO's namelists: parameters of a run, what sets one run apart from others, and the block that starts from a restart.

A namelist here is a plain table, group → name → value, all names in lower case as Fortran takes them. It holds what the
file sets and no more: what a ``namelist_cfg`` leaves to ``namelist_ref`` is not in it.
"""

import json
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import f90nml

from ..errors import UserError
from .nemo import LAYOUT, date_of, day_of

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


def differences(found: Namelist, prepared: Namelist) -> list[str]:
    """What a run does otherwise than the prepared runs did, but for how it is steered: a line for each name."""
    lines = []
    for group in sorted(prepared.keys() - set(NAMES["steering"])):
        own = found.get(group, {})
        for name, value in sorted(prepared[group].items()):
            if name not in own:
                lines.append(f"{name} (&{group}) is not set, {value!r} in the prepared runs")
            elif own[name] != value:
                lines.append(f"{name} (&{group}) is {own[name]!r}, {value!r} in the prepared runs")
    return lines


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
