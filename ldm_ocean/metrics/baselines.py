"""What a generator must beat: ensembles made of the training states and of linear algebra.

    Climatology      training states of the same season, whatever their parameters
    NearestSetting   states of the same season of the training setting nearest in scaled parameter space
    EofRegression    x = x̄ + Σ_k a_k e_k,  a = B f(p, t) + r;  e_k: empirical orthogonal functions of all variables
                     at once, f = (1, p̂, cos 2πt, sin 2πt), p̂ the scaled parameters, r resampled residuals of settings
                     left out of the fit (Lorenz 1956; residuals by cross-validation, Stone 1974)

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

from ..data.fields import Fields
from ..data.states import parameters_of
from ..errors import UserError, nearest
from ..grid import OceanGrid

LOGARITHMIC_SPAN = 5.0  # a positive parameter whose training range spans more than this factor counts by its logarithm
SEASON_WINDOW = 1 / 8  # of a year, to either side


class ParameterScale:
    """Training range → [0, 1] for each parameter, logarithmically where it spans more than ``LOGARITHMIC_SPAN``."""

    def __init__(self, parameters: np.ndarray):
        low, high = parameters.min(0), parameters.max(0)
        self.log = (low > 0) & (high > LOGARITHMIC_SPAN * low)
        self.low, self.high = self._unlog(low), self._unlog(high)

    def __call__(self, parameters: np.ndarray) -> np.ndarray:
        """(..., P) → (..., P); a parameter that never varied gives 0."""
        span = np.where(self.high > self.low, self.high - self.low, np.inf)
        return (self._unlog(np.asarray(parameters, "float64")) - self.low) / span

    def _unlog(self, parameters):
        return np.where(self.log, np.log(np.where(self.log, parameters, 1.0)), parameters)


class Climatology:
    """Training states of the season asked for, drawn without replacement."""

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray) -> "Climatology":
        self.states, self.season = states, np.asarray(season)
        return self

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        return self.states[_draw(in_season(self.season, season), members, seed)]


class NearestSetting:
    """States of the season asked for from the nearest training setting, drawn without replacement."""

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray) -> "NearestSetting":
        self.states, self.season, self.settings = states, np.asarray(season), np.asarray(settings)
        self.scale = ParameterScale(np.asarray(parameters))
        self.places = self.scale(parameters)
        return self

    def nearest(self, parameters: np.ndarray) -> str:
        """Name of the training setting with the smallest Euclidean distance in scaled parameters."""
        return str(self.settings[np.linalg.norm(self.places - self.scale(parameters), axis=-1).argmin()])

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        own = np.flatnonzero(self.settings == self.nearest(parameters))
        return self.states[own[_draw(in_season(self.season[own], season), members, seed)]]


class EofRegression:
    """Linear regression of EOF coefficients on parameters and season, with resampled residuals."""

    def __init__(self, volumes: Tensor, explained: float = 0.99):
        """EOFs weigh by ``volumes`` (V, D, Y, X); as many are kept as hold the share ``explained`` of the variance."""
        self.volumes, self.explained = volumes.numpy(), explained

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray) -> "EofRegression":
        self.wet, settings = self.volumes > 0, np.asarray(settings)
        self.shape = tuple(states.shape[1:])
        x = states.numpy()[:, self.wet].astype("float64")
        self.mean = x.mean(0)
        x -= self.mean
        self.weight = self._weights(x)
        self.eofs, coefficients = _eofs(x * self.weight, self.explained)
        self.scale = ParameterScale(np.asarray(parameters))
        features = self._features(parameters, season)
        self.regression = np.linalg.lstsq(features, coefficients, rcond=None)[0]
        self.residuals = _left_out_residuals(features, coefficients, settings)
        return self

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        prediction = self._features(np.asarray(parameters)[None], np.array([season])) @ self.regression
        chosen = _draw(np.arange(len(self.residuals)), members, seed)
        cells = (prediction + self.residuals[chosen]) @ self.eofs / self.weight + self.mean
        out = np.zeros((len(chosen), *self.shape), "float32")
        out[:, self.wet] = cells
        return torch.from_numpy(out)

    def _features(self, parameters, season) -> np.ndarray:
        angle = 2 * np.pi * np.asarray(season)[:, None]
        return np.concatenate([np.ones_like(angle), self.scale(parameters), np.cos(angle), np.sin(angle)], 1)

    def _weights(self, anomalies) -> np.ndarray:
        """√(V/ΣV)/s of each wet cell, s the spread of its variable: all variables count alike."""
        channel = np.nonzero(self.wet)[0]
        volume = self.volumes[self.wet]
        per_channel = lambda x: np.bincount(channel, x, minlength=self.shape[0])[channel]  # noqa: E731
        share = volume / per_channel(volume)
        variance = per_channel(share * (anomalies**2).mean(0))
        return np.sqrt(share / np.where(variance > 0, variance, 1.0))


def in_season(season: np.ndarray, target: float) -> np.ndarray:
    """Indices of the samples within ``SEASON_WINDOW`` of ``target``; at least the two nearest."""
    distance = np.abs((season - target + 0.5) % 1 - 0.5)
    order = np.argsort(distance, kind="stable")
    return order[: max(2, int((distance <= SEASON_WINDOW).sum()))]


def _draw(candidates: np.ndarray, members: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(candidates)[:members]


def _eofs(x: np.ndarray, explained: float) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal rows (K, cells) and coefficients (N, K) of anomalies (N, cells), by the N × N Gram matrix."""
    values, vectors = np.linalg.eigh(x @ x.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    count = int(np.searchsorted(np.cumsum(values), explained * values.sum()) + 1)
    count = max(1, min(count, int((values > 1e-12 * values[0]).sum())))
    eofs = vectors[:, :count].T @ x / np.sqrt(np.maximum(values[:count], np.finfo(float).tiny))[:, None]
    return eofs, x @ eofs.T


def _left_out_residuals(features: np.ndarray, coefficients: np.ndarray, settings: np.ndarray) -> np.ndarray:
    """(N, K): misfit of each setting to the regression on all other settings, or on itself if it is the only one."""
    residuals = np.empty_like(coefficients)
    for name in np.unique(settings):
        own = settings == name
        rest = ~own if (~own).any() else own
        fit = np.linalg.lstsq(features[rest], coefficients[rest], rcond=None)[0]
        residuals[own] = coefficients[own] - features[own] @ fit
    return residuals


Baseline = Climatology | NearestSetting | EofRegression
BASELINES: dict[str, Callable[[Tensor], Baseline]] = {
    "climatology": lambda volumes: Climatology(),
    "nearest_setting": lambda volumes: NearestSetting(),
    "eof_regression": EofRegression,
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
