"""What the surface of the basin takes up, from the basin's own forcing: how spun-up a state is, from SST alone.

    F(t) = Σ A γ_T (T*(φ, t) − SST) / Σ A  [W m⁻²],      F̄ = ∫ F dt over a year, zero in equilibrium

T* is that of ``ldm_ocean.simulate.dino`` without its noise; ``season`` is the share of the 360-day year gone.
"""

import numpy as np
import xarray as xr

from ldm_ocean.ocean.fields import TEMPERATURE, Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.budget import surface_heat_balance
from ldm_ocean.simulate import dino

NAME, UNIT, TARGET = "surface_heat_flux", "W m-2", "rn_tstar_n"


class SurfaceHeat:
    """F̄ of ensembles by season, for a store of states whose parameters name the northern target."""

    def __init__(self, grid: OceanGrid, fields: Fields):
        self.channel = fields.index_of(TEMPERATURE)
        self.latitude, self.area = grid["nav_lat"], grid.area()

    @staticmethod
    def is_of(store: xr.Dataset) -> bool:
        """Whether the states come from this basin: whether they are labelled with its target."""
        return TARGET in store.attrs["parameters"]

    def __call__(self, ensembles, season: np.ndarray, parameters: dict[str, float]) -> float:
        """[W m⁻²], into the ocean; one ensemble (M, V, D, Y, X), 0 on land, for each of the seasons (N,)."""
        fluxes = [self._flux(x, float(t), parameters[TARGET]) for x, t in zip(ensembles, season, strict=True)]
        return float(np.average(fluxes, weights=shares_of_year(season)))

    def _flux(self, states, season: float, tstar_n: float) -> float:
        target = restoring_target(self.latitude, season, tstar_n)
        surface = np.asarray(states, "float64")[:, self.channel, 0]
        balance = surface_heat_balance(surface, target, self.area, -dino.GAMMA_T)
        return float(balance.mean() / self.area.sum())


def restoring_target(latitude: np.ndarray, season: float, tstar_n: float) -> np.ndarray:
    """T* [°C] at ``latitude`` [°N] for a season."""
    return dino.temperature_target(latitude, dino.season(season * dino.YEAR_DAYS), tstar_n)


def shares_of_year(season: np.ndarray) -> np.ndarray:
    """How much of the year lies nearest to each of the increasing seasons (N,); they sum to one."""
    gap = np.diff(season, append=season[0] + 1)
    return (gap + np.roll(gap, 1)) / 2
