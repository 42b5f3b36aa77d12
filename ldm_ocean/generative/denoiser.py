"""The generative model: one noise curve, one denoiser, one loss.

    z_σ = z + σ n,  n ~ N(0, 1)                                            (noise level σ; EDM, Karras et al. 2022)
    z_t = (1 − t) z + t n  =  (1 − t) z_σ   with  σ = t / (1 − t)          (rectified flow, Liu et al. 2022: same curve)

    D(z_σ) = μ + c_skip (z_σ − μ) + c_out F(c_in (z_σ − μ), ¼ ln σ, condition)  ≈  E[z | z_σ, condition]
    c_skip = s²/(σ² + s²),  c_out = σ s/√(σ² + s²),  c_in = 1/√(σ² + s²)

EDM's preconditioning is the exact denoiser of a Gaussian prior N(0, s²). Here the prior is N(μ, s²): μ is the mean
state of the setting (see ``prior``), s the size of its internal variability, so the network learns only how the ocean
varies about its mean state (residual diffusion as in CorrDiff, Mardani et al. 2023). With a context state, μ is what
the other settings predict and s the size of its error, since a context may know better. Unconditionally μ = 0, s = 1.
"""

import math

import torch
from torch import nn

from .conditions import Condition
from .prior import Prior

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
    """D(z_σ, σ, condition): the preconditioned network."""

    def __init__(self, network: nn.Module, prior: Prior):
        super().__init__()
        self.network, self.prior = network, prior

    def forward(self, z: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Estimate of the clean latents (B, N, C) from noisy ones; ``sigma`` (B,)."""
        residual, c_out, rest = self._inputs(z, sigma, condition)
        return rest + c_out * self.network(residual, sigma.log() / 4, condition)

    def _inputs(self, z, sigma, condition):
        known = condition.has_parameters[:, None, None]
        given = condition.has_context[:, None, None] == 1
        s = torch.where(given, self.prior.error, self.prior.spread) * known + 1 - known
        mean = condition.mean * known
        total = (sigma[:, None, None] ** 2 + s**2).sqrt()
        c_out = sigma[:, None, None] * s / total
        return (z - mean) / total, c_out, mean + (s / total) ** 2 * (z - mean)

    def loss(self, z: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, condition: Condition) -> torch.Tensor:
        """Mean squared error of F, which is EDM's weighting of the denoising error; (B,) one value a sample."""
        residual, c_out, rest = self._inputs(z + sigma[:, None, None] * noise, sigma, condition)
        estimate = self.network(residual, sigma.log() / 4, condition)
        return (estimate - (z - rest) / c_out).square().mean((1, 2))
