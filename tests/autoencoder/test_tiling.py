import pytest
import torch

from ldm_ocean.autoencoder.tiling import decode_in_bands, encode_in_bands, halo
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_states


@pytest.fixture(scope="module")
def tall():
    """An ocean much taller than the receptive field, and a network without zero weights."""
    states = small_states(settings=4, each=1, shape=(5, 70, 6))
    grid, fields = OceanGrid.from_dataset(states), Fields.from_dataset(states)
    torch.manual_seed(0)
    codec = Autoencoder(fields, grid, [[2, 2, 2], [2, 2, 1]], [6, 8], [1, 1], 3)
    for p in codec.parameters():
        torch.nn.init.normal_(p, std=0.2)
    x = torch.where(codec.masks, torch.randn(2, *codec.masks.shape), 0.0)
    return codec.eval(), x


@torch.no_grad()
def test_tiled_encode_and_decode_with_the_receptive_field_as_halo_equal_untiled(tall):
    codec, x = tall
    z = codec.to_latent(x)
    assert torch.allclose(encode_in_bands(codec, x, rows=5), z, atol=1e-5)
    assert torch.allclose(decode_in_bands(codec, z, rows=5), codec.to_state(z), atol=1e-4)


@torch.no_grad()
def test_nothing_beyond_the_halo_reaches_a_latent_cell(tall):
    codec, x = tall
    reach, stride, row = halo(codec), 4, 8
    far = x.clone()
    far[..., : (row - reach) * stride, :] = 5.0
    far[..., (row + reach + 1) * stride :, :] = -5.0
    far = torch.where(codec.masks, far, 0.0)
    assert torch.allclose(codec.to_latent(far)[..., row, :], codec.to_latent(x)[..., row, :], atol=1e-5)
    assert not torch.allclose(codec.to_latent(far)[..., 0, :], codec.to_latent(x)[..., 0, :], atol=1e-3)
