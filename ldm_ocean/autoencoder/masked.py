"""Convolutions on a masked grid: whatever stands on land never reaches the water.

    y = m ⊙ (W ∗ (m ⊙ x) + b)        m: 1 in wet cells, 0 on land and beyond closed edges

Padding is zero at closed edges, which is what land is, and circular along a periodic x axis. With an all-wet mask this
is the plain convolution. Normalisation acts on the channels of one voxel, so no statistic mixes land into water.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..nn.pyramid import MaskLevel, Stride, depth_to_space, space_to_depth


class MaskedConv3d(nn.Conv3d):
    """3 × 3 × 3 convolution, same size, on (B, C, D, Y, X) with a mask (1, 1, D, Y, X)."""

    def __init__(self, channels_in: int, channels_out: int, periodic_x: bool = False):
        super().__init__(channels_in, channels_out, 3, padding=0 if periodic_x else 1)
        self.periodic_x = periodic_x

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        x = x * mask
        if self.periodic_x:
            x = F.pad(torch.cat([x[..., -1:], x, x[..., :1]], -1), (0, 0, 1, 1, 1, 1))
        return super().forward(x) * mask


class ChannelNorm(nn.Module):
    """x / rms over channels of one voxel × gain (RMSNorm; Zhang & Sennrich 2019)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rms = x.square().mean(1, keepdim=True).add(1e-6).rsqrt()
        return x * rms * self.gain.view(-1, *(1,) * (x.dim() - 2))


class Block(nn.Module):
    """x + conv(silu(conv((1 + s(p)) norm x + b(p)))): ``p`` (cells, features) tells a voxel where it lies.

    The place lets one set of filters act differently in the thermocline and at the bottom, near the equator and near
    the pole. The last convolution and the dependence on place start at zero, so a new block is the identity.
    """

    def __init__(self, channels: int, place_features: int, periodic_x: bool):
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.conv1 = MaskedConv3d(channels, channels, periodic_x)
        self.conv2 = MaskedConv3d(channels, channels, periodic_x)
        self.place = nn.Linear(place_features, 2 * channels)
        for parameter in (*self.conv2.parameters(), *self.place.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        s, b = self.place(place).T.reshape(2, 1, x.shape[1], *x.shape[2:])
        return x + self.conv2(F.silu(self.conv1((1 + s) * self.norm(x) + b, mask)), mask)


class Stage(nn.ModuleList):
    """Blocks one after another, on one level of the pyramid."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        for block in self:
            x = block(x, mask, place)
        return x


class Pointwise(nn.Conv3d):
    """A linear map of the channels at each voxel."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, 1)


class Down(nn.Module):
    """Space-to-depth and a linear map, around a shortcut that averages over the wet fine cells."""

    def __init__(self, channels_in: int, channels_out: int, stride: Stride):
        super().__init__()
        self.stride = stride
        self.linear = Pointwise(channels_in * stride[0] * stride[1] * stride[2], channels_out)
        self.repeat = -(-channels_out // channels_in)
        self.channels_out = channels_out

    def forward(self, x: torch.Tensor, fine: MaskLevel, coarse: MaskLevel) -> torch.Tensor:
        blocks = space_to_depth(x * fine.mask, self.stride)
        b, _, *shape = blocks.shape
        wet_sum = blocks.reshape(b, x.shape[1], -1, *shape).mean(2)  # over all cells of the block
        share = space_to_depth(fine.mask.to(x.dtype), self.stride).mean(1, keepdim=True)
        average = wet_sum / share.clamp_min(1 / blocks.shape[1] * x.shape[1])
        shortcut = average.repeat(1, self.repeat, 1, 1, 1)[:, : self.channels_out]
        return (self.linear(blocks) + shortcut) * coarse.mask


class Up(nn.Module):
    """A linear map and depth-to-space, around a shortcut that copies the coarse cell to its wet fine cells."""

    def __init__(self, channels_in: int, channels_out: int, stride: Stride):
        super().__init__()
        self.stride = stride
        self.cells = stride[0] * stride[1] * stride[2]
        self.linear = Pointwise(channels_in, channels_out * self.cells)
        self.channels_out = channels_out

    def forward(self, x: torch.Tensor, fine: MaskLevel) -> torch.Tensor:
        repeat = -(-self.channels_out // x.shape[1])
        shortcut = x.repeat(1, repeat, 1, 1, 1)[:, : self.channels_out].repeat_interleave(self.cells, 1)
        return depth_to_space(self.linear(x) + shortcut, self.stride, fine.mask.shape[-3:]) * fine.mask
