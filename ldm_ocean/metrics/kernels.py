"""Scores as pure functions: numpy arrays and torch tensors alike, batched, differentiable where they are smooth.

Fields end in (depth, y, x); ``weights`` (cell volumes [m³], 0 on land) broadcast against them. ``axes`` are those over
which a score is taken: (−2, −1) gives one number a level, (−3, −2, −1) one a variable, with a sample axis in front
one for all samples. A level without wet cells scores NaN. Ensembles have their members first.

    fair CRPS       CRPS = ⟨|x_m − y|⟩ − Σ_{m≠n} |x_m − x_n| / (2M(M−1))                     (Ferro 2014)
    energy score    the same with the weighted root-mean-square norm of whole fields           (Gneiting & Raftery 2007)
    spread/skill    √((M+1)/(M−1)) σ_M / RMSE(ensemble mean),  σ_M² the biased variance        (Fortin et al. 2014)

Fair scores do not depend on the number of members in expectation; a reliable ensemble has a ratio of one.
"""

import numpy as np
import torch

LEVEL, FIELD = (-2, -1), (-3, -2, -1)


def _where(condition, x, y):
    return torch.where(condition, x, y) if isinstance(condition, torch.Tensor) else np.where(condition, x, y)


def ratio(numerator, denominator):
    """numerator / denominator, NaN where the denominator is zero."""
    return numerator / _where(denominator == 0, float("nan"), denominator)


def weighted_mean(x, weights, axes=LEVEL):
    """Σ w x / Σ w over ``axes``, in the unit of ``x``, which must be finite where the weight is zero."""
    weights = weights + 0 * x  # every sample of a batch counts its own weight
    return ratio((x * weights).sum(axes), weights.sum(axes))


def bias(estimate, truth, weights, axes=LEVEL):
    """Weighted mean of estimate − truth, in their unit."""
    return weighted_mean(estimate - truth, weights, axes)


def rmse(estimate, truth, weights, axes=LEVEL):
    """Weighted root-mean-square of estimate − truth, in their unit."""
    return weighted_mean((estimate - truth) ** 2, weights, axes) ** 0.5


def anomaly_share(estimate, truth, mean, weights, axes=FIELD):
    """Σ w (estimate − truth)² / Σ w (truth − mean)², dimensionless: 0 is perfect, 1 as good as ``mean``."""
    return ratio((weights * (estimate - truth) ** 2).sum(axes), (weights * (truth - mean) ** 2).sum(axes))


def fair_crps(ensemble, truth):
    """Fair CRPS of each cell, in the unit of the field: members (M, ...) against (...); M ≥ 2.

    Uses Σ_{m<n} |x_m − x_n| = Σ_m (2m − M − 1) x_(m) over the sorted members: O(M log M).
    """
    count = _members(ensemble)
    error = ensemble - truth  # sorting errors instead of values keeps the digits of a small spread on a large mean
    ordered = error.sort(0).values if isinstance(error, torch.Tensor) else np.sort(error, 0)
    pairs = sum((2 * m - count + 1) * ordered[m] for m in range(count))
    return abs(error).mean(0) - pairs / (count * (count - 1))


def energy_score(ensemble, truth, weights, axes=FIELD):
    """Fair energy score, in the unit of the field, with the norm ‖d‖ = √(Σ w d² / Σ w) over ``axes`` of one member."""
    count = _members(ensemble)
    distance = sum(rmse(x, truth, weights, axes) for x in ensemble) / count
    pairs = sum(rmse(ensemble[m], ensemble[n], weights, axes) for m in range(count) for n in range(m))
    return distance - pairs / (count * (count - 1))


def spread_and_skill(ensemble, truth):
    """Of each cell: (M+1)/(M−1) σ_M² and (mean − truth)², both in the unit squared; equal on average if reliable."""
    count = _members(ensemble)
    mean = ensemble.mean(0)
    variance = ((ensemble - mean) ** 2).mean(0)
    return (count + 1) / (count - 1) * variance, (mean - truth) ** 2


def spread_skill_ratio(ensemble, truth, weights, axes=FIELD):
    """√(Σ w (M+1)/(M−1) σ_M² / Σ w (mean − truth)²), dimensionless."""
    spread, skill = spread_and_skill(ensemble, truth)
    return ratio((weights * spread).sum(axes), (weights * skill).sum(axes)) ** 0.5


def rank_histogram(ensemble, truth, weights):
    """Share of the weight where m members lie below the truth, (M + 1,); flat if reliable. Ties count as above."""
    below = (ensemble < truth).sum(0)
    weights = weights + 0.0 * truth
    counts = [(weights * (below == m)).sum() for m in range(_members(ensemble) + 1)]
    stack = torch.stack if isinstance(truth, torch.Tensor) else np.stack
    return stack(counts) / weights.sum()


def _members(ensemble) -> int:
    if len(ensemble) < 2:
        raise ValueError("an ensemble score needs at least two members")
    return len(ensemble)
