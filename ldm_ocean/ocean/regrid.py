"""Canonical states on another mesh: wet-aware, linear in longitude, latitude and depth.

    φ'(λ, ϕ, z) = Σ w_i(λ) w_j(ϕ) w_k(z) φ_ijk        the eight cells around a point, w linear

Fields on T points are first carried over land, level by level: the cells next to water get the mean of their neighbours
that have a value, then the cells next to those, and so on; a level without water takes the one above. So every new wet
cell has a value between those of water nearby, of its own depth where there is any, and land never counts. Currents are
0 on land and interpolated so, each on its own points. Beyond the outermost cells the value at the rim goes on.

What holds: on its own mesh a state stays as it is; constants on T points stay constant; where all eight cells are wet,
fields linear in λ, ϕ, z stay linear; T, S and sea level stay within the range that the two levels around them have.
What does not: heat, salt, volume and transports are not conserved, and columns may become unstable (see ``adjust``).

U points lie halfway between their T cells in longitude, V points in latitude.
"""

import numpy as np
import xarray as xr

from ..errors import UserError
from ..physics.cgrid import east, north, south, west
from .grid import OceanGrid

STRAIGHT = 1e-2  # of a cell's width, by which columns of a rectilinear grid may bend


def regrid(states: xr.Dataset, grid: OceanGrid) -> xr.Dataset:
    """States (sample, depth, y, x) interpolated to ``grid``, with its mesh; coordinates and attributes stay.

    UserError where the states' grid is curvilinear, or water of ``grid`` lies more than a cell outside it.
    """
    own = OceanGrid.from_dataset(states)
    _check_cover(own, grid)
    fields = {str(k): v for k, v in states.data_vars.items() if "mask" in v.attrs}
    data = {name: (array.dims, _on(array, own, grid), array.attrs) for name, array in fields.items()}
    mesh = grid.to_dataset()
    attrs = {k: v for k, v in states.attrs.items() if k != "x_overlap"} | {"periodic_x": int(grid.periodic_x)}
    return xr.Dataset(data, states.coords).merge(mesh).assign_attrs(attrs)


def _on(array: xr.DataArray, own: OceanGrid, grid: OceanGrid) -> np.ndarray:
    """One variable on the other grid, in its own order of dimensions and precision, NaN on land."""
    deep, point = "depth" in array.dims, array.attrs["mask"][0]
    order = [d for d in array.dims if d not in ("depth", "y", "x")] + (["depth"] if deep else []) + ["y", "x"]
    values = array.transpose(*order).values.astype("float64")
    wet, target = (g[array.attrs["mask"]] if deep else g[array.attrs["mask"]][0] for g in (own, grid))
    values = np.where(wet, values, 0.0)
    if point == "t":
        values = over_land(values, wet, own.periodic_x)
    values = _horizontally(values, own, grid, point)
    if deep:
        k, w = _bracket(own["gdept"], grid["gdept"])
        w = w[:, None, None]
        values = values[..., k, :, :] * (1 - w) + values[..., np.minimum(k + 1, own.shape[0] - 1), :, :] * w
    values = np.where(target, values, np.nan).astype(array.dtype)
    return values.transpose([order.index(d) for d in array.dims])


def over_land(values: np.ndarray, wet: np.ndarray, periodic_x: bool) -> np.ndarray:
    """``values`` (..., [depth,] y, x), 0 on land, carried over it: ring by ring the mean of neighbours known so far."""
    levels = wet.reshape(-1, *wet.shape[-2:])
    known, filled = levels.astype("float64"), values.reshape(*values.shape[: -wet.ndim], *levels.shape).copy()
    water = levels.any((-2, -1))
    while not known[water].all():
        count, total = _around(known, periodic_x), _around(filled, periodic_x)
        new = (known == 0) & (count > 0)
        filled = np.where(new, total / np.maximum(count, 1), filled)
        known = np.where(new, 1.0, known)
    for k in np.flatnonzero(~water).tolist():
        filled[..., k, :, :] = filled[..., max(k - 1, 0), :, :]
    return filled.reshape(values.shape)


