"""Scalars of one ocean state: what it holds, what flows through it, and whether its parts agree.

Where boxes, depths, sections and gyres lie is configuration; what "temperature" is follows from CF standard names.
Every scalar is one number a state; docs/scores.md defines them all.
"""

from collections.abc import Callable
from itertools import chain

import numpy as np

from ..errors import UserError
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .basin import Basin
from .circulation import circulation
from .consistency import consistency
from .hydrography import hydrography
from .regions import Regions
from .state import State


class Diagnostics:
    """All diagnostics that a grid, its fields and the regions allow: states (..., V, D, Y, X) → {name: (...)}.

    ``units`` holds the unit of each name. Without an equation of state of the grid's model, or without both
    temperature and salinity, there is nothing about density. UserError for a region without water.
    """

    def __init__(self, grid: OceanGrid, fields: Fields, regions: Regions):
        self.ocean = Basin(grid, fields, regions)
        self.units: dict[str, str] = {}
        self._scalars: dict[str, Callable[[State], np.ndarray]] = {}
        for name, unit, scalar in chain(hydrography(self.ocean), circulation(self.ocean), consistency(self.ocean)):
            if name in self.units:
                raise UserError(f"two diagnostics are called {name!r}: rename one in the evaluation config")
            self.units[name], self._scalars[name] = unit, scalar

    def __call__(self, states) -> dict[str, np.ndarray]:
        """States (..., V, D, Y, X), numpy or torch, 0 on land."""
        state = State(np.asarray(states, "float64"), self.ocean)
        with np.errstate(invalid="ignore", divide="ignore"):  # a ratio to the flow of an ocean at rest is NaN
            return {name: scalar(state) for name, scalar in self._scalars.items()}
