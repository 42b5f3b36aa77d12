"""Anomalies about the training mean state, scaled per variable and level.

    x̃ = (x − x̄(v,k,y,x)) / s(v,k)      s² = volume-weighted variance of x − x̄ over wet cells and samples

Without the mean state the mean map would hide everything else; without a scale per level the deep ocean would.
"""

import numpy as np
import torch
from torch import nn


class Normaliser(nn.Module):
    """Holds ``mean`` (V, D, Y, X), ``scale`` and ``step_scale`` (V, D), in the variables' units.

    ``step_scale[v, k]`` is the spread of the anomaly's difference between levels k and k+1 (0 where there is none).
    """

    mean: torch.Tensor
    scale: torch.Tensor
    step_scale: torch.Tensor

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape[:2]))
        self.register_buffer("step_scale", torch.zeros(shape[:2]))

    @classmethod
    def fit(cls, states: np.ndarray, volumes: torch.Tensor) -> "Normaliser":
        """From training states (N, V, D, Y, X), 0 on land, and their cell volumes (V, D, Y, X)."""
        out = cls(states.shape[1:])
        weights = volumes.numpy()
        mean = states.mean(0, dtype="float64")
        square, step_square = np.zeros(mean.shape), np.zeros(mean[:, 1:].shape)
        for state in states:  # one by one: there may be more of them than memory holds
            anomaly = state - mean
            square += anomaly**2
            step_square += np.diff(anomaly, axis=1) ** 2
        out.mean.copy_(torch.from_numpy(mean))
        out.scale.copy_(_spread(square / len(states), weights))
        pairs = weights[:, 1:] * (weights[:, :-1] > 0)
        out.step_scale[:, :-1] = _spread(step_square / len(states), pairs)
        out.scale[out.scale == 0] = 1.0  # a level without variance: all land, or a constant
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Physical (B, V, D, Y, X) → normalised anomaly; land keeps whatever it held."""
        return (x - self.mean) / self.scale[..., None, None]

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised anomaly → physical."""
        return x * self.scale[..., None, None] + self.mean


def _spread(square: np.ndarray, weights: np.ndarray) -> torch.Tensor:
    """Root of the weighted mean over a level, (V, K), of mean squares (V, K, Y, X)."""
    square = (square * weights).sum((-2, -1))
    total = weights.sum((-2, -1))
    return torch.from_numpy(np.sqrt(np.divide(square, total, out=np.zeros_like(square), where=total > 0))).float()
