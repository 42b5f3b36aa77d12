"""Encode and decode a large ocean in bands of rows; the result equals the whole in one piece.

A band is computed with a halo at least as wide as the network's receptive field, then cropped. Weights know nothing of
the grid (masks and places are derived from it), so a band is the same network on a shorter ocean.
"""

from collections.abc import Iterator

import torch

from .vae import Autoencoder


def halo(codec: Autoencoder) -> int:
    """Rows of latent cells that one latent cell can see to each side: two for every block, counted from the finest."""
    reach = 0
    for i, blocks in enumerate(codec.shape["blocks"]):
        if i:
            reach = -(-reach // codec.strides[i][1])
        reach += 2 * blocks
    return reach


def encode_in_bands(codec: Autoencoder, anomalies: torch.Tensor, rows: int) -> torch.Tensor:
    """``codec.to_latent`` of (B, V, D, Y, X), computed ``rows`` latent rows at a time."""
    parts = []
    for band, inner, first, last, stride in _bands(codec, rows):
        raw = band.to_latent(anomalies[..., first * stride : last * stride, :])
        parts.append(raw[..., inner, :])
    return torch.cat(parts, -2)


def decode_in_bands(codec: Autoencoder, latents: torch.Tensor, rows: int) -> torch.Tensor:
    """``codec.to_state`` of (B, C, d, y, x), computed ``rows`` latent rows at a time."""
    parts = []
    for band, inner, first, last, stride in _bands(codec, rows):
        state = band.to_state(latents[..., first:last, :])
        parts.append(state[..., inner.start * stride : inner.stop * stride, :])
    return torch.cat(parts, -2)


def _bands(codec: Autoencoder, rows: int) -> Iterator[tuple[Autoencoder, slice, int, int, int]]:
    """(network on the band with halo, its inner latent rows, first and last latent row, rows of a latent cell)."""
    reach, total = halo(codec), codec.latent_shape[1]
    stride = 1
    for s in codec.strides:
        stride *= s[1]
    for start in range(0, total, rows):
        first, last = max(start - reach, 0), min(start + rows + reach, total)
        grid = codec.grid.rows(first * stride, last * stride)
        band = Autoencoder(codec.fields, grid, **codec.shape).to(codec.token_mean.device)
        band.load_state_dict(dict(codec.named_parameters()), strict=False)
        yield band.eval(), slice(start - first, min(start + rows, total) - first), first, last, stride
