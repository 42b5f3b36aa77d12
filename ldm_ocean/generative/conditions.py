"""What a state is asked for: parameters and season, or nothing.

Parameters enter scaled to the training set's mean and spread, logarithmically where their range spans more than a
factor of five; the season as (cos, sin) of its angle.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from ..errors import UserError, nearest
from ..ocean.parameters import is_logarithmic


@dataclass(frozen=True)
class Condition:
    """A batch of conditions: ``parameters`` (B, P) scaled, ``season`` (B, 2).

    ``mean`` (B, N, C) is the mean state that they stand for (see ``prior``). ``has_parameters`` (B,) is 1 where they
    are given, 0 where dropped; season and mean state go with the parameters.
    """

    parameters: torch.Tensor
    season: torch.Tensor
    mean: torch.Tensor
    has_parameters: torch.Tensor

    def without_parameters(self) -> "Condition":
        """The same batch, unconditional (what classifier-free guidance moves away from)."""
        return replace(self, has_parameters=torch.zeros_like(self.has_parameters))

    def to(self, device) -> "Condition":
        return Condition(**{k: v.to(device) for k, v in vars(self).items()})


def season_angle(season: torch.Tensor) -> torch.Tensor:
    """Share of the year (B,) → (cos, sin), (B, 2)."""
    angle = 2 * torch.pi * season
    return torch.stack([angle.cos(), angle.sin()], -1)


class ParameterScaler(nn.Module):
    """Names, ranges and scaling of the physical parameters, kept with the model."""

    low: torch.Tensor
    high: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    logarithmic: torch.Tensor

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = list(names)
        for key in ("low", "high", "mean", "scale", "logarithmic"):
            self.register_buffer(key, torch.zeros(len(self.names), dtype=torch.float64))

    def fit(self, values: np.ndarray) -> "ParameterScaler":
        """From training parameters (sample, P); UserError for one of a single value, of which nothing can be learnt."""
        physical = torch.as_tensor(values, dtype=torch.float64)
        if fixed := [k for k, same in zip(self.names, (physical == physical[:1]).all(0), strict=True) if same]:
            raise UserError(
                f"{', '.join(fixed)} has the same value in every training setting: prepare settings of other values, "
                "or all of them without it"
            )
        self.low.copy_(physical.amin(0))
        self.high.copy_(physical.amax(0))
        self.logarithmic.copy_(is_logarithmic(self.low, self.high).double())
        transformed = self._transform(physical)
        self.mean.copy_(transformed.mean(0))
        self.scale.copy_(transformed.std(0, unbiased=False).clamp_min(1e-12))
        return self

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Physical (B, P) → scaled, float32."""
        return ((self._transform(values.double()) - self.mean) / self.scale).float()

    def _transform(self, values):
        logarithmic = self.logarithmic.bool()
        return torch.where(logarithmic, torch.log(torch.where(logarithmic, values.clamp_min(1e-300), 1.0)), values)

    def vector(self, parameters: dict[str, float]) -> torch.Tensor:
        """A dictionary → physical (P,). UserError for unknown, missing or non-finite parameters."""
        for name in parameters:
            if name not in self.names:
                raise UserError(f"unknown parameter {name!r}{nearest(name, self.names)}")
        values = []
        for name in self.names:
            if name not in parameters:
                raise UserError(f"parameter {name!r} is missing: give all of {', '.join(self.names)}")
            try:
                value = float(parameters[name])
            except (TypeError, ValueError):
                value = np.nan
            if not np.isfinite(value):
                raise UserError(f"parameter {name}={parameters[name]!r} is not a number: give a finite value")
            values.append(value)
        return torch.tensor(values, dtype=torch.float64)

    def outside(self, values: torch.Tensor) -> list[tuple[str, float]]:
        """A line for each of the physical ``values`` (P,) outside its training range, and how many widths of the range
        it lies outside, on the scale of the parameter."""
        low, high, asked = (self._transform(v) for v in (self.low, self.high, values.to(self.low)))
        widths = torch.maximum(low - asked, asked - high) / (high - low).clamp_min(1e-300)
        return [
            (f"{name}={value:g} lies outside the training range [{a:g}, {b:g}]", width)
            for name, value, a, b, width in zip(
                self.names, values.tolist(), self.low.tolist(), self.high.tolist(), widths.tolist(), strict=True
            )
            if width > 0
        ]
