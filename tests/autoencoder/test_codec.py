"""What stands between states and latents, in closed form: statistics, places, packing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ldm_ocean.autoencoder.codec import Codec, IdentityCodec
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.ocean.fields import Fields


@pytest.fixture
def identity(fields, grid) -> IdentityCodec:
    """With statistics that are nowhere 0 or 1."""
    torch.manual_seed(0)
    codec = IdentityCodec(fields, grid)
    for buffer in (codec.normaliser.mean, codec.token_mean):
        buffer.copy_(torch.randn(buffer.shape))
    for buffer in (codec.normaliser.scale, codec.channel_scale):
        buffer.copy_(1 + torch.rand(buffer.shape))
    return codec


def at_tokens(codec: Codec, states: torch.Tensor) -> torch.Tensor:
    """(B, V, D, Y, X) → (B, N, V)."""
    return states.flatten(2)[..., codec.masks.any(0).flatten()].transpose(1, 2)


def test_latents_of_zero_are_the_mean_latent_of_each_token_and_a_unit_is_a_channel_s_scale(identity):
    """decode(z) = x̄ + s (σ_c z + μ_n) in every wet cell, 0 on land."""
    z = torch.stack([torch.zeros(identity.n_tokens, identity.channels), torch.ones(identity.n_tokens, 5)])
    found, wet = at_tokens(identity, identity.decode(z)), at_tokens(identity, identity.masks[None])[0]
    mean = at_tokens(identity, identity.normaliser.mean[None])[0]
    scale = identity.normaliser.scale[..., None, None].expand(identity.masks.shape)
    scale = at_tokens(identity, scale[None])[0]
    for latent, state in zip((0.0, 1.0), found, strict=True):
        expected = mean + scale * (latent * identity.channel_scale + identity.token_mean)
        torch.testing.assert_close(state, expected * wet)
    assert (identity.decode(z)[:, ~identity.masks] == 0).all()


def test_encode_undoes_decode_whatever_the_statistics(identity):
    z = torch.randn(3, identity.n_tokens, identity.channels)
    wet = at_tokens(identity, identity.masks[None])[0]
    torch.testing.assert_close(identity.encode(identity.decode(z))[:, wet], z[:, wet], atol=1e-5, rtol=1e-5)


def test_the_statistics_are_the_mean_of_each_token_and_one_spread_for_each_channel(fields, grid, tensor):
    codec = IdentityCodec(fields, grid)
    codec.fit_statistics(tensor, batch=5)
    raw = at_tokens(codec, codec.normalise(tensor)).double()
    torch.testing.assert_close(codec.token_mean, raw.mean(0).float(), atol=1e-5, rtol=1e-5)
    spread = (raw - raw.mean(0)).square().mean((0, 1)).sqrt()
    torch.testing.assert_close(codec.channel_scale, spread.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("strides", [[(2, 2, 2)], [(2, 2, 2), (2, 2, 2)], [(1, 3, 2)]])
def test_a_latent_cell_lies_at_the_mean_of_its_wet_fine_cells(strides, fields, grid):
    """Latitude, longitude, depth, in this order; dry cells have no place."""
    codec = Codec(fields, grid, strides, 1)
    stride = np.prod(strides, 0)
    wet = fields.masks(grid).any(0).numpy()
    places = np.stack(
        [np.broadcast_to(c, grid.shape) for c in (grid["nav_lat"], grid["nav_lon"], grid["gdept"][:, None, None])]
    )
    expected = np.zeros((3, *-(-np.array(grid.shape) // stride)))
    for cell in np.ndindex(*expected.shape[1:]):
        block = tuple(slice(c * s, (c + 1) * s) for c, s in zip(cell, stride, strict=True))
        if wet[block].any():
            expected[(slice(None), *cell)] = [p[block][wet[block]].mean() for p in places]
    found = codec.positions(len(strides)).T.reshape(expected.shape).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02)
    np.testing.assert_array_equal(codec.token_position.numpy().T, found.reshape(3, -1)[:, codec.wet_index])


def test_values_are_counted_wet(fields, grid):
    model = Autoencoder(fields, grid, [(2, 2, 2)], [4], [1], 3)
    wet_latent_cells = int(model.pyramid[-1].mask.sum())
    assert model.n_tokens == wet_latent_cells < np.prod(model.latent_shape)
    assert model.compression == pytest.approx(int(fields.masks(grid).sum()) / (3 * wet_latent_cells))


def test_the_digest_names_weights_statistics_variables_and_grid(fields, grid):
    def codec(fields=fields, grid=grid):
        return IdentityCodec(fields, grid)

    scaled = codec()
    scaled.channel_scale[0] = 2.0
    deeper = replace(grid, mesh={**grid.mesh, "gdept": grid["gdept"] + 1})
    others = [scaled, codec(fields=Fields(reversed(fields))), codec(grid=deeper)]
    assert codec().digest == codec().digest
    assert len({codec().digest, *(other.digest for other in others)}) == 4
