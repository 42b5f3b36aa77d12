"""What stands between states and the generator: encode, decode, and a grid of latent cells.

A codec maps physical states (B, V, D, Y, X) to *standardised packed latents* (B, N, C): N wet latent cells, C channels,
each channel with mean state removed and unit variance over the training set. The generator knows nothing else.
"""

import hashlib

import numpy as np
import torch
from torch import nn

from ..nn.pyramid import Stride, mask_pyramid, space_to_depth
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .normaliser import Normaliser


class Codec(nn.Module):
    """Base of ``Autoencoder`` and ``IdentityCodec``: masks, normaliser, latent cells and their statistics.

    ``hyperparameters`` are the constructor arguments beyond fields and grid (None: there are none), for saving.
    Subclasses give ``to_latent`` and ``to_state`` between normalised anomalies (B, V, D, Y, X) and raw latents
    (B, C, d, y, x).
    """

    hyperparameters: dict | None = None
    masks: torch.Tensor
    wet_index: torch.Tensor
    token_mean: torch.Tensor
    channel_scale: torch.Tensor
    token_position: torch.Tensor

    def __init__(self, fields: Fields, grid: OceanGrid, strides: list[Stride], channels: int):
        super().__init__()
        self.fields, self.grid, self.channels = fields, grid, channels
        self.strides: list[Stride] = [(i, j, k) for i, j, k in strides]
        masks = fields.masks(grid)
        self.normaliser = Normaliser(tuple(masks.shape))
        self.register_buffer("masks", masks, persistent=False)
        self.pyramid = mask_pyramid(masks.any(0), self.strides)
        wet = self.pyramid[-1].mask[0, 0]
        self.latent_shape = tuple(wet.shape)
        self.register_buffer("wet_index", wet.flatten().nonzero()[:, 0], persistent=False)
        self.register_buffer("token_mean", torch.zeros(len(self.wet_index), channels))
        self.register_buffer("channel_scale", torch.ones(channels))
        self.register_buffer("token_position", self.positions(len(self.strides))[self.wet_index], persistent=False)

    @property
    def n_tokens(self) -> int:
        """Number of wet latent cells."""
        return len(self.wet_index)

    @property
    def compression(self) -> float:
        """Wet input values of a state over its latent values."""
        return float(self.masks.sum()) / (self.n_tokens * self.channels)

    def positions(self, level: int) -> torch.Tensor:
        """(cells, 3) of a pyramid level: latitude [°], longitude [°], depth [m], mean over wet fine cells; 0 if dry."""
        wet = self.pyramid[0].mask.double()
        given, angle = self.grid["nav_lon"], np.deg2rad(self.grid["nav_lon"])
        coordinates = (self.grid["nav_lat"], given, self.grid["gdept"][:, None, None], np.cos(angle), np.sin(angle))
        full = [
            torch.from_numpy(np.broadcast_to(c, self.grid.shape).astype("float64"))[None, None] for c in coordinates
        ]
        sums = torch.cat([c * wet for c in full] + [wet])
        ends = torch.cat([torch.where(wet > 0, sign * full[1], -torch.inf) for sign in (1, -1)])  # east, minus west
        for stride in self.strides[:level]:
            sums = space_to_depth(sums, stride).sum(1, keepdim=True)
            ends = space_to_depth(ends, stride, -torch.inf).amax(1, keepdim=True)
        means = sums[:3] / sums[5:].clamp_min(1)
        around = torch.rad2deg(torch.atan2(sums[4], sums[3]))
        means[1] = torch.where(ends.sum(0) > 180, around, means[1])  # ±180°, or 0 and 360°, meet within the cell
        return means.flatten(1).T.float()

    def normalise(self, states: torch.Tensor) -> torch.Tensor:
        """Physical states → normalised anomalies, exactly 0 on land whatever stood there."""
        return torch.where(self.masks, self.normaliser(states), 0.0)

    def encode(self, states: torch.Tensor) -> torch.Tensor:
        """Physical (B, V, D, Y, X) → standardised packed latents (B, N, C)."""
        raw = self.to_latent(self.normalise(states)).flatten(2)[..., self.wet_index].transpose(1, 2)
        return (raw - self.token_mean) / self.channel_scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Standardised packed latents (B, N, C) → physical (B, V, D, Y, X), 0 on land."""
        raw = latents * self.channel_scale + self.token_mean
        full = raw.new_zeros(len(raw), self.channels, int(np.prod(self.latent_shape)))
        full[..., self.wet_index] = raw.transpose(1, 2)
        anomalies = self.to_state(full.reshape(len(raw), self.channels, *self.latent_shape))
        return torch.where(self.masks, self.normaliser.inverse(anomalies), 0.0)

    @torch.no_grad()
    def fit_statistics(self, states: torch.Tensor, batch: int = 32) -> None:
        """Set the mean latent of each token and the scale of each channel from training states."""
        self.token_mean.zero_()
        self.channel_scale.fill_(1.0)
        total, squares = torch.zeros_like(self.token_mean).double(), torch.zeros_like(self.token_mean).double()
        for chunk in states.split(batch):  # sums: the latents of all states need not fit into memory
            latents = self.encode(chunk.to(self.token_mean.device)).double()
            total, squares = total + latents.sum(0), squares + latents.square().sum(0)
        mean = total / len(states)
        variance = (squares / len(states) - mean.square()).clamp_min(0).mean(0)
        self.token_mean.copy_(mean)
        self.channel_scale.copy_(variance.sqrt().clamp_min(1e-6))

    @property
    def digest(self) -> str:
        """SHA-256 of weights, statistics, fields and grid: names the latent space."""
        h = hashlib.sha256((repr(self.fields.records()) + self.grid.digest).encode())
        for name, tensor in sorted(self.state_dict().items()):
            h.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return h.hexdigest()

    def to_latent(self, anomalies: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def to_state(self, latents: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class IdentityCodec(Codec):
    """Latent = state: pixel-space baselines and toy systems run through the same generator.

    A latent cell is a T cell with one channel for each variable; channels that are dry there stay 0.
    """

    def __init__(self, fields: Fields, grid: OceanGrid):
        super().__init__(fields, grid, [], len(fields))

    def to_latent(self, anomalies: torch.Tensor) -> torch.Tensor:
        return anomalies

    def to_state(self, latents: torch.Tensor) -> torch.Tensor:
        return latents
