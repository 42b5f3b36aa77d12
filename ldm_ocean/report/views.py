"""What is drawn: levels, zonal means, profiles and speed as plain arrays, NaN on land.

Every function takes states with or without a leading ``member`` axis and keeps it:

    zonal mean     x̄(k, j) = Σ_i e1 x / Σ_i e1           over wet cells of row j
    profile        x̄(k)    = Σ_ij e1 e2 e3 x / Σ e1 e2 e3
    speed          |u|(k, j, i) = √(u_t² + v_t²),  u_t and v_t the means of the two faces of the T cell
"""

import numpy as np
import xarray as xr

from ..errors import UserError
from ..ocean.grid import OceanGrid
from ..physics.transport import barotropic_streamfunction


def variables(state: xr.Dataset) -> list[str]:
    """The state variables: those that name the mask of their C-grid point."""
    return [str(name) for name, array in state.data_vars.items() if "mask" in array.attrs]


def by_standard_name(state: xr.Dataset, standard_name: str) -> str | None:
    """The variable that CF calls ``standard_name``, None when the state has none."""
    return next((name for name in variables(state) if state[name].attrs.get("standard_name") == standard_name), None)


def values(state: xr.Dataset, name: str, grid: OceanGrid, mask: str) -> np.ndarray:
    """([member,] depth, y, x), NaN on land whatever stood there; depth has length 1 for a 2-D variable."""
    array = state[name].squeeze("sample", drop=True) if "sample" in state[name].dims else state[name]
    deep = "depth" in array.dims
    array = array.transpose(*(["member"] if "member" in array.dims else []), *(["depth"] if deep else []), "y", "x")
    filled = array.values if deep else array.values[..., None, :, :]
    wet = grid[mask] if deep else grid[mask][:1]
    if filled.shape[-3:] != wet.shape:
        raise UserError(f"report: {name} is {filled.shape[-3:]}, the grid {wet.shape}: give the grid of these states")
    return np.where(wet, filled, np.nan)


def nearest_level(grid: OceanGrid, depth: float) -> int:
    """Index of the level whose T depth is nearest to ``depth`` [m]."""
    return int(np.abs(grid["gdept"] - depth).argmin())


def zonal_mean(field: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(..., depth, y, x) and cell widths e1 [m] (y, x) → (..., depth, y), NaN where the whole row is land."""
    return _weighted_mean(field, np.broadcast_to(width, field.shape[-3:]), (-1,))


def profile(field: np.ndarray, volume: np.ndarray) -> np.ndarray:
    """(..., depth, y, x) and cell volumes [m³] (depth, y, x) → (..., depth), NaN where the level is land."""
    return _weighted_mean(field, volume, (-2, -1))


def speed(east: np.ndarray, north: np.ndarray, grid: OceanGrid) -> np.ndarray:
    """|u| [m/s] at T points from u on eastern and v on northern faces, NaN on land; closed faces carry no flow."""
    u, v = np.nan_to_num(east), np.nan_to_num(north)
    west, south = np.roll(u, 1, -1), np.roll(v, 1, -2)
    south[..., 0, :] = 0
    if not grid.periodic_x:
        west[..., 0] = 0
    return np.where(grid["tmask"], np.hypot((u + west) / 2, (v + south) / 2), np.nan)


def streamfunction(east: np.ndarray, grid: OceanGrid) -> np.ndarray:
    """Barotropic ψ [Sv] at F points, (..., y, x), NaN where all four cells around the corner are land."""
    wet = grid["tmask"][0]
    east_wet, north_wet = np.roll(wet, -1, -1), np.zeros_like(wet)
    if not grid.periodic_x:
        east_wet[:, -1] = False
    either = wet | east_wet
    north_wet[:-1] = either[1:]
    return np.where(
        either | north_wet, barotropic_streamfunction(np.nan_to_num(east), grid["e2u"], grid["e3u"]), np.nan
    )


def _weighted_mean(field, weight, axes):
    weight = np.where(np.isfinite(field), weight, 0.0)
    total = weight.sum(axes)
    return np.divide(
        (np.nan_to_num(field) * weight).sum(axes), total, out=np.full(total.shape, np.nan), where=total > 0
    )
