"""Which files belong to which simulation, and what is known of each: from a table (CSV or YAML), or told one by one.

A table has a row for each simulation, or part of one. Its columns, of which ``files`` and ``setting`` are needed:

    files        globs, seen from the table's folder; in CSV with blanks between them, in YAML as a list too
    setting      name of the simulation; rows of the same one must have the same split and parameters
    split        train, validation, test …
    mesh, namelist    files, seen from the table's folder
    season       share of the year, 0 to 1: one, one for each state, or a variable of the files
    equilibrium  true, or false for states that are still spinning up
    anything else is a parameter; where its cell is empty, the namelist tells its value
"""

import csv
import glob
import math
import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..ocean.grid import MESH
from . import plain_yaml
from .namelist import Namelist, beside, numbers_of, read_namelist
from .states import check_names

TABLES = (".csv", ".yaml", ".yml")
COLUMNS = ("files", "setting", "split", "mesh", "namelist", "season", "equilibrium")
LABELS = ("setting", "split", "season", "equilibrium", "sample", "member", "depth", "y", "x")
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Simulation:
    """Files of one simulation, or of a part of it; a parameter without a value (None) has that of the namelist."""

    files: list[Path]
    setting: str
    split: str = "train"
    parameters: dict[str, float | None] = field(default_factory=dict)
    mesh: Path | None = None
    namelist: Path | None = None
    season: float | list[float] | str | None = None
    equilibrium: bool = True


def read_rows(path: Path) -> list[dict]:
    """The rows of a table, column → cell without blanks around it; UserError in one line for what is no table."""
    if path.suffix == ".csv":
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file, skipinitialspace=True, strict=True))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"cannot read {path} ({error}): is it a CSV table?") from error
    else:
        rows = plain_yaml.read(path)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{path} is no list of rows: begin each with `- ` and a column, as in `- setting: run1`")
    if not rows:
        raise UserError(f"{path} has no rows: give one for each simulation")
    if crowded := next((n for n, row in enumerate(rows, 1) if None in row), None):
        raise UserError(f"row {crowded} of {path} has more cells than the table has columns: mend it")
    return [{str(k).strip(): v.strip() if isinstance(v, str) else v for k, v in row.items()} for row in rows]


def read_table(path: Path, default: Simulation) -> list[Simulation]:
    """The simulations of a table; what a row leaves open is as in ``default``. UserError in one line, with the row."""
    rows = read_rows(path)
    return [_row(row, path.parent, default, f"row {n} of {path}") for n, row in enumerate(rows, 1)]


def season_of(value: Any) -> float | list[float] | str | None:
    """A season as it is written: a number, several with commas between them, or the name of a variable."""
    if not isinstance(value, str):
        return value
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        return value.strip()
    return numbers[0] if len(numbers) == 1 else numbers


def with_namelist(simulation: Simulation) -> tuple[Simulation, Namelist | None]:
    """The simulation with a value for each parameter, and its namelist: the one it names, or that beside its files.

    UserError where a value is in neither, or where the two contradict each other.
    """
    path = simulation.namelist or beside(simulation.files[0])
    groups = read_namelist(path) if path else None
    where = path or f"a namelist beside {simulation.files[0]}, for there is none"
    parameters: dict[str, float | None] = {}
    for name, value in simulation.parameters.items():
        told = numbers_of(name, groups or {})
        if value is None and len(told) != 1:
            several = f", which sets it to {' and '.join(map(str, sorted(told)))}" if told else ""
            raise UserError(f"{name} has no value in {where}{several}: write {name}=VALUE, or name a --namelist")
        if value is not None and told and not any(math.isclose(value, v, rel_tol=1e-6) for v in told):
            raise UserError(
                f"{name}={value:g} for setting {simulation.setting!r}, {told.pop():g} in {path}: correct one of them"
            )
        parameters[name] = told.pop() if value is None else float(value)
    return replace(simulation, parameters=parameters), groups


def check_parameters(simulations: list[Simulation], variables: Collection[str]) -> None:
    """UserError for a name that is no word, or that a label, the mesh or one of the ``variables`` has in a store, and
    for a value that is not finite."""
    for name, value in [pair for one in simulations for pair in one.parameters.items()]:
        if not NAME.fullmatch(name):
            raise UserError(f"a parameter cannot be called {name!r}: use letters, digits and _, as in a namelist")
        if name in (*LABELS, *MESH, *variables):
            raise UserError(
                f"a parameter cannot be called {name!r}, for states have that themselves: choose another name"
            )
        if value is not None and not math.isfinite(value):
            raise UserError(f"parameter {name}={value} is not a number: give a finite value")


def check_together(simulations: list[Simulation]) -> None:
    """UserError unless all have the same parameters, and rows of one setting agree."""
    known: dict[str, Simulation] = {}
    for one in simulations:
        check_names([one.setting], "the table" if len(simulations) > 1 else "--setting")
        if one.parameters.keys() != simulations[0].parameters.keys():
            raise UserError(
                f"setting {one.setting!r} has the parameters {', '.join(one.parameters) or 'none'}, "
                f"{simulations[0].setting!r} {', '.join(simulations[0].parameters) or 'none'}: give all to each"
            )
        first = known.setdefault(one.setting, one)
        if (one.split, one.parameters) != (first.split, first.parameters):
            raise UserError(f"setting {one.setting!r} has two splits, or two values of a parameter: give it one")


def _row(row: dict, folder: Path, default: Simulation, where: str) -> Simulation:
    given = {k: v for k, v in row.items() if v not in (None, "")}
    if lacking := [k for k in COLUMNS[:2] if k not in given]:
        raise UserError(f"{where} has no {lacking[0]}: every simulation needs {' and '.join(COLUMNS[:2])}")
    known: dict[str, Any] = {k: str(given[k]) for k in ("setting", "split") if k in given}
    known |= {k: folder / str(given[k]) for k in ("mesh", "namelist") if k in given}
    known |= {"season": season_of(given["season"])} if "season" in given else {}
    if "equilibrium" in given:
        truth = str(given["equilibrium"]).lower()
        if truth not in TRUTH:
            raise UserError(f"{where}: equilibrium is {truth!r}: write true or false")
        known["equilibrium"] = TRUTH[truth]
    parameters = {k: _number(given[k], k, where) if k in given else None for k in row if k not in COLUMNS}
    files = matching(given["files"], folder, where)
    return replace(default, **known, files=files, parameters={**default.parameters, **parameters})


def _number(value: Any, name: str, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{where}: {name} is {value!r}, not a number{nearest(name, COLUMNS)}") from None


def matching(patterns: Any, folder: Path, where: str) -> list[Path]:
    """Those that the globs match, in order; UserError for a glob that matches none."""
    out: list[Path] = []
    try:
        wanted = patterns if isinstance(patterns, list) else shlex.split(str(patterns))
    except ValueError as error:
        raise UserError(f"{where}: files is {patterns!r} ({error}): mend its quotes") from error
    for pattern in wanted:
        found = sorted(glob.glob(str(Path(glob.escape(str(folder))) / str(pattern)), recursive=True))
        if not found:
            raise UserError(f"{where}: no file matches {pattern!r} in {folder}: check the name")
        out += [path for path in map(Path, found) if path not in out]
    return out
