"""A batch of ocean states, and what several diagnostics need of it, computed once and when first asked for."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..ocean.fields import EASTWARD, NORTHWARD, SALINITY, SEA_LEVEL, TEMPERATURE
from ..ocean.grid import POINTS
from ..physics.eos import equation_of_state, expansion
from ..physics.overturning import heat_transport, overturning, overturning_in_density
from ..physics.stratification import buoyancy_frequency
from ..physics.surface import moved
from ..physics.transport import barotropic_streamfunction
from .basin import Basin


class State:
    """Values (..., V, D, Y, X) in double precision, 0 on land; ``state[standard_name]`` is one variable (..., D, Y, X).

    Where the ocean's surface moves, the thicknesses of ``grid`` are those under the states' sea level, (..., D, Y, X).
    """

    def __init__(self, values: np.ndarray, ocean: Basin):
        self.values, self.ocean, self.grid = values, ocean, ocean.grid
        if ocean.regions.moving_surface and ocean.has(SEA_LEVEL):
            mesh = moved(ocean.grid.mesh, self.sea_level, ocean.grid.periodic_x)
            self.grid = replace(ocean.grid, mesh=mesh)
        self._in_density: dict[tuple, np.ndarray] = {}

    def __getitem__(self, standard_name: str) -> np.ndarray:
        return self.values[..., self.ocean.channels[standard_name], :, :, :]

    @property
    def sea_level(self) -> np.ndarray:
        """η [m], (..., Y, X)."""
        return self[SEA_LEVEL][..., 0, :, :]

    @cached_property
    def volumes(self) -> dict[str, np.ndarray]:
        """Cell volumes [m³] at T, U and V points, (D, Y, X), or (..., D, Y, X) under a moving surface."""
        return {point: self.grid.volume(point) for point in POINTS}

    def density(self, depth) -> np.ndarray:
        """[kg/m³] (..., D, Y, X) of the waters brought to ``depth`` [m]."""
        return equation_of_state(self.ocean.equation)(self[TEMPERATURE], self[SALINITY], depth)

    @cached_property
    def in_situ_density(self) -> np.ndarray:
        """[kg/m³], (..., D, Y, X)."""
        return self.density(self.grid["gdept"][:, None, None])

    @cached_property
    def buoyancy_frequency(self) -> np.ndarray:
        """N² [s⁻²], (..., D − 1, Y, X)."""
        depth = self.grid["gdept"][:, None, None]
        return buoyancy_frequency(self[TEMPERATURE], self[SALINITY], depth, expansion(self.ocean.equation))

    @cached_property
    def streamfunction(self) -> np.ndarray:
        """Barotropic ψ [Sv] at F points, (..., Y, X)."""
        return barotropic_streamfunction(self[EASTWARD], self.grid["e2u"], self.grid["e3u"])

    @cached_property
    def overturning(self) -> np.ndarray:
        """ψ [Sv] at W points, (..., D, Y)."""
        return overturning(self[NORTHWARD], self.grid["e1v"], self.grid["e3v"])

    def overturning_in_density(self, reference: float, classes: tuple[float, ...]) -> np.ndarray:
        """ψ [Sv] by potential density [kg/m³] at the depth ``reference`` [m], (..., classes, Y)."""
        key = (reference, classes)
        if key not in self._in_density:
            flow = self[NORTHWARD], self.grid["e1v"], self.grid["e3v"]
            self._in_density[key] = overturning_in_density(*flow, self.density(reference), classes)
        return self._in_density[key]

    @cached_property
    def heat_transport(self) -> np.ndarray:
        """Northward [PW] at V points, (..., Y)."""
        return heat_transport(self[NORTHWARD], self[TEMPERATURE], self.grid["e1v"], self.grid["e3v"])


class Scalar(NamedTuple):
    """A diagnostic: ``of(state)`` is one number a state, in ``unit``."""

    name: str
    unit: str
    of: Callable[[State], np.ndarray]
