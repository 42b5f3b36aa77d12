"""Tests that can fail: one fault at a time is put into a copy of the package, and the tests that should notice are run.

    python -m tests.mutants [--only NAME]

The faults are in mutants.yaml: by file of the package a list of ``name``, ``old`` and ``new`` text, and ``tests``, the
files or functions that should notice (below ``tests/``). It fails if a fault survives, or if its text is not there
exactly once. Each fault runs in a fork of this process, which has read the big libraries once, with the copy first on
the path.
"""

import argparse
import importlib
import io
import os
import shutil
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, TABLE = "ldm_ocean", Path(__file__).with_name("mutants.yaml")
LIBRARIES = ("torch", "xarray", "netCDF4", "h5netcdf", "zarr", "hypothesis", "scipy", "accelerate", "torchmetrics")
PASSED, FAILED = 0, 1  # of pytest; anything else is no verdict


@dataclass(frozen=True)
class Fault:
    """One wrong line: ``old`` text becomes ``new`` in ``file`` (below the package); ``tests`` should notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def text(self, package: Path) -> str:
        """The whole file with the fault in it; ValueError unless its place is found exactly once."""
        right = (package / self.file).read_text()
        if (found := right.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.old!r} is {found} times in {self.file}, not once: mend mutants.yaml")
        return right.replace(self.old, self.new)


def read_faults() -> list[Fault]:
    """All faults of the table."""
    return [
        Fault(row["name"], file, row["old"], row["new"], tuple(row["tests"].split()))
        for file, rows in yaml.safe_load(TABLE.read_text()).items()
        for row in rows
    ]


def copy(folder: Path) -> Path:
    """The package and its tests in ``folder``, the rest of the clone linked beside them; returns the package."""
    for path in ROOT.iterdir():
        if path.name in (PACKAGE, "tests"):
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    return folder / PACKAGE


def run(folder: Path, tests: list[str]) -> tuple[int, str]:
    """(exit code, output) of pytest on ``tests`` of the copy in ``folder``."""
    output = folder / "output.txt"
    if not (child := os.fork()):
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        for name in [k for k in sys.modules if k.split(".")[0] in (PACKAGE, "tests")]:
            del sys.modules[name]
        with output.open("w") as file, redirect_stdout(file), redirect_stderr(file):
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *(f"tests/{t}" for t in tests)])
        os._exit(int(code))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, output.read_text()


def judge(fault: Fault, folder: Path) -> str:
    """``noticed``, ``survived``, or why there is no verdict."""
    path = folder / PACKAGE / fault.file
    right = path.read_text()
    path.write_text(fault.text(folder / PACKAGE))
    try:
        code, output = run(folder, list(fault.tests))
    finally:
        path.write_text(right)
    if code in (PASSED, FAILED):
        return "survived" if code == PASSED else "noticed"
    return f"no verdict (pytest ended with {code})\n{output[-2000:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="faults whose name contains this")
    only = parser.parse_args().only or ""
    faults = [f for f in read_faults() if only in f.name]
    sys.dont_write_bytecode = True  # a file that changes twice a second would be taken for the old one
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    with redirect_stdout(io.StringIO()):
        for name in LIBRARIES:
            importlib.import_module(name)
    bad = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        folder = Path(temporary)
        copy(folder)
        tests = list(dict.fromkeys(t for f in faults for t in f.tests))
        code, output = run(folder, tests)
        if code != PASSED:
            sys.exit(f"without any fault the tests do not pass ({code}):\n{output[-4000:]}")
        print(f"{len(tests)} groups of tests pass without a fault", flush=True)
        for n, fault in enumerate(faults, 1):
            start = time.monotonic()
            verdict = judge(fault, folder)
            print(f"{n:3d}/{len(faults)}  {time.monotonic() - start:5.1f} s  {fault.name}: {verdict}", flush=True)
            if verdict != "noticed":
                bad.append(fault.name)
    print(f"{len(faults) - len(bad)} of {len(faults)} faults were noticed")
    if bad:
        sys.exit("not noticed: " + "; ".join(bad))


if __name__ == "__main__":
    main()
