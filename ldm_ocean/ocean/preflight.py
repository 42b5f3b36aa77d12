"""What a model would stumble over in a state, looked at before it starts.

    inverted    Σ V|N²|[N² < 0] / Σ V|N²|, how much of the stratification is upside down [%]
    cfl         max(|u| / e1 + |v| / e2) Δt, which explicit advection needs below one
    sea_level   mean of η over the area [m]: a volume of water that the model will never lose
    emptied     max −η / H, how far a column is towards dry: at one the run ends

Nothing here knows how the state was made.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import UserError
from ..physics.currents import TOO_FAST, courant_number
from ..physics.eos import expansion
from ..physics.stratification import MUCH_INVERTED, buoyancy_frequency, inverted_share
from .fields import EASTWARD, NORTHWARD, PLAUSIBLE, SALINITY, SEA_LEVEL, TEMPERATURE, Fields
from .grid import OceanGrid

MOST_SEA_LEVEL = 0.1  # [m]


@dataclass(frozen=True)
class Preflight:
    """Numbers of a state by name, what would stop the model, and what it would survive with a shock."""

    numbers: dict[str, float]
    stops: list[str]
    warns: list[str]


def preflight(state: xr.Dataset, step_seconds: float) -> Preflight:
    """Look at one canonical state with its mesh (sample = 1) before steps of ``step_seconds``."""
    fields, grid = Fields.from_dataset(state), OceanGrid.from_dataset(state)
    masks = fields.masks(grid).numpy()
    x = fields.stack(state, grid)[0].astype("float64")
    own = {f.attrs.get("standard_name"): x[v] for v, f in enumerate(fields)}
    stops = [
        f"{f.name} is {values.min():.4g} to {values.max():.4g}, beyond {low:g} to {high:g}"
        for f, field, mask in zip(fields, x, masks, strict=True)
        for low, high in [PLAUSIBLE.get(f.attrs.get("standard_name", ""), (-np.inf, np.inf))]
        for values in [field[mask]]
        if values.min() < low or values.max() > high
    ]
    numbers = _numbers(own, grid, step_seconds)
    if numbers.get("cfl", 0.0) >= TOO_FAST:
        stops.append(f"currents cross {numbers['cfl']:.2f} cells a step: shorten the step, or mend the state")
    if numbers.get("emptied", 0.0) >= 1:
        stops.append("a column of water is dry: its sea level lies below its floor")
    warns = []
    if numbers.get("inverted", 0.0) > MUCH_INVERTED:
        warns.append(f"{numbers['inverted']:.1f} % of the stratification is upside down: --fix stabilises it")
    if abs(numbers.get("sea_level", 0.0)) > MOST_SEA_LEVEL:
        warns.append(f"mean sea level is {numbers['sea_level']:+.2f} m: the volume of water is not the model's")
    return Preflight(numbers, stops, warns)


def _numbers(own: dict, grid: OceanGrid, step_seconds: float) -> dict[str, float]:
    out = {}
    if grid.equation_of_state and {TEMPERATURE, SALINITY} <= own.keys():
        water = own[TEMPERATURE], own[SALINITY], grid["gdept"][:, None, None]
        frequency = buoyancy_frequency(*water, expansion(grid.equation_of_state))
        out["inverted"] = inverted_share(frequency, grid.volume())
    if {EASTWARD, NORTHWARD} <= own.keys():
        out["cfl"] = courant_number(own[EASTWARD], own[NORTHWARD], grid, step_seconds).max()
    if SEA_LEVEL in own:
        eta, wet = own[SEA_LEVEL][0], grid["tmask"][0]
        out["sea_level"] = np.average(eta[wet], weights=grid.area()[wet])
        floor = (grid["e3t"] * grid["tmask"]).sum(0)
        out["emptied"] = (-eta[wet] / floor[wet]).max()
    return {k: float(v) for k, v in out.items()}


def check(states: xr.Dataset, step_seconds: float, what: str) -> list[Preflight]:
    """``preflight`` of every sample; UserError for the first that would stop the model."""
    found = []
    for n in range(states.sizes["sample"]):
        found.append(preflight(states.isel(sample=[n]), step_seconds))
        if found[-1].stops:
            raise UserError(f"{what} {n} would stop the model: {'; '.join(found[-1].stops)}")
    return found
