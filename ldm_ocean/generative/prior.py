"""The mean state for given parameters: a Gaussian process over the training settings.

    z = m(c, t) + r,    m(c, t) = h(t)ᵀ b(c),    h = (1, cos 2πt, sin 2πt, cos 4πt, sin 4πt)

b(c) is the mean year of a setting's latents, r its internal variability, which the transformer learns. The mean years
of the S training settings are regressed; those of another c follow from a Gaussian process with one kernel for all
latents (kriging; Rasmussen & Williams 2006, chapters 2 and 5):

    k(c, c') = α + c·c' + (1 + √5 d + 5d²/3) e^(−√5 d),    d = |c − c'|/ℓ,    K = k + ν 1
    b̂(c) = b̄ + w(c)·(b − b̄),    w(c) = K⁻¹k(c),    v(c) = k(c, c) + ν − k(c)·w(c)

ℓ and ν are those that predict the states of left-out settings best. Settings are few, and each departs from any smooth
function of c by ν, so b is uncertain by v(c), with the pattern of the errors at left-out settings,
e = K⁻¹(b − b̄)/diag K⁻¹, whose variance is 1/diag K⁻¹:

    b̃(c, ξ) = b̂(c) + √(v(c)/S) Σ_i ξ_i √(K⁻¹)_ii e_i,    ξ ~ N(0, 1)

Every member of an ensemble has its own ξ: together they span the mean years that the training settings allow.
"""

import itertools
import math

import numpy as np
import torch
from torch import nn

LENGTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # ℓ, in standard deviations of the training parameters
NUGGETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # ν
CONSTANT = 10.0  # α: little is known of the mean over all settings
SHRINK = 10.0  # observations that the season of all settings counts for in a setting's own


def harmonics(season: torch.Tensor) -> torch.Tensor:
    """(cos, sin) of the season (B, 2) → h (B, 5)."""
    c, s = season.unbind(-1)
    return torch.stack([torch.ones_like(c), c, s, c * c - s * s, 2 * c * s], -1)


def seasonal(years: torch.Tensor, season: torch.Tensor) -> torch.Tensor:
    """h(t)ᵀ b (B, N, C) of mean years (5, N, C) or (B, 5, N, C) at seasons (B, 2)."""
    return torch.einsum("bk,kne->bne" if years.ndim == 3 else "bk,bkne->bne", harmonics(season), years)


def mean_year(z: torch.Tensor, season: torch.Tensor, pooled: torch.Tensor | None = None) -> tuple[torch.Tensor, float]:
    """b (5, N, C) of latents (n, N, C) by ridge regression towards ``pooled``, and n/(n − ν).

    ν are the degrees of freedom of the fit: the factor makes the variance of its residuals unbiased (at most 4, for
    settings of very few states).
    """
    h = harmonics(season.double())
    penalty = SHRINK * torch.eye(5).to(h)
    penalty[0, 0] = 0.0
    solve = torch.linalg.solve(h.T @ h + penalty, h.T)
    b = torch.zeros(5, *z.shape[1:]).to(h) if pooled is None else pooled.double()
    b = b + torch.einsum("kb,bne->kne", solve, z - seasonal(b, season.double()))
    # tr(2 H − HᵀH) of H = h · solve (n, n), which is never formed
    freedom = float(2 * torch.trace(solve @ h) - torch.trace(h.T @ h @ solve @ solve.T))
    return b.float(), len(z) / max(len(z) - freedom, len(z) / 4)


