"""The pyramid of coarser masks, and the folding of fine cells into channels that goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Stride = tuple[int, int, int]  # fine cells of a coarse one along (depth, y, x)


@dataclass(frozen=True)
class MaskLevel:
    """One level of the pyramid: ``mask`` (1, 1, D, Y, X) bool and ``fraction`` of wet fine cells, float in [0, 1]."""

    mask: torch.Tensor
    fraction: torch.Tensor


def pad_to_multiple(x: torch.Tensor, stride: Stride, land: float = 0.0) -> torch.Tensor:
    """Append ``land`` at the far end of the last three axes until ``stride`` divides them."""
    padding = [p for size, s in zip(reversed(x.shape[-3:]), reversed(stride), strict=True) for p in (0, -size % s)]
    return torch.nn.functional.pad(x, padding, value=land)


def space_to_depth(x: torch.Tensor, stride: Stride, land: float = 0.0) -> torch.Tensor:
    """(B, C, D, Y, X) → (B, C·s, D/sd, Y/sy, X/sx); blocks of fine cells become channels, padded with ``land``."""
    x = pad_to_multiple(x, stride, land)
    b, c, d, h, w = x.shape
    i, j, k = stride
    x = x.reshape(b, c, d // i, i, h // j, j, w // k, k).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(b, c * i * j * k, d // i, h // j, w // k)


def depth_to_space(x: torch.Tensor, stride: Stride, shape: Sequence[int]) -> torch.Tensor:
    """Inverse of ``space_to_depth``, cropped to the fine ``shape`` (D, Y, X)."""
    i, j, k = stride
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // (i * j * k), i, j, k, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(b, -1, d * i, h * j, w * k)[..., : shape[0], : shape[1], : shape[2]]


def mask_pyramid(mask: torch.Tensor, strides: list[Stride]) -> list[MaskLevel]:
    """From the finest (D, Y, X) mask down: a coarse cell is wet if any fine cell is, and knows its wet fraction."""
    fraction = mask[None, None].float()
    levels = [MaskLevel(mask[None, None].bool(), fraction)]
    for stride in strides:
        fraction = space_to_depth(fraction, stride).mean(1, keepdim=True)
        levels.append(MaskLevel(fraction > 0, fraction))
    return levels
