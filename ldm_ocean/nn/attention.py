"""Self-attention on packed tokens, with rotary positions on real coordinates.

    q_n, k_n ← R(ω·x_n) q_n, k_n,  so that  q_m·k_n  depends on x_m − x_n  (RoFormer, Su et al. 2021)

x = (latitude, longitude, log-depth). On a periodic longitude the frequencies are whole harmonics of the period, so a
re-entrant channel has no seam; new grids need no new embedding.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

LATITUDE_WAVELENGTHS = (15.0, 360.0)  # degrees
LONGITUDE_WAVELENGTHS = (15.0, 360.0)  # degrees, where x is not periodic
DEPTH_WAVELENGTHS = (1.0, 20.0)  # e-foldings of depth + 50 m


def rotary_angles(position: torch.Tensor, pairs: int, period: float | None) -> torch.Tensor:
    """Angles (N, pairs) for positions (N, 3): latitude [°], longitude [°], depth [m].

    ``period`` is the length of a periodic x axis [°], or None. Pairs are shared out between the three coordinates.
    """
    lat, lon, depth = position.double().unbind(-1)
    n_lat = pairs - 2 * (pairs // 3)
    n_lon = n_depth = pairs // 3
    if period:
        lon_frequency = 2 * math.pi / period * torch.arange(1, n_lon + 1)
    else:
        lon_frequency = _frequencies(LONGITUDE_WAVELENGTHS, n_lon)
    columns = (
        lat[:, None] * _frequencies(LATITUDE_WAVELENGTHS, n_lat),
        lon[:, None] * lon_frequency,
        torch.log(depth + 50)[:, None] * _frequencies(DEPTH_WAVELENGTHS, n_depth),
    )
    return torch.cat(columns, -1).float()


def _frequencies(wavelengths: tuple[float, float], n: int) -> torch.Tensor:
    short, long = wavelengths
    return 2 * math.pi / torch.logspace(math.log10(short), math.log10(long), n, dtype=torch.float64)


def rotate(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate pairs of the last axis of (B, heads, N, 2·pairs) by (N, pairs)."""
    a, b = x.chunk(2, -1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Attention(nn.Module):
    """Multi-head self-attention (B, N, width) with normalised queries and keys.

    ``mask`` (B, N) bool, True for tokens that exist: for batches that mix grids; None when packed.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.q_norm = nn.RMSNorm(width // heads)
        self.k_norm = nn.RMSNorm(width // heads)

    def forward(self, x: torch.Tensor, angles: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q.float()).to(v.dtype), self.k_norm(k.float()).to(v.dtype)
        q, k = rotate(q, angles), rotate(k, angles)
        seen = None if mask is None else mask[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))
