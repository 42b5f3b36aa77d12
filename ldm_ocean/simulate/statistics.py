"""Statistics in time of the temperature of the states that a setting records, whole where the states are too many.

Mean and variance are updated state by state (Welford 1962, Technometrics 4, 419); every state and, in a profile, every
wet cell counts the same.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from ..io.atomic import published

SUFFIX = ".statistics.nc"
INVERSION = 1e-3  # K
T_STEP = 2.0**-13  # °C; a short mantissa packs well
STD_BITS = 9  # significant ones: a standard deviation is known to 0.1 %
NAME = "sea_water_potential_temperature"


class Statistics:
    """``mean`` [°C] and ``squares`` [K²], the summed squared deviations from it, (depth, y, x), NaN on land.

    By state: ``days``; ``profiles`` (state, depth) [°C], the mean over wet cells; ``inverted`` (state,), the share of
    interfaces between wet cells across which T falls upwards by more than ``INVERSION``.
    """

    def __init__(self, mean=0.0, squares=0.0, days=(), profiles=(), inverted=()):
        self.mean, self.squares = mean, squares
        self.days, self.profiles, self.inverted = list(days), list(profiles), list(inverted)

    def __len__(self) -> int:
        """Number of states."""
        return len(self.days)

    def add(self, temperature: np.ndarray, day: int) -> None:
        """One more state, (depth, y, x), NaN on land."""
        t = np.asarray(temperature, "float64")
        wet = np.isfinite(t)
        self.days.append(day)
        before = t - self.mean
        self.mean = self.mean + before / len(self)
        self.squares = self.squares + before * (t - self.mean)
        cells = wet.sum((1, 2))
        total = np.where(wet, t, 0.0).sum((1, 2))
        self.profiles.append(np.divide(total, cells, out=np.full(len(t), np.nan), where=cells > 0))
        self.inverted.append((t[1:] - t[:-1] > INVERSION).sum() / max((wet[1:] & wet[:-1]).sum(), 1))

    def arrays(self) -> dict[str, np.ndarray]:
        """What makes these statistics again; empty before the first state."""
        return {k: np.asarray(v) for k, v in vars(self).items()} if self.days else {}

    def write(self, path: Path, depths: np.ndarray, attrs: dict) -> None:
        """Publish as netCDF with ``attrs``; ``depths`` [m] (depth,). The standard deviation is that of these states."""
        std = np.sqrt(self.squares / len(self))
        inverted = {"units": "1", "long_name": f"interfaces across which temperature falls upwards > {INVERSION:g} K"}
        cell = ("depth", "y", "x")
        data = {
            "toce_mean": (cell, _rounded(self.mean, T_STEP), _named("time: mean")),
            "toce_std": (cell, _rounded(std, _ulp(std, STD_BITS)), _named("time: standard_deviation", "K")),
            "toce_profile": (("time", "depth"), _rounded(np.array(self.profiles), T_STEP), _named("area: mean")),
            "inverted": ("time", np.array(self.inverted), inverted),
        }
        coords = {
            "time": ("time", np.array(self.days, "float32"), {"units": "days", "long_name": "days since rest"}),
            "depth": ("depth", depths, {"units": "m", "positive": "down", "standard_name": "depth"}),
        }
        own = {"Conventions": "CF-1.11", "comment": "every state and, in a profile, every wet cell counts the same"}
        whole = xr.Dataset(data, coords=coords, attrs={**own, **attrs}).astype("float32")
        packed = {"dtype": "float32", "zlib": True, "complevel": 9, "shuffle": True}
        with published(path) as temporary:
            whole.to_netcdf(temporary, encoding={k: packed for k in data}, engine="h5netcdf")


def _named(method: str, units: str = "degC") -> dict[str, str]:
    return {"units": units, "standard_name": NAME, "cell_methods": method}


def _ulp(values: np.ndarray, bits: int) -> np.ndarray:
    """The last place of ``values`` at so many significant bits."""
    return np.ldexp(1.0, np.frexp(values)[1] - bits)


def _rounded(values: np.ndarray, step) -> np.ndarray:
    return np.rint(values / step) * step
