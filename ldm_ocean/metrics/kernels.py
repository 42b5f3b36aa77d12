"""Scores as pure functions: numpy arrays and torch tensors alike, batched, differentiable where they are smooth.

Fields end in (depth, y, x); ``weights`` (cell volumes [m³], 0 on land) broadcast against them. ``axes`` are those over
which a score is taken: (−2, −1) gives one number a level, (−3, −2, −1) one a variable, with a sample axis in front
one for all samples, (−1,) one for cells in a row. A level without wet cells scores NaN. Members come first.

    fair CRPS       CRPS = ⟨|x_m − y|⟩ − Σ_{m≠n} |x_m − x_n| / (2M(M−1))                     (Ferro 2014)
    energy score    the same with the weighted root-mean-square norm of whole fields           (Gneiting & Raftery 2007)
    spread/skill    √((M+1)/(M−1)) σ_M / RMSE(ensemble mean),  σ_M² the biased variance        (Fortin et al. 2014)
    coverage        P(x_(r) ≤ y ≤ x_(M+1−r)),  r = (1 − p)(M + 1)/2                             (Weibull 1939, ranks)
    diversity       Σ w Var[generated] / Σ w Var[data]
    memorisation    ⟨min_n ‖x − t_n‖⟩ / ⟨min_n ‖y − t_n‖⟩,  t_n training states, y held-out truth

Fair scores do not depend on the number of members in expectation; a reliable ensemble has a spread/skill ratio of one
and a coverage of p. Diversity and memorisation are one where generated states are like those of the data.
"""

import numpy as np
import torch

from ..physics.arrays import module

LEVEL, FIELD, CELLS = (-2, -1), (-3, -2, -1), (-1,)


def ratio(numerator, denominator):
    """numerator / denominator, NaN where the denominator is zero."""
    return numerator / module(denominator).where(denominator == 0, float("nan"), denominator)


def weighted_mean(x, weights, axes=LEVEL):
    """Σ w x / Σ w over ``axes``, in the unit of ``x``, which must be finite where the weight is zero."""
    weights = weights + 0 * x  # every sample of a batch counts its own weight
    return ratio((x * weights).sum(axes), weights.sum(axes))


def rmse(estimate, truth, weights, axes=LEVEL):
    """Weighted root-mean-square of estimate − truth, in their unit."""
    return weighted_mean((estimate - truth) ** 2, weights, axes) ** 0.5


def fair_crps(ensemble, truth):
    """Fair CRPS of each cell, in the unit of the field: members (M, ...) against (...); M ≥ 2.

    Uses Σ_{m<n} |x_m − x_n| = Σ_m (2m − M − 1) x_(m) over the sorted members: O(M log M).
    """
    count = _members(ensemble)
    error = ensemble - truth  # sorting errors instead of values keeps the digits of a small spread on a large mean
    ordered = _sort(error)
    pairs = sum((2 * m - count + 1) * ordered[m] for m in range(count))
    return abs(error).mean(0) - pairs / (count * (count - 1))


def energy_score(ensemble, truth, weights, axes=FIELD):
    """Fair energy score, in the unit of the field, with the norm ‖d‖ = √(Σ w d² / Σ w) over ``axes`` of one member.

    ‖a − b‖² = ‖a‖² + ‖b‖² − 2 a·b about the ensemble mean, truth and members alike: one product of matrices.
    """
    xp, count = module(ensemble), _members(ensemble)
    total = weights.sum(axes).reshape(*weights.shape[: -len(axes)], *[1] * len(axes))
    both = xp.concatenate((ensemble, truth[None])) - ensemble.mean(0)
    both = both * ratio(weights, total) ** 0.5
    both = both.reshape(*both.shape[: -len(axes)], 1, -1).swapaxes(0, -2)[0]  # members in front of the cells
    products, squares = both @ both.swapaxes(-1, -2), (both * both).sum(-1)
    square = squares[..., :, None] + squares[..., None, :] - 2 * products
    distance = xp.where(square < 0, 0.0, square) ** 0.5
    among = xp.triu(distance[..., :count, :count], 1).sum((-2, -1))
    return distance[..., :count, count].mean(-1) - among / (count * (count - 1))


