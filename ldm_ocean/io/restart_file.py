"""An open NEMO restart beside the grid that it should fit."""

from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np

from ..ocean.grid import OceanGrid
from .names import Names
from .nemo import LAYOUT

CANONICAL = {raw: name for name, raw in LAYOUT["now"].items()}
CANONICAL |= {LAYOUT["before"][raw]: name for raw, name in CANONICAL.items()}
DEEP = {*LAYOUT["turbulence"], LAYOUT["light"]}
BEFORE = {*LAYOUT["before"].values(), *LAYOUT["beside_before"], LAYOUT["light"]}
FIELDS = tuple(dict.fromkeys([*CANONICAL, *LAYOUT["turbulence"], *LAYOUT["beside_before"], LAYOUT["light"]]))


@dataclass(frozen=True)
class Restart:
    """An open restart and the grid that it should fit; ``rdt``: time step [s], None where nobody tells."""

    path: Path
    data: netCDF4.Dataset
    grid: OceanGrid
    rdt: float | None
    names: Names

    def has(self, name: str) -> bool:
        return name in self.data.variables

    def missing(self, names: list[str]) -> list[str]:
        return [k for k in names if not self.has(k)]

    def scalar(self, name: str) -> float:
        return float(np.ravel(self.data[name][...])[0])

    def mask(self, name: str) -> np.ndarray:
        """Water of a field of the restart, (depth, y, x) or (y, x); turbulence and forcing count by T cells."""
        if name not in CANONICAL:
            return self.grid["tmask"] if name in DEEP else self.grid["tmask"][0]
        variable = self.names.variables[CANONICAL[name]]
        mask = self.grid[f"{variable.point}mask"]
        return mask if variable.deep else mask[0]

    def fits(self, name: str) -> bool:
        """Whether a field is there in the mesh's shape."""
        shape = self.mask(name).shape
        return self.has(name) and self.data[name].shape in (shape, (1, *shape))

    def values(self, name: str) -> np.ndarray:
        """As NEMO reads them, float64 (depth, y, x) or (y, x)."""
        variable = self.data[name]
        raw = np.asarray(variable[...], "float64")
        raw = raw * getattr(variable, "scale_factor", 1.0) + getattr(variable, "add_offset", 0.0)
        return raw.reshape(self.mask(name).shape)

    def read(self) -> list[str]:
        """Names of the fields that are there and that NEMO reads: of the step before none without its sea level."""
        skipped = () if self.has(LAYOUT["forward_without"]) else BEFORE
        return [name for name in FIELDS if self.has(name) and name not in skipped]

    def fields(self) -> list[str]:
        """Of T, S, u, v and sea level, now and before, those that NEMO reads and that have the mesh's shape."""
        return [name for name in self.read() if name in CANONICAL and self.fits(name)]
