"""What is known of an ocean before its states: grid, variables, regions to look at, equation of state."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import UserError
from ..ocean.fields import SALINITY, TEMPERATURE, Fields
from ..ocean.grid import OceanGrid
from ..physics.eos import EQUATIONS
from .regions import Regions


@dataclass(frozen=True)
class Basin:
    """Without a known equation of state of the grid's model there is nothing about density."""

    grid: OceanGrid
    fields: Fields
    regions: Regions

    @property
    def equation(self) -> str:
        """Name of the equation of state, or nothing."""
        return self.grid.equation_of_state or ""

    @cached_property
    def channels(self) -> dict[str, int]:
        """CF standard name → channel; the first of two variables that share one."""
        named = [(f.attrs.get("standard_name"), v) for v, f in enumerate(self.fields)]
        return {name: v for name, v in reversed(named) if name is not None}

    def has(self, *standard_names: str) -> bool:
        return all(name in self.channels for name in standard_names)

    @property
    def has_density(self) -> bool:
        return self.equation in EQUATIONS and self.has(TEMPERATURE, SALINITY)

    def rows(self, latitude: tuple[float, float]) -> np.ndarray:
        """T cells between two latitudes [°N], bool (y, x)."""
        return between(self.grid["nav_lat"], latitude)


def between(x: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Where ``x`` lies between two limits, exclusive."""
    return (x > limits[0]) & (x < limits[1])


def need_water(weight, kind: str, name: str) -> None:
    """UserError unless some weight is left of the region ``name``."""
    if not np.any(weight):
        raise UserError(
            f"{kind} {name!r} of the evaluation config holds no water on this grid: move it or leave it out"
        )
