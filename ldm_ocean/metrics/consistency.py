"""Whether currents, density, surface and walls of a state agree with each other."""

from collections.abc import Callable, Iterator

import numpy as np

from ..ocean.fields import EASTWARD, NORTHWARD, SEA_LEVEL
from ..physics import balance
from .basin import Basin
from .state import Scalar, State

DAY = 86400.0  # s


def consistency(ocean: Basin) -> Iterator[Scalar]:
    """All that variables and equation of state allow."""
    if ocean.has(EASTWARD, NORTHWARD):
        if ocean.has_density:
            yield from balances(ocean)
        yield Scalar("surface_tendency", "m day-1", surface_tendency)
    if ocean.has(EASTWARD) or ocean.has(NORTHWARD):
        yield Scalar("wall_normal_flow", "m s-1", wall_normal_flow)


def balances(ocean: Basin) -> Iterator[Scalar]:
    """Residuals from the first level below the wind-driven ones; a grid that ends above it has none."""
    grid, regions = ocean.grid, ocean.regions
    first, mesh = balance.deeper(grid.mesh, regions.balance.below)
    if not grid["umask"][first + 1 :].any():
        return
    where = (mesh, grid.periodic_x, regions.balance.equator)

    def residual(kind: Callable, s: State, x: np.ndarray) -> np.ndarray:
        u, v, x = (field[..., first:, :, :] for field in (s[EASTWARD], s[NORTHWARD], x))
        return kind(u, v, x, *where)

    def geostrophic(s: State) -> np.ndarray:
        pressure = balance.hydrostatic_pressure(s.in_situ_density, grid["gdept"], s.sea_level)
        return residual(balance.geostrophic_residual, s, pressure)

    def thermal_wind(s: State) -> np.ndarray:
        return residual(balance.thermal_wind_residual, s, s.in_situ_density)

    if ocean.has(SEA_LEVEL):
        yield Scalar("geostrophic_residual", "1", geostrophic)
    yield Scalar("thermal_wind_residual", "1", thermal_wind)


def surface_tendency(s: State) -> np.ndarray:
    """RMS over the area of the ∂η/∂t [m/day] that the divergence of the columns implies."""
    rise = balance.surface_tendency(s[EASTWARD], s[NORTHWARD], s.grid, s.grid.periodic_x)
    area = s.grid.area("t")
    return DAY * np.sqrt((area * rise**2).sum((-2, -1)) / area.sum())


def wall_normal_flow(s: State) -> np.ndarray:
    """Largest speed [m/s] on dry faces."""
    velocities = [k for k in (EASTWARD, NORTHWARD) if s.ocean.has(k)]
    masks = [s.grid[s.ocean.fields[s.ocean.channels[k]].mask] for k in velocities]
    return np.max([balance.wall_normal_flow(s[k], m) for k, m in zip(velocities, masks, strict=True)], 0)
