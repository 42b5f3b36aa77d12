"""Exponential moving average of the weights, beside the raw ones.

w̄_n = β w̄_{n−1} + (1 − β) w_n,   β = min(decay, (1 + n)/(10 + n))
"""

import contextlib

import torch
from torch import nn


class EMA:
    """Averages the floating parameters of ``model``; buffers are taken as they are."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay, self.updates = decay, 0
        self.average = {k: p.detach().clone() for k, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """One step after the optimiser's."""
        self.updates += 1
        beta = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for k, p in model.named_parameters():
            self.average[k].lerp_(p.detach().to(self.average[k].device), 1 - beta)

    @contextlib.contextmanager
    def applied(self, model: nn.Module):
        """Within the context ``model`` has the averaged weights; the raw ones return whatever happens."""
        raw = {k: p.detach().clone() for k, p in model.named_parameters()}
        self._load(model, self.average)
        try:
            yield model
        finally:
            self._load(model, raw)

    @staticmethod
    @torch.no_grad()
    def _load(model, weights):
        for k, p in model.named_parameters():
            p.copy_(weights[k])
