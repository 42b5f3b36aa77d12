"""The mean year of a setting, and the weather about it.

    z = h(t)ᵀ b + r,    h = (1, cos 2πt, sin 2πt, cos 4πt, sin 4πt)

b is the mean year of a setting's latents z at season t, r its internal variability.
"""

import math

import numpy as np
import torch

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
    """Mean years (S, 5, N, C) by name of setting, mean states (M, N, C), weather r (M, N, C) of unbiased size."""
    years, mean, rest = [], torch.empty_like(z), torch.empty_like(z)
    for name in np.unique(setting):
        own = torch.from_numpy(np.flatnonzero(setting == name))
        b, inflation = mean_year(z[own], season[own], pooled)
        years.append(b)
        mean[own] = seasonal(b, season[own])
        rest[own] = (z[own] - mean[own]) * math.sqrt(inflation)
    return torch.stack(years), mean, rest
