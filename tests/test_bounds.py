"""What pyproject.toml allows is what ``make test-lowest`` installs."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def bounds(requirements: list[str]) -> set[tuple[str, str, Version]]:
    """(name, operator, version) of each."""
    parsed = [Requirement(r) for r in requirements]
    return {(canonicalize_name(r.name), s.operator, Version(s.version)) for r in parsed for s in r.specifier}


def test_the_lower_bound_of_every_direct_dependency_is_its_version_in_the_lowest_set():
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, lines = about["project"], (ROOT / "constraints-lowest.txt").read_text().splitlines()
    extras = [r for extra in project["optional-dependencies"].values() for r in extra]
    allowed = bounds(about["build-system"]["requires"] + project["dependencies"] + extras)
    assert {operator for _, operator, _ in allowed} == {">=", "=="}
    installed = bounds([line for line in lines if not line.startswith("#")])
    assert {operator for _, operator, _ in installed} == {"=="}
    assert {(n, v) for n, _, v in allowed} == {(n, v) for n, _, v in installed}
