"""The masked network in closed form, on grids that have dry cells where the convolutions are."""

import pytest
import torch
import torch.nn.functional as F

from ldm_ocean.autoencoder.masked import Block, ChannelNorm, Down, MaskedConv3d, Up
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.nn.pyramid import mask_pyramid
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_mesh, small_states

WALLS = [[[2, 2, 2]], [[1, 1, 1]], [[1, 1, 1], [2, 2, 2]]]  # strides: with the last two, levels inside have dry cells


def holed(shape, seed=0, share=0.6) -> torch.Tensor:
    """A mask (1, 1, D, Y, X) with dry cells inside and at the rim."""
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(seed)) < share


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("land", [0.0, 7.0, -1e6])
def test_a_masked_convolution_is_the_mask_times_the_convolution_of_the_masked_field_plus_bias(periodic, land):
    """y = m ⊙ (W ∗ (m ⊙ x) + b), by nine times three shifted sums."""
    torch.manual_seed(0)
    conv, mask = MaskedConv3d(2, 3, periodic), holed((4, 5, 6))
    x = torch.randn(2, 2, 4, 5, 6)
    wet = x * mask
    padded = F.pad(wet, (1, 1, 1, 1, 1, 1))
    if periodic:
        padded[..., 1:-1, 1:-1, 0], padded[..., 1:-1, 1:-1, -1] = wet[..., -1], wet[..., 0]
    total = conv.bias.view(1, -1, 1, 1, 1).expand(2, 3, 4, 5, 6).clone()
    for k, j, i in torch.cartesian_prod(*[torch.arange(3)] * 3).tolist():
        shifted = padded[..., k : k + 4, j : j + 5, i : i + 6]
        total = total + torch.einsum("oc,bcdyx->bodyx", conv.weight[:, :, k, j, i], shifted)
    found = conv(torch.where(mask, x, land), mask)
    torch.testing.assert_close(found, total * mask, atol=1e-5, rtol=1e-5)
    assert (found[~mask.expand_as(found)] == 0).all() and not mask.all()


def test_features_of_a_voxel_are_brought_to_unit_size_by_itself():
    norm = ChannelNorm(5)
    x = 30 * torch.randn(2, 5, 3, 3, 3)
    torch.testing.assert_close(norm(x).square().mean(1), torch.ones(2, 3, 3, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(norm(x), x / x.square().mean(1, keepdim=True).sqrt(), atol=1e-4, rtol=1e-4)


def test_a_new_block_is_the_identity_and_the_place_tells_voxels_apart():
    torch.manual_seed(0)
    block, mask, place = Block(4, 6, False), holed((3, 4, 5)), torch.randn(60, 6)
    x = torch.randn(1, 4, 3, 4, 5) * mask
    assert torch.equal(block(x, mask, place), x)
    torch.nn.init.normal_(block.conv2.weight)
    torch.nn.init.normal_(block.place.weight)
    assert not torch.allclose(block(x, mask, place), block(x, mask, 0 * place), atol=1e-3)


def test_the_shortcut_upwards_copies_the_coarse_cell_to_its_wet_fine_cells():
    mask = torch.tensor([[[True, True, False, False], [True, False, False, True]]])
    fine, _ = mask_pyramid(mask, [(1, 2, 2)])
    up = Up(1, 1, (1, 2, 2))
    torch.nn.init.zeros_(up.linear.weight)
    torch.nn.init.zeros_(up.linear.bias)
    found = up(torch.tensor([[[[[3.0, 8.0]]]]]), fine)
    assert found[0, 0, 0].tolist() == [[3.0, 3.0, 0.0, 0.0], [3.0, 0.0, 0.0, 8.0]]


def test_what_land_holds_goes_neither_down_nor_up():
    torch.manual_seed(0)
    fine, coarse = mask_pyramid(holed((2, 4, 4), share=0.5)[0, 0], [(2, 2, 2)])
    down, x = Down(2, 3, (2, 2, 2)), torch.randn(1, 2, 2, 4, 4)
    spoilt = torch.where(fine.mask, x, 1e4)
    assert torch.equal(down(spoilt, fine, coarse), down(x * fine.mask, fine, coarse))
    found = Up(3, 2, (2, 2, 2))(torch.randn(1, 3, 1, 2, 2), fine)
    assert (found[~fine.mask.expand_as(found)] == 0).all()


def two_basins() -> tuple[Fields, OceanGrid]:
    """Rows 0–3 and 6–9, with two dry rows between them: a wall on every level of the pyramid."""
    mesh = small_mesh((3, 10, 6), periodic=False)
    for name in ("tmask", "umask", "vmask"):
        mesh[name][:] = 1
        mesh[name][:, 4:6] = 0
        mesh[name][-1, :2] = 0
    return Fields.from_dataset(small_states(shape=(3, 10, 6))), OceanGrid.from_dataset(mesh)


@pytest.mark.parametrize("strides", WALLS)
def test_seas_that_a_wall_parts_know_nothing_of_each_other(strides):
    """However deep the network; nor do biases fill the wall: its cells are 0 at every stage."""
    fields, grid = two_basins()
    torch.manual_seed(0)
    codec = Autoencoder(fields, grid, strides, [4, 6][: len(strides)], [2, 1][: len(strides)], 3)
    for p in codec.parameters():
        torch.nn.init.normal_(p, std=0.3)
    seen = []
    for stages in (codec.encoder, codec.decoder):
        for stage in stages:
            stage.register_forward_hook(lambda module, inputs, out: seen.append((inputs[1], out)))
    x = torch.where(codec.masks, torch.randn(1, *codec.masks.shape), 0.0)
    assert torch.equal(codec.to_latent(torch.where(codec.masks, x, 1e3)), codec.to_latent(x))
    other = x.clone()
    other[..., 6:, :] = torch.where(codec.masks[..., 6:, :], 3.0, 0.0)
    one, two = codec.to_latent(x), codec.to_latent(other)
    rows = one.shape[-2] * 4 // 10
    assert torch.equal(one[..., :rows, :], two[..., :rows, :]) and not torch.allclose(one, two, atol=1e-2)
    back, again = codec.to_state(one), codec.to_state(two)
    assert torch.equal(back[..., :4, :], again[..., :4, :]) and not torch.allclose(back, again, atol=1e-2)
    for mask, features in seen:
        assert (features[~mask.expand_as(features)] == 0).all()
    assert any(not mask.all() for mask, _ in seen)
