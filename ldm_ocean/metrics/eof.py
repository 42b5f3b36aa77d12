"""The linear algebra of spun-up oceans: empirical orthogonal functions whose coefficients follow the parameters.

    x = x̄ + Σ_k a_k e_k,    a = m(p, t) + r                                                           (Lorenz 1956)

e_k are the EOFs of all variables at once, each cell weighted so that variables count alike; r are resampled residuals
of settings left out of the fit (cross-validation, Stone 1974). Season t enters by harmonics, parameters p̂ scaled:

    EofRegression         m = B f,  f = (1, p̂, cos 2πt, sin 2πt), by least squares
    EofGaussianProcess    m_k = h(t)ᵀ b_k(p),  h = (1, cos 2πt, sin 2πt, cos 4πt, sin 4πt): the mean year b_k of a
                          setting, kriged from those of the others with a constant, a linear and a Matérn 5/2 part and
                          noise; each k has the length ℓ, the same for all parameters, and the noise ν that predict
                          left-out settings best: another way than the generator's own (``generative.process``)
"""

import itertools

import numpy as np
import torch
from torch import Tensor

from ..generative.conditions import season_angle
from ..generative.process import CONSTANT
from ..generative.years import harmonics, mean_year
from ..ocean.parameters import ParameterScale
from .kernels import normalising_weights

LENGTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # ℓ, in standard deviations of the parameters
NUGGETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # ν


class Eofs:
    """EOFs and the resampling of residuals; a regression brings ``_fit`` and ``_mean``."""

    def __init__(self, volumes: Tensor, explained: float = 0.99):
        """EOFs weigh by ``volumes`` (V, D, Y, X); as many are kept as hold the share ``explained`` of the variance."""
        self.volumes, self.explained = volumes.numpy(), explained

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray):
        self.wet = self.volumes > 0
        self.weight = np.sqrt(normalising_weights(states.numpy(), self.volumes)[self.wet])
        x = states.numpy()[:, self.wet].astype("float64")
        self.middle = x.mean(0)
        self.eofs, coefficients = _eofs((x - self.middle) * self.weight, self.explained)
        self.scale = ParameterScale(np.min(parameters, 0), np.max(parameters, 0))
        self.residuals = self._fit(coefficients, self.scale.unit(parameters), np.asarray(season), np.asarray(settings))
        return self

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        mean = self._mean(self.scale.unit(np.asarray(parameters))[None], np.array([season]))
        chosen = np.random.default_rng(seed).permutation(len(self.residuals))[:members]
        return self.states(mean + self.residuals[chosen])

    def coefficients(self, states: np.ndarray) -> np.ndarray:
        """(M, K) of states (M, V, D, Y, X)."""
        return ((states[:, self.wet] - self.middle) * self.weight) @ self.eofs.T

    def states(self, coefficients: np.ndarray) -> Tensor:
        """(M, V, D, Y, X) of EOF coefficients (M, K)."""
        out = np.zeros((len(coefficients), *self.volumes.shape), "float32")
        out[:, self.wet] = coefficients @ self.eofs / self.weight + self.middle
        return torch.from_numpy(out)

    def _fit(
        self, coefficients: np.ndarray, places: np.ndarray, season: np.ndarray, settings: np.ndarray
    ) -> np.ndarray:
        """Fit to (N, K) at scaled parameters (N, P); returns the residuals (N, K) of left-out settings."""
        raise NotImplementedError

    def _mean(self, places: np.ndarray, season: np.ndarray) -> np.ndarray:
        """m (N, K) at (N, P), (N,)."""
        raise NotImplementedError


