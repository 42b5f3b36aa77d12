"""The generative model: one noise curve, one denoiser, one loss.

    z_σ = z + σ n,  n ~ N(0, 1)                                            (noise level σ; EDM, Karras et al. 2022)
    z_t = (1 − t) z + t n  =  (1 − t) z_σ   with  σ = t / (1 − t)          (rectified flow, Liu et al. 2022: same curve)

    D(z_σ) = μ + c_skip (z_σ − μ) + c_out F(c_in (z_σ − μ), ¼ ln σ, condition)  ≈  E[z | z_σ, condition]
    c_skip = s²/(σ² + s²),  c_out = σ s/√(σ² + s²),  c_in = 1/√(σ² + s²)

EDM's preconditioning is the exact denoiser of a Gaussian prior N(0, s²). Here the prior is N(μ(c), s(c)²): its mean is
a ridge regression of the latents on the asked parameters and season, its spread the regression's residual, so the
network learns only what the regression leaves (as in CorrDiff, Mardani et al. 2023). Without parameters μ = 0, s = 1.
"""

import math

import numpy as np
import torch
from torch import nn

from .conditions import Condition

SIGMA_MIN, SIGMA_MAX = 0.02, 40.0  # latents have unit variance


def sigma_of_time(t: torch.Tensor) -> torch.Tensor:
    """Flow time t ∈ [0, 1) → noise level."""
    return t / (1 - t)


def time_of_sigma(sigma: torch.Tensor) -> torch.Tensor:
    """Noise level → flow time."""
    return sigma / (1 + sigma)


CURVES = {"edm": (-0.8, 1.4), "flow": (0.0, 1.2)}  # mean and spread of ln σ in training


def training_sigma(uniform: torch.Tensor, curve: str) -> torch.Tensor:
    """Noise levels for uniform numbers (B,): ``edm`` log-normal (−0.8, 1.4), ``flow`` logit-normal time (0, 1.2).

    A logit-normal time *is* a log-normal σ, since logit t = ln σ: the two differ in location and spread only.
    """
    normal = torch.erfinv((2 * uniform - 1).clamp(-1 + 1e-6, 1 - 1e-6)) * math.sqrt(2)
    mean, spread = CURVES[curve]
    return (mean + spread * normal).exp().clamp(SIGMA_MIN / 2, SIGMA_MAX)


class ConditionalMean(nn.Module):
    """μ(c): ridge regression of latents on polynomials of the parameters and annual harmonics.

    Features: 1, p_i, p_i p_j, two harmonics of the season, and p_i × the first harmonic. ``fit`` chooses the ridge by
    leaving one training setting out at a time, so it is judged on settings it has not seen.
    """

    weight: torch.Tensor
    spread: torch.Tensor

    def __init__(self, n_parameters: int, n_tokens: int, channels: int):
        super().__init__()
        n = n_parameters
        self.n_features = 1 + n + n * (n + 1) // 2 + 4 + 2 * n
        self.register_buffer("weight", torch.zeros(self.n_features, n_tokens, channels))
        self.register_buffer("spread", torch.ones(()))

    def features(self, parameters: torch.Tensor, season: torch.Tensor) -> torch.Tensor:
        """(B, P), (B, 2) → (B, features)."""
        p, (c, s) = parameters, season.unbind(-1)
        i, j = torch.triu_indices(p.shape[1], p.shape[1])
        harmonics = torch.stack([c, s, c * c - s * s, 2 * c * s], -1)
        crossed = (p[:, :, None] * season[:, None, :]).flatten(1)
        return torch.cat([torch.ones_like(p[:, :1]), p, p[:, i] * p[:, j], harmonics, crossed], -1)

    def forward(self, condition: Condition) -> tuple[torch.Tensor, torch.Tensor]:
        """μ (B, N, C) and s (B, 1, 1)."""
        known = condition.has_parameters[:, None, None]
        mean = torch.einsum("bf,fnc->bnc", self.features(condition.parameters, condition.season), self.weight)
        return mean * known, self.spread * known + 1 - known

    @torch.no_grad()
    def fit(
        self, latents: torch.Tensor, parameters: torch.Tensor, season: torch.Tensor, settings: np.ndarray
    ) -> dict[str, float]:
        """From training latents (M, N, C) and their conditions; ``settings`` (M,) labels the simulations."""
        x = self.features(parameters, season).double()
        y = latents.flatten(1).double()
        folds = [torch.from_numpy(settings == s) for s in np.unique(settings)]
        ridges = [10.0**k for k in range(-3, 4)]
        losses = [sum(self._held_out(x, y, fold, ridge) for fold in folds) / len(y) for ridge in ridges]
        best = int(np.argmin(losses))
        self.weight.copy_(_ridge(x, y, ridges[best]).reshape_as(self.weight))
        self.spread.fill_(math.sqrt(losses[best]))
        return {"ridge": ridges[best], "held_out_variance": losses[best]}

    @staticmethod
    def _held_out(x, y, fold, ridge) -> float:
        if fold.all():
            return float(y.square().mean(1).sum())
        weight = _ridge(x[~fold], y[~fold], ridge)
        return float((y[fold] - x[fold] @ weight).square().mean(1).sum())


def _ridge(x, y, ridge):
    penalty = ridge * torch.eye(x.shape[1], dtype=x.dtype)
    penalty[0, 0] = 0.0
    return torch.linalg.solve(x.T @ x + penalty, x.T @ y)


class Denoiser(nn.Module):
    """D(z_σ, σ, condition): the preconditioned network."""

    def __init__(self, network: nn.Module, prior: ConditionalMean):
        super().__init__()
        self.network, self.prior = network, prior

    def forward(self, z: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Estimate of the clean latents (B, N, C) from noisy ones; ``sigma`` (B,)."""
        residual, c_out, rest = self._inputs(z, sigma, condition)
        return rest + c_out * self.network(residual, sigma.log() / 4, condition)

    def _inputs(self, z, sigma, condition):
        mean, s = self.prior(condition)
        total = (sigma[:, None, None] ** 2 + s**2).sqrt()
        c_out = sigma[:, None, None] * s / total
        return (z - mean) / total, c_out, mean + (s / total) ** 2 * (z - mean)

    def loss(self, z: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Mean squared error of F, which is EDM's weighting of the denoising error; (B,) one value a sample."""
        residual, c_out, rest = self._inputs(z + sigma[:, None, None] * noise, sigma, condition)
        estimate = self.network(residual, sigma.log() / 4, condition)
        return (estimate - (z - rest) / c_out).square().mean((1, 2))
