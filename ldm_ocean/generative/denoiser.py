"""The generative model: one noise curve, one denoiser, one loss.

    z_σ = z + σ n,  n ~ N(0, 1)                                            (noise level σ; EDM, Karras et al. 2022)
    z_t = (1 − t) z + t n  =  (1 − t) z_σ   with  σ = t / (1 − t)          (rectified flow, Liu et al. 2022: same curve)

    D(z_σ) = μ + K (z_σ − μ) + L F(…)  ≈  E[z | z_σ, condition]
    K = C (C + σ²)⁻¹,    L = σ √(C (C + σ²)⁻¹)

EDM's preconditioning is the exact denoiser of N(0, s²); this one is that of N(μ, C): μ is the mean state of the setting
(``prior``), C the covariance of its weather (``weather``). With F = 0 the model is the best that linear statistics can
do; F starts at zero, answers in units of what K leaves open, and learns what is not Gaussian. Without parameters μ = 0,
C = 1.
"""

import math

import numpy as np
import torch
from torch import nn

from .conditions import Condition
from .gaussian import Gaussian
from .prior import Prior
from .weather import Weather
from .years import decompose

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


class Denoiser(nn.Module):
    """D(z_σ, σ, condition). ``network`` is F, or None where F = 0 is best."""

    def __init__(self, network: nn.Module | None, prior: Prior, weather: Weather):
        super().__init__()
        self.network, self.prior, self.weather = network, prior, weather

    @classmethod
    def fitted(cls, z: torch.Tensor, parameters: torch.Tensor, season: torch.Tensor, setting: np.ndarray) -> "Denoiser":
        """F = 0, of training latents (M, N, C), their scaled parameters and seasons and names of their settings."""
        prior = Prior.fitted(z, parameters, season, setting)
        _, _, weather = decompose(z, season, setting, prior.pooled)
        return cls(None, prior, Weather.fitted(weather, parameters, setting))

    def gaussian(self, condition: Condition) -> Gaussian:
        """N(μ, C) of each sample."""
        known = condition.has_parameters[:, None]
        variances = self.weather(condition.parameters) * known + 1 - known
        return Gaussian(condition.mean * known[..., None], self.weather.basis, variances)

    def forward(self, z: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Estimate of the clean latents (B, N, C) from noisy ones; ``sigma`` (B,)."""
        known = self.gaussian(condition)
        estimate = known.estimate(z, sigma)
        if self.network is None:
            return estimate
        size = known.size()
        seen = (z - known.mean) / (size + sigma**2).sqrt()[:, None, None]
        told = (estimate - known.mean) / size.sqrt()[:, None, None]
        answer = self.network(torch.cat([seen, told], -1), sigma.log() / 4, condition)
        return estimate + known.weighted(answer, sigma)

    def loss(self, z: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Mean square of what D misses, (B,), in units of what K leaves open: one for F = 0 where all is Gaussian."""
        missed = self(z + sigma[:, None, None] * noise, sigma, condition) - z
        return missed.square().mean((1, 2)) / self.gaussian(condition).doubt(sigma)
