"""The truth of one setting: the states that verify, and the others, which tell how far truth differs from truth.

A simulation has many states of one season, all equally true. Those but the verifying one are an ensemble for it:
``simulated``, a yardstick and no baseline, for it has seen the very simulation to be predicted. How it scores is the
sampling uncertainty of the truth, about what a perfect generator would reach (which does slightly better, for it hits
the very day of the year): what differs by less, differs by chance.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..io.states import parameters_of
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .baselines import in_season


def verifying_states(data: xr.Dataset, setting: str, count: int) -> np.ndarray:
    """Indices of at most ``count`` equilibrium samples of a setting, evenly spread over its seasons."""
    own = np.flatnonzero((data.setting.values == setting) & data.equilibrium.values)
    order = own[np.argsort(data.season.values[own], kind="stable")]
    return order[_evenly(len(order), count)]


def others_in_season(season: np.ndarray, index: int) -> np.ndarray:
    """Indices of the states but ``index`` that are of its season, at least two; ``season`` (S,) with S ≥ 3."""
    others = np.delete(np.arange(len(season)), index)
    return others[in_season(season[others], season[index])]


def seed_of(seed: int, *what: str | int) -> int:
    """A seed (32 bits) for ``what``, such as the setting's name: settings that shared their noise would err alike, and
    the bootstrap takes them as independent."""
    return int.from_bytes(hashlib.sha256(repr((seed, *what)).encode()).digest()[:4])


@dataclass(frozen=True)
class Truth:
    """All equilibrium states of a setting, ``every`` (S, V, D, Y, X) in the order of their ``seasons`` (S,), and the
    indices of those that verify (N,)."""

    parameters: dict[str, float]
    every: Tensor
    seasons: np.ndarray
    verifying: np.ndarray

    @classmethod
    def of(cls, data: xr.Dataset, setting: str, fields: Fields, grid: OceanGrid, count: int) -> "Truth":
        """Of a canonical store, with at most ``count`` verifying states."""
        own = data.isel(sample=verifying_states(data, setting, data.sizes["sample"]))
        parameters = dict(zip(data.attrs["parameters"], map(float, parameters_of(own)[0]), strict=True))
        every = torch.from_numpy(fields.stack(own, grid))
        return cls(parameters, every, own.season.values, _evenly(len(every), count))

    @property
    def states(self) -> Tensor:
        """Those that verify, (N, V, D, Y, X)."""
        return self.every[self.verifying]

    @property
    def season(self) -> np.ndarray:
        """Of those that verify, (N,)."""
        return self.seasons[self.verifying]

    def simulated(self) -> list[Tensor]:
        """For each verifying state the others of its season (M, V, D, Y, X), M ≥ 2; needs S ≥ 3."""
        return [self.every[others_in_season(self.seasons, i)] for i in self.verifying]


def _evenly(size: int, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, size - 1, min(count, size)).round().astype(int))
