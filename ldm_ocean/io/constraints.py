"""Constraints from YAML."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..errors import UserError
from ..ocean.constraints import KINDS, Constraint, Stratification
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .schema import check_keys, table
from .states import open_states


def read(path: Path, fields: Fields, grid: OceanGrid) -> list[Constraint]:
    """Constraints from YAML: each kind with its options, or a list of them (``configs/constraints`` holds examples).

    ``stratification`` takes ``like``, a store whose (equilibrium) states' mean it is to have, in place of ``steps``;
    ``surface_flux`` takes as ``target`` a file with one variable (y, x). UserError says which entry is wrong.
    """
    if not path.is_file():
        raise UserError(f"no constraints at {path}: configs/constraints holds examples")
    content = table(path, example := "stability: {tolerance: 0.001}")
    if not content:
        raise UserError(f"{path} holds no constraints: write e.g. `{example}`")
    check_keys(content, KINDS, str(path), "constraint")
    out = []
    for kind, entries in content.items():
        for options in entries if isinstance(entries, list) else [entries]:
            out.append(_constraint(kind, {} if options is None else options, f"{kind} in {path}", fields, grid))
    return out


def _constraint(kind: str, options: Any, where: str, fields: Fields, grid: OceanGrid) -> Constraint:
    known = {f.name: f for f in dataclasses.fields(KINDS[kind])}
    if not isinstance(options, dict):
        raise UserError(f"{where} is {options!r}: write its options by name, e.g. {{tolerance: 0.001}}")
    if kind == "stratification" and "like" in options:
        if "steps" in options:
            raise UserError(f"{where} has both like and steps: give one")
        options["steps"] = _steps_of(Path(str(options.pop("like"))), fields, grid)
    check_keys(options, known, where, "option")
    for key, field in known.items():
        if key not in options and field.default is dataclasses.MISSING:
            raise UserError(f"{where} lacks {key!r}")
    values = {k: _value(k, v, f"{k} of {where}") for k, v in options.items()}
    return KINDS[kind](**values)


def _value(key: str, value: Any, where: str) -> Any:
    if key == "variable":
        return str(value)
    if key == "target":
        return _only_variable(Path(str(value)))
    try:
        return tuple(float(x) for x in value) if key == "steps" else float(value)
    except (TypeError, ValueError):
        wanted = "a list of numbers" if key == "steps" else "a number"
        raise UserError(f"{where} is {value!r}: give {wanted}") from None


def _steps_of(path: Path, fields: Fields, grid: OceanGrid) -> tuple[float, ...]:
    """Mean density steps of a store's states, of those in equilibrium if there are any."""
    data = open_states(path)
    grid.check_same(OceanGrid.from_dataset(data), str(path), "prepare its states on the model's mesh")
    settled = data.equilibrium.values if "equilibrium" in data.coords else np.zeros(data.sizes["sample"], bool)
    data = data.isel(sample=np.flatnonzero(settled)) if settled.any() else data
    return Stratification.like(torch.from_numpy(fields.stack(data, grid)), fields, grid).steps


def _only_variable(path: Path) -> np.ndarray:
    """The one variable (y, x) of a file."""
    try:
        with xr.open_dataset(path) as data:
            (variable,) = data.data_vars.values()
            variable = variable.squeeze()
            return variable.transpose("y", "x").values if set(variable.dims) == {"y", "x"} else variable.values
    except Exception as error:
        raise UserError(f"{path} is no file with one variable (y, x): {str(error).splitlines()[0]}") from error
