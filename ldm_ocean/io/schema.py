"""Settings of every kind from plain YAML, checked by one hand: keys, types, limits, choices.

A dataclass is the schema: its fields are the keys, its annotations the types, ``within`` and ``one_of`` the values that
are accepted. Whatever does not fit is one line that names the key, and for an unknown key the nearest known one.
"""

import math
from collections.abc import Iterable
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from ..errors import UserError, nearest
from . import plain_yaml

SHARE = (0.0, 1.0)
COUNT = (1, 10**12)


def within(default: Any, limits: tuple[float, float]) -> Any:
    """A field whose numbers, in lists too, lie between ``limits``, both included."""
    make = {"default_factory": lambda: default} if isinstance(default, list) else {"default": default}
    return field(**make, metadata={"limits": limits})


def one_of(*choices: str) -> Any:
    """A field that takes one of ``choices``; the first by default."""
    return field(default=choices[0], metadata={"choices": choices})


def table(path: Path, example: str = "key: value") -> dict:
    """The content of a YAML file of keys and values; UserError for any other."""
    content = plain_yaml.read(path)
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{path} holds no table: write e.g. `{example}`")
    return content or {}


def check_keys(given: Iterable[str], known: Iterable[str], where: str, what: str = "key") -> None:
    """UserError for the first of the keys ``given`` that is not ``known``."""
    for key in given:
        if key not in (known := list(known)):
            raise UserError(f"unknown {what} {key!r} in {where}{nearest(str(key), known)}")


def merged(config: Any, key: str, content: Any, where: str) -> Any:
    """``config`` (of ``OmegaConf.structured``) with ``content`` at the dotted ``key``, or all over if that is empty."""
    tree = content
    for part in reversed(key.split(".") if key else []):
        tree = {part: tree}
    try:
        return OmegaConf.merge(config, tree)
    except ConfigKeyError as error:
        known = getattr(error.object_type, "__dataclass_fields__", {})
        raise UserError(f"unknown key {error.full_key!r} in {where}{nearest(str(error.key), known)}") from error
    except (OmegaConfBaseException, TypeError, ValueError) as error:  # OmegaConf has either
        at = key or getattr(error, "full_key", None)
        raise UserError(f"{f'{at} in ' if at else ''}{where}: {str(error).splitlines()[0]}") from error


def built(config: Any, where: str = "") -> Any:
    """The dataclass of a ``config`` (of the file ``where``); UserError for values that are missing or not accepted."""
    where = f" in {where}" if where else ""
    try:
        result = OmegaConf.to_object(config)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is missing{where}: give it a value") from error
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise UserError(f"{str(error).splitlines()[0]}{where}") from error
    check_values(result, "", where)
    return result


def check_values(part: Any, prefix: str, where: str) -> None:
    """UserError for the first value outside its field's limits or choices."""
    for f in fields(part):
        key, value, known = prefix + f.name, getattr(part, f.name), f.metadata
        if is_dataclass(value):
            check_values(value, f"{key}.", where)
        elif value not in known.get("choices", [value]):
            raise UserError(f"{key}={value} is not accepted{where}: choose {' or '.join(known['choices'])}")
        elif "limits" in known and not all(_inside(v, known["limits"]) for v in _flat(value)):
            low, high = known["limits"]
            raise UserError(f"{key}={value} is not accepted{where}: choose {low:g} to {high:g}")


def _inside(value: float, limits: tuple[float, float]) -> bool:
    return math.isfinite(value) and limits[0] <= value <= limits[1]


def _flat(value: Any) -> list:
    return [w for v in value for w in _flat(v)] if isinstance(value, list) else [value]
