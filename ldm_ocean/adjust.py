"""Adjustment of states to what holds exactly: data set in, data set out.

Convective adjustment removes density inversions (``physics.stabilise``), geostrophic adjustment gives currents the
shear that the density asks for (``physics.currents``). Both need the model's own equation of state.
"""

from collections.abc import Callable

import xarray as xr

from .data.fields import EASTWARD, NORTHWARD, SALINITY, TEMPERATURE, Fields
from .errors import UserError
from .grid import OceanGrid
from .physics.currents import balanced
from .physics.eos import equation_of_state
from .physics.stabilise import stabilise


def convective(states: xr.Dataset) -> xr.Dataset:
    """Canonical states without density inversions; heat and salt of every column are kept to round-off."""
    fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
    t, s = fields.index_of(TEMPERATURE), fields.index_of(SALINITY)
    x = fields.stack(states, grid)
    density, mesh = _density(grid), grid.mesh
    x[:, t], x[:, s] = stabilise(x[:, t], x[:, s], mesh["gdept"], mesh["e3t"], mesh["tmask"], density)
    return _with(states, x, (t, s), fields, grid)


def geostrophic(states: xr.Dataset) -> xr.Dataset:
    """Canonical states with thermal-wind shear about the depth mean of their own currents; 0 on dry faces."""
    fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
    t, s, u, v = (fields.index_of(name) for name in (TEMPERATURE, SALINITY, EASTWARD, NORTHWARD))
    x = fields.stack(states, grid)
    x[:, u], x[:, v] = balanced(x[:, t], x[:, s], x[:, u], x[:, v], grid, grid.periodic_x, _density(grid))
    return _with(states, x, (u, v), fields, grid)


def _density(grid: OceanGrid) -> Callable:
    if grid.equation_of_state is None:
        raise UserError("the equation of state of these states is not known: give it to `ldm-ocean prepare`")
    return equation_of_state(grid.equation_of_state)


def _with(states: xr.Dataset, x, channels: tuple[int, ...], fields: Fields, grid: OceanGrid) -> xr.Dataset:
    """``states`` with some of their variables taken from the tensor ``x``."""
    new = fields.unstack(x, grid)
    changed = {name: new[name] for name in (fields[v].name for v in channels)}
    return states.assign({k: v.transpose(*states[k].dims).assign_attrs(states[k].attrs) for k, v in changed.items()})
