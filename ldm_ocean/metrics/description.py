"""The states of a store, described: their diagnostics, and where the store holds restoring targets, surface fluxes."""

import numpy as np
import xarray as xr

from ..errors import UserError, nearest
from ..ocean.fields import SALINITY, TEMPERATURE, Fields
from ..ocean.grid import OceanGrid
from ..physics.budget import surface_heat_balance, surface_salt_balance
from .basin import Basin
from .config import EvaluateConfig
from .diagnostics import Diagnostics
from .regions import Flux
from .scoring import jsonable

FLUXES = {TEMPERATURE: ("W m-2", surface_heat_balance), SALINITY: ("kg m-2 s-1", surface_salt_balance)}


def score_states(data: xr.Dataset, config: EvaluateConfig) -> dict:
    """Diagnostics of the states of any store: mean and standard deviation by setting (equilibrium ones if any)."""
    grid, fields = OceanGrid.from_dataset(data), Fields.from_dataset(data)
    diagnostics = Diagnostics(grid, fields, config.regions)
    ocean = diagnostics.ocean
    fluxes = config.regions.fluxes
    check_fluxes(fluxes, data, ocean)
    units = diagnostics.units | {k: FLUXES[flux.standard_name][0] for k, flux in fluxes.items()}
    settings = {}
    for name in np.unique(data.setting.values):
        own = np.flatnonzero(data.setting.values == name)
        settled = own[data.equilibrium.values[own]]
        samples = data.isel(sample=settled if len(settled) else own)
        states = fields.stack(samples, grid)
        values = diagnostics(states) | {k: surface_flux(states, samples, flux, ocean) for k, flux in fluxes.items()}
        settings[str(name)] = {"samples": samples.sizes["sample"]} | {
            k: {"mean": v.mean(), "std": v.std()} for k, v in values.items()
        }
    return jsonable({"units": units, "settings": settings})


def check_fluxes(fluxes: dict[str, Flux], data: xr.Dataset, ocean: Basin) -> None:
    """UserError for a flux of a variable, or towards a target, that ``data`` does not hold."""
    for name, flux in fluxes.items():
        if flux.standard_name not in FLUXES or not ocean.has(flux.standard_name):
            known = nearest(flux.standard_name, [k for k in FLUXES if ocean.has(k)])
            raise UserError(f"flux {name!r}: no flux of {flux.standard_name!r} from these states{known}")
        if flux.target not in data:
            raise UserError(f"flux {name!r}: the states hold no {flux.target!r}{nearest(flux.target, data.data_vars)}")
        dims = data[flux.target].dims
        if set(dims) - {"sample"} != {"y", "x"}:
            raise UserError(f"flux {name!r}: {flux.target} has dimensions {', '.join(map(str, dims))}: give (y, x)")


def surface_flux(states: np.ndarray, samples: xr.Dataset, flux: Flux, ocean: Basin) -> np.ndarray:
    """Area mean of the flux into the ocean of states (N, V, D, Y, X), (N,); NaN where the target is at a wet cell."""
    area, target = ocean.grid.area("t"), samples[flux.target].transpose(..., "y", "x").values
    surface = states[:, ocean.channels[flux.standard_name], 0].astype("float64")
    balance = FLUXES[flux.standard_name][1]
    return balance(surface, np.where(area > 0, target, 0.0), area, flux.restoring) / area.sum()
