"""What a generator must beat: ensembles made of the training states and of linear algebra.

    Climatology           training states of the same season, whatever their parameters
    NearestSetting        states of the same season of the training setting nearest in scaled parameter space, or of all
                          those that are equally near
    EofRegression         EOF coefficients regressed linearly on the parameters, with resampled residuals (``eof``)
    EofGaussianProcess    the same by kriging

Each is ``fit`` on states (N, V, D, Y, X), parameters (N, P), season (N,) in [0, 1) and setting names (N,), and then
``sample``\\ s members (M, V, D, Y, X). The first two never repeat a state, so M may be less than asked for: fair scores
do not mind, and repeated members would be punished as a lack of spread.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..errors import UserError, nearest
from ..io.states import parameters_of
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from ..ocean.parameters import ParameterScale
from .eof import EofGaussianProcess, EofRegression

SEASON_WINDOW = 1 / 8  # of a year, to either side
TIE = 1e-9  # difference of two distances, in ranges of the parameters, that is none


class Climatology:
    """Training states of the season asked for, drawn without replacement."""

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray) -> "Climatology":
        self.states, self.season = states, np.asarray(season)
        return self

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        return self.states[_draw(in_season(self.season, season), members, seed)]


class NearestSetting:
    """States of the season asked for from the nearest training settings, drawn without replacement."""

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray) -> "NearestSetting":
        self.states, self.season, self.settings = states, np.asarray(season), np.asarray(settings)
        self.scale = ParameterScale(np.min(parameters, 0), np.max(parameters, 0))
        self.places = self.scale.unit(parameters)
        return self

    def nearest(self, parameters: np.ndarray) -> list[str]:
        """The training settings at the smallest Euclidean distance in scaled parameters: one, or several at a tie."""
        distance = np.linalg.norm(self.places - self.scale.unit(parameters), axis=-1)
        return np.unique(self.settings[distance <= distance.min() + TIE]).tolist()

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        own = np.flatnonzero(np.isin(self.settings, self.nearest(parameters)))
        return self.states[own[_draw(in_season(self.season[own], season), members, seed)]]


def in_season(season: np.ndarray, target: float) -> np.ndarray:
    """Indices of the samples within ``SEASON_WINDOW`` of ``target``; at least the two nearest."""
    distance = np.abs((season - target + 0.5) % 1 - 0.5)
    order = np.argsort(distance, kind="stable")
    return order[: max(2, int((distance <= SEASON_WINDOW).sum()))]


def _draw(candidates: np.ndarray, members: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(candidates)[:members]


Baseline = Climatology | NearestSetting | EofRegression | EofGaussianProcess
BASELINES: dict[str, Callable[[Tensor], Baseline]] = {
    "climatology": lambda volumes: Climatology(),
    "nearest_setting": lambda volumes: NearestSetting(),
    "eof_regression": EofRegression,
    "eof_gp": EofGaussianProcess,
}


@dataclass(frozen=True)
class Baselines:
    """Fitted baselines by name, and the training mean state (V, D, Y, X) that anomalies are taken about."""

    mean: Tensor
    methods: dict[str, Baseline]

    @classmethod
    def fit(
        cls, training: xr.Dataset, grid: OceanGrid, fields: Fields, names: Iterable[str] = tuple(BASELINES)
    ) -> "Baselines":
        """From canonical training states (all of them: select splits and equilibrium before)."""
        for name in names:
            if name not in BASELINES:
                raise UserError(f"unknown baseline {name!r} in the evaluation config{nearest(name, BASELINES)}")
        states, volumes = torch.from_numpy(fields.stack(training, grid)), fields.volumes(grid)
        labels = (parameters_of(training), training.season.values, training.setting.values)
        methods = {name: BASELINES[name](volumes).fit(states, *labels) for name in names}
        return cls(states.double().mean(0), methods)
