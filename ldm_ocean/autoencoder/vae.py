"""Stage one: the masked 3-D autoencoder.

    x̃ → [x̃ ⊙ m, m] → space-to-depth → blocks → down → blocks → bounded latent z = h / √(1 + (h/5)²)
    z → linear → blocks → up → blocks → depth-to-space → x̂;   surface-only variables leave through a 2-D head

The first stride is paid at the input, where a block of fine cells becomes the channels of one cell: all convolutions
run on grids that are small already. No pooling statistics, no batch norm: one column's land cannot reach another's.
"""

import torch
from torch import nn

from ..nn.attention import rotary_angles
from ..nn.pyramid import MaskLevel, Stride, depth_to_space, space_to_depth
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .codec import Codec
from .masked import Block, ChannelNorm, Down, Pointwise, Stage, Up

BOUND = 5.0
PLACE_PAIRS, PLACE_FEATURES = 18, 64


class Autoencoder(Codec):
    """Masked autoencoder on one grid.

    ``strides`` (levels, y, x) of each stage, the first paid at the input; ``widths`` and ``blocks`` per stage;
    ``channels`` of the latent. Attributes of ``Codec`` give its compression and latent cells.
    """

    hyperparameters: dict
    static: torch.Tensor

    def __init__(
        self,
        fields: Fields,
        grid: OceanGrid,
        strides: list[Stride],
        widths: list[int],
        blocks: list[int],
        channels: int,
    ):
        super().__init__(fields, grid, strides, channels)
        self.hyperparameters = {"strides": self.strides, "widths": widths, "blocks": blocks, "channels": channels}
        block = lambda width: Block(width, PLACE_FEATURES, grid.periodic_x)  # noqa: E731
        self.register_buffer("static", self._static_channels(), persistent=False)
        for i in range(len(strides)):
            angles = rotary_angles(self.positions(i + 1), PLACE_PAIRS, grid.period)
            self.register_buffer(f"place_{i}", torch.cat([angles.cos(), angles.sin()], -1), persistent=False)
        stem = self.strides[0]
        self.cells = stem[0] * stem[1] * stem[2]
        self.stem = Pointwise((len(fields) + self.static.shape[1]) * self.cells, widths[0])
        stages = list(zip(widths, blocks, strict=True))
        place = lambda: nn.Sequential(nn.Linear(2 * PLACE_PAIRS, PLACE_FEATURES), nn.SiLU())  # noqa: E731
        # Without blocks nothing asks for the place: weights that never get a gradient stop distributed training.
        self.place = nn.ModuleList(place() if n else nn.Identity() for _, n in stages)
        self.encoder = nn.ModuleList(Stage(block(w) for _ in range(n)) for w, n in stages)
        self.down = nn.ModuleList(map(Down, widths[:-1], widths[1:], self.strides[1:]))
        self.to_code = nn.Sequential(ChannelNorm(widths[-1]), Pointwise(widths[-1], channels))
        self.from_code = Pointwise(channels, widths[-1])
        self.decoder = nn.ModuleList(Stage(block(w) for _ in range(n)) for w, n in stages)
        self.up = nn.ModuleList(map(Up, widths[1:], widths[:-1], self.strides[1:]))
        self.norm = ChannelNorm(widths[0])
        self.flat = [i for i, f in enumerate(fields) if not f.deep]
        self.head = Pointwise(widths[0], len(fields) * self.cells)
        if self.flat:
            self.flat_head = nn.Conv2d(2 * widths[0], len(self.flat) * stem[1] * stem[2], 1)

    def _static_channels(self) -> torch.Tensor:
        """(1, V + 1, D, Y, X): each variable's mask, and the wet fraction of the cell's own latent block."""
        masks = self.masks.float()
        fraction = self.pyramid[-1].fraction
        for level, stride in zip(reversed(self.pyramid[:-1]), reversed(self.strides), strict=True):
            spread = fraction.repeat_interleave(stride[0] * stride[1] * stride[2], 1)
            fraction = depth_to_space(spread, stride, level.mask.shape[-3:])
        return torch.cat([masks[None], fraction * self.pyramid[0].mask], 1)

    def _levels(self, x: torch.Tensor) -> tuple[list[MaskLevel], list[torch.Tensor]]:
        """Mask and features of place, of every level below the input."""
        levels = [MaskLevel(p.mask.to(x.device), p.fraction.to(x.device)) for p in self.pyramid[1:]]
        return levels, [net(getattr(self, f"place_{i}")) for i, net in enumerate(self.place)]

    def to_latent(self, anomalies: torch.Tensor) -> torch.Tensor:
        """Normalised anomalies (B, V, D, Y, X) → bounded latent (B, C, d, y, x), 0 in dry latent cells."""
        levels, places = self._levels(anomalies)
        static = self.static.expand(len(anomalies), -1, -1, -1, -1)
        x = torch.cat([torch.where(self.masks, anomalies, 0.0), static], 1)
        x = self.stem(space_to_depth(x, self.strides[0])) * levels[0].mask
        for i, stage in enumerate(self.encoder):
            if i:
                x = self.down[i - 1](x, levels[i - 1], levels[i])
            x = stage(x, levels[i].mask, places[i])
        h = self.to_code(x)
        return h / torch.sqrt(1 + (h / BOUND) ** 2) * levels[-1].mask

    def to_state(self, latents: torch.Tensor) -> torch.Tensor:
        """Latent (B, C, d, y, x) → normalised anomalies (B, V, D, Y, X), 0 on land."""
        levels, places = self._levels(latents)
        x = self.from_code(latents) * levels[-1].mask
        for i in reversed(range(len(levels))):
            x = self.decoder[i](x, levels[i].mask, places[i])
            if i:
                x = self.up[i - 1](x, levels[i - 1])
        x = self.norm(x) * levels[0].mask
        out = depth_to_space(self.head(x), self.strides[0], self.grid.shape)
        if self.flat:
            out = self._add_flat(out, x, levels[0].mask)
        return torch.where(self.masks, out, 0.0)

    def _add_flat(self, out: torch.Tensor, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Surface-only variables from the column: its surface features and their mean over wet levels."""
        column = x.sum(2) / mask.sum(2).clamp_min(1)
        plane = self.flat_head(torch.cat([x[:, :, 0], column], 1))[:, :, None]
        plane = depth_to_space(plane, (1, *self.strides[0][1:]), (1, *self.grid.shape[1:]))
        surface = out.clone()
        surface[:, self.flat, :1] = plane
        return surface

    def forward(self, anomalies: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct normalised anomalies; ``noise`` (B, C, d, y, x) is added to the latent in training."""
        latents = self.to_latent(anomalies)
        if noise is not None:
            latents = latents + noise * self.pyramid[-1].mask.to(latents.device)
        return self.to_state(latents)
