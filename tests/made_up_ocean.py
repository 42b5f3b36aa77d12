"""A CF-like ocean made up for the tests of ``prepare``."""

from pathlib import Path

import numpy as np
import xarray as xr

SHAPE = (4, 7, 6)  # of the made-up ocean: depth, y, x
DEPTH = np.array([5.0, 20.0, 60.0, 150.0])


def made_up(steps: int = 2) -> xr.Dataset:
    """A CF-like closed basin: land on the rim and on part of the floor, marked by NaN; smooth T and S, 2 time steps."""
    k, j, i = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    land = (j == 0) | (j == SHAPE[1] - 1) | (i == 0) | (i == SHAPE[2] - 1) | ((k == SHAPE[0] - 1) & (i < 3))
    time = np.arange(steps)[:, None, None, None]
    dims = ("time", "depth", "lat", "lon")
    t = np.where(land, np.nan, 20.0 - 3 * k + 0.5 * j + 0.1 * i + 0.2 * time)
    s = np.where(land, np.nan, 35.0 + 0.1 * k + 0.02 * i + 0.01 * time)
    return xr.Dataset(
        {
            "thetao": (dims, t, {"units": "degC", "standard_name": "sea_water_potential_temperature"}),
            "so": (dims, s, {"units": "PSU", "standard_name": "sea_water_salinity"}),
            "zos": (("time", "lat", "lon"), 0.1 * (t[:, 0] - 20), {"units": "m"}),
        },
        coords={
            "time": ("time", 15.0 + 30.0 * np.arange(steps), {"units": "days since 2000-01-01", "calendar": "360_day"}),
            "depth": ("depth", DEPTH, {"units": "m", "positive": "down"}),
            "lat": ("lat", np.linspace(-30, 30, SHAPE[1]), {"units": "degrees_north"}),
            "lon": ("lon", 10.0 * np.arange(SHAPE[2]), {"units": "degrees_east"}),
        },
    )


def save(data: xr.Dataset, path: Path, encoding=None) -> Path:
    data.to_netcdf(path, encoding=encoding or {})
    return path