class EofRegression(Eofs):
    """Linear regression of EOF coefficients on parameters and season, with resampled residuals."""

    def _fit(self, coefficients, places, season, settings):
        features = self._features(places, season)
        self.regression = np.linalg.lstsq(features, coefficients, rcond=None)[0]
        residuals = np.empty_like(coefficients)
        for name in np.unique(settings):
            own = settings == name
            rest = ~own if (~own).any() else own  # the only setting there is: misfit to itself
            fit = np.linalg.lstsq(features[rest], coefficients[rest], rcond=None)[0]
            residuals[own] = coefficients[own] - features[own] @ fit
        return residuals

    def _mean(self, places, season):
        return self._features(places, season) @ self.regression

    def _features(self, places, season) -> np.ndarray:
        angle = 2 * np.pi * season[:, None]
        return np.concatenate([np.ones_like(angle), places, np.cos(angle), np.sin(angle)], 1)


class EofGaussianProcess(Eofs):
    """Gaussian-process regression of the mean years of EOF coefficients on the parameters, with resampled residuals."""

    def _fit(self, coefficients, places, season, settings):
        h = _harmonics(season)
        _, first, place = np.unique(settings, return_index=True, return_inverse=True)
        self.places = places[first]
        pooled = np.linalg.lstsq(h, coefficients, rcond=None)[0]
        years = np.stack([_mean_year(coefficients[place == s], season[place == s], pooled) for s in range(len(first))])
        self.centre = years.mean(0)
        years = years - self.centre
        best = np.full(coefficients.shape[1], np.inf)
        self.response, residuals = np.zeros_like(years), coefficients.copy()
        self.length = np.full(len(best), LENGTHS[0])
        for length, nugget in itertools.product(LENGTHS, NUGGETS):
            inverse = np.linalg.inv(_kernel(self.places, self.places, length) + nugget * np.eye(len(years)))
            response = np.einsum("st,tjk->sjk", inverse, years)  # K⁻¹ b
            left_out = years - response / inverse.diagonal()[:, None, None]
            misfit = coefficients - np.einsum("nj,njk->nk", h, left_out[place] + self.centre)
            error = (misfit**2).mean(0)
            better = error < best
            best = np.where(better, error, best)
            self.length = np.where(better, length, self.length)
            self.response[..., better], residuals[:, better] = response[..., better], misfit[:, better]
        return residuals

    def _mean(self, places, season):
        years = np.repeat(self.centre[None], len(places), 0)
        for length in np.unique(self.length):
            own = self.length == length
            years[..., own] += np.einsum("ns,sjk->njk", _kernel(places, self.places, length), self.response[..., own])
        return np.einsum("nj,njk->nk", _harmonics(season), years)


def standard(places: np.ndarray) -> np.ndarray:
    """Parameters on the scale 0 … 1, whose spread, if uniform, is 1/√12, on one where it is 1."""
    return np.sqrt(12) * (places - 0.5)


def _kernel(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
    """k (A, B) of parameters (A, P), (B, P) on the scale 0 … 1."""
    a, b = standard(a), standard(b)
    d = np.sqrt(5) * np.linalg.norm(a[:, None] - b, axis=-1) / length
    return CONSTANT + a @ b.T + (1 + d + d * d / 3) * np.exp(-d)


def _harmonics(season: np.ndarray) -> np.ndarray:
    return harmonics(season_angle(torch.from_numpy(season).double())).numpy()


def _mean_year(coefficients: np.ndarray, season: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """(5, K) of one setting, drawn towards ``pooled`` where its states are few."""
    angle = season_angle(torch.from_numpy(season).double())
    z, towards = (torch.from_numpy(x)[:, None] for x in (coefficients, pooled))
    return mean_year(z, angle, towards)[0][:, 0].double().numpy()


def _eofs(x: np.ndarray, explained: float) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal rows (K, cells) and coefficients (N, K) of anomalies (N, cells), by the N × N Gram matrix."""
    values, vectors = np.linalg.eigh(x @ x.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    count = int(np.searchsorted(np.cumsum(values), explained * values.sum()) + 1)
    count = max(1, min(count, int((values > 1e-12 * values[0]).sum())))
    eofs = vectors[:, :count].T @ x / np.sqrt(np.maximum(values[:count], np.finfo(float).tiny))[:, None]
    return eofs, x @ eofs.T
