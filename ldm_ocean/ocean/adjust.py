"""Adjustment of states to what holds exactly: arrays (N, V, D, Y, X) in, arrays out, 0 on land.

Convective adjustment removes density inversions (``physics.stabilise``). Geostrophic adjustment takes from the depth
mean of the currents what would fill or drain columns, brings sea level to balance with what flows below
(``physics.barotropic``), and the currents nearer to balance with both (``physics.currents``). Both adjustments need the
model's own equation of state. ``adjusted`` does either to a data set.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from ..physics.balance import hydrostatic_pressure
from ..physics.barotropic import nondivergent, sea_level
from ..physics.currents import balanced
from ..physics.eos import differentiable, equation_of_state
from ..physics.stabilise import stabilise
from .fields import EASTWARD, NORTHWARD, SALINITY, SEA_LEVEL, TEMPERATURE, Fields
from .grid import OceanGrid

Adjustment = Callable[[np.ndarray, Fields, OceanGrid], np.ndarray]


def convective(states: np.ndarray, fields: Fields, grid: OceanGrid) -> np.ndarray:
    """States without density inversions; heat and salt of every column are kept to round-off."""
    x, (t, s) = states.copy(), (fields.index_of(TEMPERATURE), fields.index_of(SALINITY))
    density, mesh = differentiable(grid.equation_of_state), grid.mesh
    x[:, t], x[:, s] = stabilise(x[:, t], x[:, s], mesh["gdept"], mesh["e3t"], mesh["tmask"], density)
    return x


def geostrophic(states: np.ndarray, fields: Fields, grid: OceanGrid) -> np.ndarray:
    """States whose currents and sea level are nearer to balance with density; 0 on dry faces."""
    channels = [fields.index_of(name) for name in (TEMPERATURE, SALINITY, EASTWARD, NORTHWARD, SEA_LEVEL)]
    t, s, u, v, eta = (states[:, c].astype("float64") for c in channels)
    where, depth = (grid.mesh, grid.periodic_x), grid["gdept"]
    density = equation_of_state(grid.equation_of_state)(t, s, depth[:, None, None])
    u, v = nondivergent(u, v, *where)
    eta[:, 0] = sea_level(u, v, density, eta[:, 0], *where)
    u, v = balanced(u, v, hydrostatic_pressure(density, depth, eta[:, 0]), *where)
    u, v = nondivergent(u, v, *where)
    x = states.copy()
    for c, new in zip(channels[2:], (u, v, eta), strict=True):
        x[:, c] = new
    return x


def adjusted(states: xr.Dataset, *adjustments: Adjustment) -> xr.Dataset:
    """Canonical states after each of the ``adjustments``; what none of them changes stays to the last bit."""
    fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
    before = x = fields.stack(states, grid)
    for adjustment in adjustments:
        x = adjustment(x, fields, grid)
    new, changed = fields.unstack(x, grid), {}
    for v, field in enumerate(fields):
        if not np.array_equal(before[:, v], x[:, v]):
            own = states[field.name]
            changed[field.name] = new[field.name].transpose(*own.dims).assign_attrs(own.attrs)
    return states.assign(changed)