def spread_and_skill(ensemble, truth):
    """Of each cell: (M+1)/(M−1) σ_M² and (mean − truth)², both in the unit squared; equal on average if reliable."""
    count = _members(ensemble)
    mean = ensemble.mean(0)
    variance = ((ensemble - mean) ** 2).mean(0)
    return (count + 1) / (count - 1) * variance, (mean - truth) ** 2


def coverage(ensemble, truth, weights, p, axes=FIELD):
    """Share of the weight where the central interval that should hold the truth with probability ``p`` does so.

    ValueError where p > (M − 1)/(M + 1): the interval would reach beyond the members.
    """
    count = _members(ensemble)
    rank = round((1 - p) * (count + 1) / 2 - 1, 9)  # counted from 0; between two ranks the bound is interpolated
    if not 0 <= rank <= (count - 1) / 2:
        raise ValueError(f"p={p:g}: {count} members bound an interval of 0 to {(count - 1) / (count + 1):.2f}")
    first, share = int(rank), rank - int(rank)
    ordered = _sort(ensemble)
    second = min(first + 1, count - 1)
    low = (1 - share) * ordered[first] + share * ordered[second]
    high = (1 - share) * ordered[-1 - first] + share * ordered[-1 - second]
    return weighted_mean(((low <= truth) & (truth <= high)) + 0.0 * truth, weights, axes)


def normalising_weights(states, weights):
    """w with √(Σ w d²) the RMS of d/s over all variables alike, in 1/unit²; ``weights`` (V, D, Y, X).

    s² is the weighted mean variance of a variable over ``states`` (N, V, D, Y, X), or one where it never varies.
    """
    variance = weighted_mean(_variance(states), weights, FIELD)
    scale = module(variance).where(variance > 0, variance, 1.0) * weights.sum(FIELD) * len(weights)
    return weights / scale[:, None, None, None]


def diversity(generated, data, weights, axes=FIELD):
    """Σ w Var[generated] / Σ w Var[data], dimensionless; states first, (M, ...) and (N, ...), variances unbiased."""
    return ratio((weights * _variance(generated)).sum(axes), (weights * _variance(data)).sum(axes))


def nearest_distance(states, training, weights):
    """min_n √(Σ w (x − t_n)²) of states (M, ...) to training states (N, ...), (M,); ``weights`` (...), in double
    precision, as from ``normalising_weights``.

    ‖x − t‖² = ‖x‖² + ‖t‖² − 2 x·t about the training mean: one product of matrices.
    """
    wet = weights > 0
    middle, root = training[:, wet].mean(0), weights[wet] ** 0.5
    x, t = ((a[:, wet] - middle) * root for a in (states, training))
    square = (x * x).sum(1)[:, None] + (t * t).sum(1) - 2 * x @ t.T
    nearest = square.min(1).values if isinstance(square, torch.Tensor) else square.min(1)
    return module(nearest).where(nearest > 0, nearest, 0.0) ** 0.5


def memorisation(generated, held_out):
    """Mean distance of generated states to their nearest training states over that of held-out truth, (M,) and (N,).

    Well below one: the generator repeats training states.
    """
    return generated.mean() / held_out.mean()


def _variance(x):
    return ((x - x.mean(0)) ** 2).sum(0) / (len(x) - 1)


def _sort(x):
    if not isinstance(x, torch.Tensor):
        return np.sort(x, 0)
    if x.requires_grad or x.device.type != "cpu":
        return x.sort(0).values
    return torch.from_numpy(np.sort(x.numpy(), 0))  # short columns: five times as fast as torch's own


def _members(ensemble) -> int:
    if len(ensemble) < 2:
        raise ValueError("an ensemble score needs at least two members")
    return len(ensemble)
