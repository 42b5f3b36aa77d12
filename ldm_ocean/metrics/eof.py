"""The linear algebra of spun-up oceans: empirical orthogonal functions whose coefficients follow the parameters.

    x = x̄ + Σ_k a_k e_k,    a = m(p, t) + r                                                           (Lorenz 1956)

e_k are the EOFs of all variables at once, each cell weighted so that variables count alike; r are resampled residuals
of settings left out of the fit (cross-validation, Stone 1974). Season t enters by harmonics, parameters p̂ scaled:

    EofRegression         m = B f,  f = (1, p̂, cos 2πt, sin 2πt), by least squares
    EofGaussianProcess    m = h(t)ᵀ b(p), the mean years of settings kriged by their principal directions, as for the
                          generator itself (``generative.prior``)
"""

import numpy as np
import torch
from torch import Tensor

from ..generative.conditions import season_angle
from ..generative.prior import Prior
from ..generative.years import seasonal
from ..ocean.parameters import ParameterScale
from .kernels import normalising_weights


class _Eofs:
    """EOFs and the resampling; a regression brings ``_fit`` and ``_mean``."""

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
        out = np.zeros((len(chosen), *self.volumes.shape), "float32")
        out[:, self.wet] = (mean + self.residuals[chosen]) @ self.eofs / self.weight + self.middle
        return torch.from_numpy(out)

    def _fit(
        self, coefficients: np.ndarray, places: np.ndarray, season: np.ndarray, settings: np.ndarray
    ) -> np.ndarray:
        """Fit to (N, K) at scaled parameters (N, P); returns the residuals (N, K) of left-out settings."""
        raise NotImplementedError

    def _mean(self, places: np.ndarray, season: np.ndarray) -> np.ndarray:
        """m (N, K) at (N, P), (N,)."""
        raise NotImplementedError


class EofRegression(_Eofs):
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


class EofGaussianProcess(_Eofs):
    """Gaussian-process regression of the mean years of EOF coefficients on the parameters, with resampled residuals."""

    def _fit(self, coefficients, places, season, settings):
        z, angle = torch.from_numpy(coefficients).float()[..., None], _angle(season)
        self.prior = Prior.fitted(z, _standard(places), angle, settings)
        _, place = np.unique(settings, return_inverse=True)
        return (z - seasonal(self.prior.left_out()[place], angle))[..., 0].double().numpy()

    def _mean(self, places, season):
        return self.prior(_standard(places), _angle(season))[..., 0].double().numpy()


def _standard(places: np.ndarray) -> Tensor:
    """Parameters on the scale 0 … 1, whose spread, if uniform, is 1/√12, on that of the prior."""
    return torch.from_numpy(np.sqrt(12) * (places - 0.5)).float()


def _angle(season: np.ndarray) -> Tensor:
    return season_angle(torch.from_numpy(season).float())


def _eofs(x: np.ndarray, explained: float) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal rows (K, cells) and coefficients (N, K) of anomalies (N, cells), by the N × N Gram matrix."""
    values, vectors = np.linalg.eigh(x @ x.T)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    count = int(np.searchsorted(np.cumsum(values), explained * values.sum()) + 1)
    count = max(1, min(count, int((values > 1e-12 * values[0]).sum())))
    eofs = vectors[:, :count].T @ x / np.sqrt(np.maximum(values[:count], np.finfo(float).tiny))[:, None]
    return eofs, x @ eofs.T
