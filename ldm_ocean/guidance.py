"""Guidance: a denoiser that wraps a denoiser."""

from collections.abc import Callable

import torch

from .conditions import Condition


class ClassifierFree:
    """D_w = D_∅ + w (D_c − D_∅)  (Ho & Salimans 2021). w = 1 is the plain conditional model, one evaluation a step."""

    def __init__(self, denoiser: Callable, condition: Condition, weight: float = 1.0):
        self.denoiser, self.condition, self.weight = denoiser, condition, weight

    @property
    def evaluations(self) -> int:
        """Network evaluations a step."""
        return 1 if self.weight == 1.0 else 2

    def __call__(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked = self.denoiser(z, sigma, self.condition)
        if self.weight == 1.0:
            return asked
        free = self.denoiser(z, sigma, self.condition.without_parameters())
        return free + self.weight * (asked - free)
