"""What only Veros does: restarts without dimension names, ghost cells, sea level hidden in ``psi``.

Veros counts levels from the bottom and stores (x, y, z[, time level]) with two ghost cells round the plane. Without
a streamfunction its ``psi`` is the surface pressure over ρ0 [m²/s²], so ssh = psi/g; with one there is no sea level.
"""

import json
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from ..errors import UserError
from .times import SECONDS_PER_DAY

GHOST = 2
EQUATIONS_OF_STATE = {3: "vallis"}  # eq_of_state_type → name in physics.eos
DIMS = {
    "temp": ("xt", "yt", "zt"),
    "salt": ("xt", "yt", "zt"),
    "u": ("xu", "yt", "zt"),
    "v": ("xt", "yu", "zt"),
    "psi": ("xt", "yt"),
}


def settings_of(data: xr.Dataset) -> dict:
    """The model settings that Veros writes into its files, empty for any other source."""
    return json.loads(data.attrs.get("setup_settings", "{}"))


def equation_of_state(settings: dict) -> str | None:
    """Name of the equation of state, None where the file does not tell or the library has no such equation."""
    return EQUATIONS_OF_STATE.get(settings.get("eq_of_state_type", 0))


def with_sea_level(data: xr.Dataset, settings: dict) -> xr.Dataset:
    """Add ``ssh`` [m] where ``psi`` is a pressure; ``settings`` as written by the run."""
    if not settings or settings.get("enable_streamfunction", True) or "psi" not in data:
        return data
    return data.assign(ssh=(data["psi"] / settings["grav"]).assign_attrs(units="m"))


def is_restart(path: Path) -> bool:
    """True for HDF5 with Veros' group ``core``."""
    if not (path.is_file() and h5py.is_hdf5(path)):
        return False
    with h5py.File(path) as f:
        return "core" in f and "temp" in f["core"]


def open_restart(path: Path) -> xr.Dataset:
    """The present time level, without ghost cells, levels still from the bottom; one state, so it is read whole."""
    inner = slice(GHOST, -GHOST)
    try:
        with h5py.File(path) as f:
            core = f["core"]
            now = int(core["tau"][()])
            arrays = {k: (d, core[k][inner, inner, ..., now]) for k, d in DIMS.items() if k in core}
            day = float(core["time"][()]) / SECONDS_PER_DAY
    except (OSError, KeyError) as error:
        raise UserError(f"{path} is not a whole Veros restart ({error}): write it again") from error
    depth_order = np.arange(arrays["temp"][1].shape[2], 0.0, -1.0)  # no depths inside: the level's number, bottom first
    data = xr.Dataset(arrays, coords={"zt": ("zt", depth_order, {"units": "level"})})
    return data.expand_dims("Time").assign_coords(Time=("Time", [day], {"units": "days"}))
