"""NEMO's ``run.stat``: extremes of the ocean step by step, as its run control (stp_ctl) writes and judges them.

A line of the text names each extreme, `` it :      60    |ssh|_max:  0.23D-04 |U|_max: …``; NEMO 5 adds ``|V|_max``.
``run.stat.nc`` holds the same, record number kt, but reaches the disk only when the run ends: the text is heard first.
A job begins both anew: who keeps those of several jobs side by side (``run.stat*``) is told of all of them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np

from ..errors import UserError
from .nemo import LAYOUT

NAME = "run.stat"
EXTREMES = LAYOUT["run_stat"]
ALARM = LAYOUT["alarm"]
STEP = re.compile(r"^\s*it\s*:\s*(\d+)\s")
NUMBER = re.compile(r"([+-]?\d*\.\d+)[DE]?([+-]\d+)", re.IGNORECASE)  # three digits of exponent push out the letter


@dataclass(frozen=True)
class RunStat:
    """``steps`` (N,), growing, as NEMO counts them (kt); ``extremes``: name in the text → (N,) [m, m/s, g/kg]."""

    steps: np.ndarray
    extremes: dict[str, np.ndarray]

    def alarm(self) -> tuple[int, str] | None:
        """The first step at which NEMO's run control ends a run, and why; None where there is none."""
        first: tuple[int, str] | None = None
        for name, values in self.extremes.items():
            low, high = ALARM[EXTREMES[name]["alarm"]]
            beyond = np.flatnonzero(~((low < values) & (values < high)))
            if len(beyond) and (first is None or self.steps[beyond[0]] < first[0]):
                first = int(self.steps[beyond[0]]), f"{name} {values[beyond[0]]:.4g}"
        return first


def read_run_stat(folder: Path) -> RunStat | None:
    """Of all jobs whose ``run.stat`` lies in ``folder``; None where there is none. UserError for what is not one."""
    found = sorted(folder.glob(f"{NAME}*"))
    texts = [p for p in found if p.suffix != ".nc"]
    parts = [_read_text(p) for p in texts] if texts else [_read_netcdf(p) for p in found]
    lines = {step: values for part in parts for step, values in part.items()}
    if not lines:
        return None
    steps = sorted(lines)
    names = [k for k in EXTREMES if all(k in lines[step] for step in steps)]
    return RunStat(np.array(steps), {k: np.array([lines[step][k] for step in steps]) for k in names})


def _read_text(path: Path) -> dict[int, dict[str, float]]:
    out = {}
    for line in path.read_text(errors="replace").splitlines(keepends=True):
        if (found := STEP.match(line)) and line.endswith("\n"):  # not what was being written when the run was killed
            words = {k: line.partition(f"{k}:")[2].split() for k in EXTREMES}
            out[int(found[1])] = {k: _number(w[0]) for k, w in words.items() if w}
    if not out and path.stat().st_size:
        raise UserError(f"{path} is no run.stat of NEMO's (lines ` it : …`): give it another name")
    return out


def _read_netcdf(path: Path) -> dict[int, dict[str, float]]:
    try:
        with netCDF4.Dataset(path) as data:
            columns = {k: data[v["netcdf"]][:] for k, v in EXTREMES.items() if v["netcdf"] in data.variables}
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot read {path} ({error}): take it out of the folder") from error
    written = np.flatnonzero(~np.ma.getmaskarray(next(iter(columns.values()), np.ma.masked_all(0))))
    return {int(i) + 1: {k: float(v[i]) for k, v in columns.items()} for i in written}


def _number(word: str) -> float:
    """A Fortran number; NaN for what is none."""
    found = NUMBER.fullmatch(word)
    return float(f"{found[1]}e{found[2]}") if found else np.nan
