"""Adjustment of states to what holds exactly: data set in, data set out.

Convective adjustment removes density inversions (``physics.stabilise``). Geostrophic adjustment takes from the depth
mean of the currents what would fill or drain columns, brings sea level to balance with what flows below
(``physics.barotropic``), and the currents nearer to balance with both (``physics.currents``). Both adjustments need the
model's own equation of state.
"""

from collections.abc import Iterable

import xarray as xr

from ..physics.balance import hydrostatic_pressure
from ..physics.barotropic import nondivergent, sea_level
from ..physics.currents import balanced
from ..physics.eos import differentiable, equation_of_state
from ..physics.stabilise import stabilise
from .fields import EASTWARD, NORTHWARD, SALINITY, SEA_LEVEL, TEMPERATURE, Fields
from .grid import OceanGrid


def convective(states: xr.Dataset) -> xr.Dataset:
    """Canonical states without density inversions; heat and salt of every column are kept to round-off."""
    fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
    t, s = fields.index_of(TEMPERATURE), fields.index_of(SALINITY)
    x = fields.stack(states, grid)
    density, mesh = differentiable(grid.equation_of_state), grid.mesh
    x[:, t], x[:, s] = stabilise(x[:, t], x[:, s], mesh["gdept"], mesh["e3t"], mesh["tmask"], density)
    return _with(states, x, (t, s), fields, grid)


def geostrophic(states: xr.Dataset) -> xr.Dataset:
    """Canonical states whose currents and sea level are nearer to balance with density; 0 on dry faces."""
    fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
    channels = [fields.index_of(name) for name in (TEMPERATURE, SALINITY, EASTWARD, NORTHWARD, SEA_LEVEL)]
    x = fields.stack(states, grid)
    t, s, u, v, eta = (x[:, c].astype("float64") for c in channels)
    where, depth = (grid.mesh, grid.periodic_x), grid["gdept"]
    density = equation_of_state(grid.equation_of_state)(t, s, depth[:, None, None])
    u, v = nondivergent(u, v, *where)
    eta[:, 0] = sea_level(u, v, density, eta[:, 0], *where)
    u, v = balanced(u, v, hydrostatic_pressure(density, depth, eta[:, 0]), *where)
    u, v = nondivergent(u, v, *where)
    for c, new in zip(channels[2:], (u, v, eta), strict=True):
        x[:, c] = new
    return _with(states, x, channels[2:], fields, grid)


def _with(states: xr.Dataset, x, channels: Iterable[int], fields: Fields, grid: OceanGrid) -> xr.Dataset:
    """``states`` with some of their variables taken from the tensor ``x``."""
    new = fields.unstack(x, grid)
    changed = {name: new[name] for name in (fields[v].name for v in channels)}
    return states.assign({k: v.transpose(*states[k].dims).assign_attrs(states[k].attrs) for k, v in changed.items()})
