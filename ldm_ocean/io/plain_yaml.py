"""YAML as plain data: a file means what it says, no more.

No anchors and aliases (ten lines of them unfold to terabytes), no tags (they name code), no ``${…}`` (it reads the
environment), no key twice, no abyss of brackets. Numbers such as 1e-3 are numbers, dates are text.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError

LARGEST, DEEPEST = 1 << 20, 20  # bytes, brackets
FLOAT, TIMESTAMP = "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp"
NUMBER = re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")


def read(path: Path) -> Any:
    """The content of a file; UserError in one line for anything but plain YAML."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is larger than any settings ({LARGEST >> 20} MiB): is it the right file?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text: is it the right file?") from error
    return parse(text, str(path))


def parse(text: str, where: str) -> Any:
    """The content of ``text``; UserError, beginning with ``where``, for anything but plain YAML."""
    if "${" in text:
        raise UserError(f"{where}: interpolation is not accepted, write the value itself")
    try:
        _check(text, where)
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{where} is not readable YAML ({' '.join(str(error).split())[:160]}): mend it") from error


def _check(text: str, where: str) -> None:
    """Look at the parts before anything is built of them."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UserError(f"{where}: anchors and aliases (& and *) are not accepted, write the value itself")
        if getattr(event, "tag", None):
            raise UserError(f"{where}: the tag {event.tag} is not accepted, write plain values")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise UserError(f"{where}: more than {DEEPEST} brackets deep: is it the right file?")


class _Loader(yaml.SafeLoader):
    """Safe; floats as in YAML 1.2, no dates, no key twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as its parent has it)
        first: [(tag, regexp) for tag, regexp in rules if tag not in (FLOAT, TIMESTAMP)]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node, deep=False):
        seen: set[str] = set()
        for key in (k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode)):
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(FLOAT, NUMBER, list("-+.0123456789"))