def decompose(z, season, setting: np.ndarray, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean years (S, 5, N, C) by name of setting, mean states m (M, N, C), variability r (M, N, C) of unbiased size."""
    years, mean, rest = [], torch.empty_like(z), torch.empty_like(z)
    for name in np.unique(setting):
        own = torch.from_numpy(np.flatnonzero(setting == name))
        b, inflation = mean_year(z[own], season[own], pooled)
        years.append(b)
        mean[own] = seasonal(b, season[own])
        rest[own] = (z[own] - mean[own]) * math.sqrt(inflation)
    return torch.stack(years), mean, rest


class Prior(nn.Module):
    """Mean states of N × C latents for P parameters, from S settings.

    ``spread`` is the size of r = z − m about a setting's own mean state, ``error`` that of z − m̂ about the one that
    the other settings predict.
    """

    settings: torch.Tensor
    years: torch.Tensor
    pooled: torch.Tensor
    length: torch.Tensor
    nugget: torch.Tensor
    spread: torch.Tensor
    error: torch.Tensor

    def __init__(self, n_settings: int, n_parameters: int, n_tokens: int, channels: int):
        super().__init__()
        self.register_buffer("settings", torch.zeros(n_settings, n_parameters))
        self.register_buffer("years", torch.zeros(n_settings, 5, n_tokens, channels))
        self.register_buffer("pooled", torch.zeros(5, n_tokens, channels))
        for name in ("length", "nugget", "spread", "error"):
            self.register_buffer(name, torch.ones(()))

    def forward(self, parameters: torch.Tensor, season: torch.Tensor, xi: torch.Tensor | None = None) -> torch.Tensor:
        """h(t)ᵀ b̃(c, ξ), (B, N, C), of scaled parameters (B, P), season (B, 2) and ξ (B, S); without ξ, h(t)ᵀ b̂(c)."""
        middle = self.years.mean(0)
        b = torch.einsum("bs,skne->bkne", self.weights(parameters, xi).float(), self.years - middle)
        return seasonal(b + middle, season)

    def weights(self, parameters: torch.Tensor, xi: torch.Tensor | None = None) -> torch.Tensor:
        """Weights (B, S) of the settings' deviations from their mean in b̃(c, ξ)."""
        inverse = torch.linalg.inv(self._covariance())
        known, c = self.settings.double(), parameters.double()
        near = kernel(c, known, self.length)
        weights = near @ inverse
        if xi is None or len(known) == 1:  # one setting says nothing of how others differ
            return weights
        own = torch.stack([kernel(row[None], row[None], self.length)[0, 0] for row in c])
        variance = (own + self.nugget - (near * weights).sum(-1)).clamp_min(0)
        errors = inverse / inverse.diag().sqrt()[:, None]
        return weights + (variance / len(known)).sqrt()[:, None] * (xi.double() @ errors)

    def _covariance(self) -> torch.Tensor:
        known = self.settings.double()
        return kernel(known, known, self.length) + self.nugget * torch.eye(len(known)).to(known)

    @torch.no_grad()
    def fit(self, z: torch.Tensor, parameters: torch.Tensor, season: torch.Tensor, setting: np.ndarray) -> dict:
        """From training latents (M, N, C) and their conditions; ``setting`` (M,) names that of each.

        Returns the hyperparameters and the mean square error at left-out settings (``held_out_variance``).
        """
        pooled, _ = mean_year(z, season)
        years, _, rest = decompose(z, season, setting, pooled)
        _, first, place = np.unique(setting, return_index=True, return_inverse=True)
        self.settings.copy_(parameters[torch.from_numpy(first)])
        self.years.copy_(years)
        self.pooled.copy_(pooled)
        self.spread.copy_(rest.square().mean().sqrt().clamp_min(0.01))
        errors = {}
        for self.length[...], self.nugget[...] in itertools.product(LENGTHS, NUGGETS):
            errors[self.length.item(), self.nugget.item()] = float(
                (z - seasonal(self.left_out()[place], season)).square().mean()
            )
        best = min(errors, key=lambda pair: errors[pair])
        self.length[...], self.nugget[...] = best
        self.error.fill_(max(math.sqrt(errors[best]), 0.01))
        return {"length": best[0], "nugget": best[1], "held_out_variance": errors[best]}

    def left_out(self) -> torch.Tensor:
        """The mean year of each setting (S, 5, N, C), in the order of their names, as the other settings predict it."""
        inverse = torch.linalg.inv(self._covariance())
        errors = inverse / inverse.diag()[:, None]
        return self.years - torch.einsum("st,tkne->skne", errors.float(), self.years - self.years.mean(0))


def kernel(a: torch.Tensor, b: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """k (A, B) of scaled parameters (A, P), (B, P): constant, linear and Matérn 5/2 parts."""
    d = math.sqrt(5) * (a[:, None] - b).square().sum(-1).clamp_min(1e-24).sqrt() / length
    return CONSTANT + a @ b.T + (1 + d + d * d / 3) * torch.exp(-d)
