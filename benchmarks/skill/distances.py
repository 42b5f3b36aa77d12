"""How far the generated ocean is from the true one as a distribution.

power     E = ⟨log10 P̄ / P̄_true⟩ over levels and boxes without land [dex]: P̄ the mean zonal spectrum of the members,
          P̄_true that of the verifying states; negative where power lacks
census    W̄ of the volumes of T and S of the members and of each verifying state, averaged over these; in units of
          their spread over the ocean (``ldm_ocean.physics.census``)
"""

import numpy as np
from torch import Tensor

from ldm_ocean.ocean.fields import SALINITY, TEMPERATURE, Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.census import sliced_wasserstein
from ldm_ocean.physics.spectra import land_free_boxes, log_power_error, zonal_spectrum

BOX = (4, 10)  # rows and columns: as wide as most basins of a coarse grid allow
BANDS = {"long": (0.0, 0.25), "short": (0.25, 1.0)}  # cycles a column: waves longer than four columns, and the others
DIRECTIONS = 8  # of the T–S plane; the mean of |cos| over them is right to a per cent


class Distances:
    """Between ensembles and verifying states of one grid; ``training`` (N, V, D, Y, X) gives the units of T and S."""

    def __init__(self, grid: OceanGrid, fields: Fields, training: Tensor):
        masks = fields.masks(grid).numpy()
        self.boxes = {
            f.name: [(v, k, *box) for k, mask in enumerate(masks[v]) for box in land_free_boxes(mask, BOX)]
            for v, f in enumerate(fields)
        }
        names = [f.attrs.get("standard_name") for f in fields]
        self.water = [names.index(n) for n in (TEMPERATURE, SALINITY) if n in names]
        self.wet, self.volume = grid["tmask"], grid.volume()[grid["tmask"]]
        cells = self._cells(training)
        middle = np.average(cells.mean(0), axis=-1, weights=self.volume)[:, None]
        self.scales = tuple(np.sqrt(np.average(((cells - middle) ** 2).mean(0), axis=-1, weights=self.volume)))

    def power(self, ensembles: list[Tensor], states: Tensor) -> dict[str, float]:
        """E of each variable with a box, for long and for short waves."""
        members = np.concatenate([np.asarray(e, "float64") for e in ensembles])
        truth = np.asarray(states, "float64")
        out = {}
        for name, boxes in self.boxes.items():
            if boxes:
                wavenumber, power = self._spectra(members, boxes)
                _, true = self._spectra(truth, boxes)
                error = log_power_error(power, true, wavenumber, list(BANDS.values())).mean(0)
                out |= {f"{name}, {band}": float(e) for band, e in zip(BANDS, error, strict=True)}
        return out

    def census(self, ensembles: list[Tensor], states: Tensor) -> float:
        """W̄, dimensionless; NaN without temperature and salinity."""
        if len(self.water) < 2:
            return float("nan")
        return float(np.mean([self._distance(e, y[None]) for e, y in zip(ensembles, states, strict=True)]))

    def _cells(self, states: Tensor) -> np.ndarray:
        """Wet temperature and salinity, (N, 2, cells)."""
        return np.asarray(states[:, self.water], "float64")[..., self.wet]

    def _spectra(self, states: np.ndarray, boxes) -> tuple[np.ndarray, np.ndarray]:
        """Wavenumber (K,) in cycles a column and mean power (boxes, K)."""
        spectra = [zonal_spectrum(states[:, v, k, rows, columns], 1.0) for v, k, rows, columns in boxes]
        return spectra[0][0], np.stack([power.mean(0) for _, power in spectra])

    def _distance(self, x: Tensor, y: Tensor) -> float:
        water = [self._cells(states).transpose(0, 2, 1).reshape(-1, 2) for states in (x, y)]
        volumes = [np.tile(self.volume, len(states)) for states in (x, y)]
        return float(sliced_wasserstein(*water, *volumes, self.scales, DIRECTIONS))
