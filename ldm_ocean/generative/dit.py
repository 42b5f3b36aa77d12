"""Stage two's network: a transformer on packed wet latent cells (DiT, Peebles & Xie 2023).

    h ← h + g1 ⊙ Attention(s1 ⊙ norm h + b1),   h ← h + g2 ⊙ MLP(s2 ⊙ norm h + b2)
    (b, s, g) = linear(silu(e)),   e = noise level + parameters + season;   all gates start at zero

Each token is told its noisy latents and what linear statistics make of them; parameters that are absent are replaced by
zeros and a flag.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ..nn.attention import Attention, rotary_angles
from .conditions import Condition


class Layer(nn.Module):
    """One transformer layer with adaptive normalisation."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h, e, angles, mask):
        b1, s1, g1, b2, s2, g2 = self.modulation(F.silu(e))[:, None].chunk(6, -1)
        h = h + g1 * self.attention(self.norm1(h) * (1 + s1) + b1, angles, mask)
        return h + g2 * self.mlp(self.norm2(h) * (1 + s2) + b2)


class DiT(nn.Module):
    """F(x, noise level, condition) of packed tokens (B, N, 2 · channels) → (B, N, channels).

    ``position`` (N, 3) are latitude, longitude [°] and depth [m] of the tokens, ``period`` that of x [°] or None.
    """

    angles: torch.Tensor

    def __init__(self, channels: int, n_parameters: int, width: int, depth: int, heads: int, position, period=None):
        super().__init__()
        pairs = width // heads // 2
        self.register_buffer("angles", rotary_angles(position, pairs, period), persistent=False)
        self.place = nn.Linear(2 * pairs, width)  # absolute place, from the same angles
        self.enter = nn.Linear(2 * channels, width)
        self.noise = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.ask = nn.Sequential(nn.Linear(n_parameters + 3, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, channels)
        for layer in (self.modulation, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, noise_level: torch.Tensor, condition: Condition, mask=None) -> torch.Tensor:
        c = condition
        places = torch.cat([self.angles.cos(), self.angles.sin()], -1)
        h = self.enter(x) + self.place(places)
        known = c.has_parameters[:, None]
        asked = torch.cat([c.parameters * known, c.season * known, known], -1)
        e = self.noise(_fourier(noise_level)) + self.ask(asked)
        for layer in self.layers:
            h = layer(h, e, self.angles, mask)
        b, s = self.modulation(F.silu(e))[:, None].chunk(2, -1)
        return self.leave(self.norm(h) * (1 + s) + b)


def _fourier(level: torch.Tensor, size: int = 64) -> torch.Tensor:
    """(B,) → (B, size): sines and cosines of geometric frequencies."""
    frequencies = torch.exp(torch.linspace(0, math.log(100.0), size // 2, device=level.device))
    angle = level[:, None] * frequencies
    return torch.cat([angle.cos(), angle.sin()], -1)