def _around(x: np.ndarray, periodic_x: bool) -> np.ndarray:
    """Sum over the four neighbours."""
    return east(x, periodic_x) + west(x, periodic_x) + north(x) + south(x)


def _horizontally(values: np.ndarray, own: OceanGrid, grid: OceanGrid, point: str) -> np.ndarray:
    """Bilinear, (..., y, x) → (..., y', x')."""
    lat, lon = _axes(own, point)
    if own.periodic_x:
        values = np.concatenate([values[..., -1:], values, values[..., :1]], -1)
        lon = np.concatenate([[lon[-1] - own.period], lon, [lon[0] + own.period]])
    to_lat, to_lon = _places(grid, point)
    j, wy = _bracket(lat, to_lat)
    i, wx = _bracket(lon, _aligned(to_lon, lon))
    up, right = np.minimum(j + 1, len(lat) - 1), np.minimum(i + 1, len(lon) - 1)
    lower = values[..., j, i] * (1 - wx) + values[..., j, right] * wx
    upper = values[..., up, i] * (1 - wx) + values[..., up, right] * wx
    return lower * (1 - wy) + upper * wy


def _places(grid: OceanGrid, point: str) -> tuple[np.ndarray, np.ndarray]:
    """(latitude, longitude) of the T, U or V points, (y, x); longitude grows along x."""
    lat, lon = grid["nav_lat"], np.unwrap(grid["nav_lon"], period=360.0, axis=1)
    if point == "u" and lon.shape[1] > 1:
        lon = lon + np.diff(lon, axis=1, append=2 * lon[:, -1:] - lon[:, -2:-1]) / 2
    if point == "v" and lat.shape[0] > 1:
        lat = lat + np.diff(lat, axis=0, append=2 * lat[-1:] - lat[-2:-1]) / 2
    return lat, lon


def _axes(own: OceanGrid, point: str) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes (y,) and longitudes (x,) of a rectilinear grid; UserError for any other."""
    lat, lon = _places(own, point)
    for values, axis in ((lat, 1), (lon, 0)):
        width = np.abs(np.diff(values, axis=1 - axis)).min(initial=np.inf)
        if np.ptp(values, axis=axis).max() > STRAIGHT * width:
            raise UserError(
                "the states lie on a curvilinear grid: interpolate them to the mesh with another tool first"
            )
    return lat[:, 0], lon[0]


def _aligned(lon: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Longitudes of the same places, in the turn of 360° around the middle of ``axis``."""
    start = (axis[0] + axis[-1]) / 2 - 180.0
    return lon - 360.0 * np.floor((lon - start) / 360.0)


def _bracket(axis: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the point of a growing ``axis`` below each ``x`` and the weight of the next, within the axis."""
    if len(axis) == 1:
        return np.zeros(x.shape, int), np.zeros(x.shape)
    i = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return i, np.clip((x - axis[i]) / (axis[i + 1] - axis[i]), 0.0, 1.0)


def _check_cover(own: OceanGrid, grid: OceanGrid):
    """UserError unless all water of ``grid`` lies within a cell, of either grid, of the states' outermost points."""
    wet = grid["tmask"].any(0)
    for along, (axis, places) in enumerate(zip(_axes(own, "t"), _places(grid, "t"), strict=True)):
        name = ("latitude", "longitude")[along]
        x = _aligned(places[wet], axis) if name == "longitude" else places[wet]
        cell = max(np.abs(np.diff(axis)).max(initial=0), np.abs(np.diff(places, axis=along)).max(initial=0))
        if x.min() < axis[0] - cell or x.max() > axis[-1] + cell:
            raise UserError(
                f"the mesh has water from {x.min():.4g}° to {x.max():.4g}° of {name}, the states reach from "
                f"{axis[0]:.4g}° to {axis[-1]:.4g}°: give states of this ocean"
            )
