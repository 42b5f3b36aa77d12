import pytest
import torch

from ldm_ocean.autoencoder.codec import IdentityCodec
from ldm_ocean.autoencoder.loss import ReconstructionLoss
from ldm_ocean.autoencoder.masked import Down, MaskedConv3d
from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.nn.pyramid import mask_pyramid
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_mesh


@pytest.mark.parametrize("periodic", [False, True])
def test_an_all_wet_mask_equals_the_plain_convolution(periodic):
    conv = MaskedConv3d(2, 3, periodic)
    x = torch.randn(1, 2, 4, 5, 6)
    mode = "circular" if periodic else "constant"
    padded = torch.nn.functional.pad(torch.nn.functional.pad(x, (1, 1, 0, 0, 0, 0), mode=mode), (0, 0, 1, 1, 1, 1))
    plain = torch.nn.functional.conv3d(padded, conv.weight, conv.bias)
    assert torch.allclose(conv(x, torch.ones(1, 1, 4, 5, 6)), plain, atol=1e-5)


def test_on_a_periodic_axis_a_rotated_ocean_gives_the_rotated_answer():
    conv = MaskedConv3d(2, 2, periodic_x=True)
    x, mask = torch.randn(1, 2, 3, 4, 6), (torch.rand(1, 1, 3, 4, 6) < 0.7)
    assert torch.allclose(conv(x, mask).roll(2, -1), conv(x.roll(2, -1), mask.roll(2, -1)), atol=1e-6)


def test_the_shortcut_downwards_averages_over_wet_cells_only():
    mask = torch.tensor([[[True, True, False, False], [True, False, False, False]]])
    fine, coarse = mask_pyramid(mask, [(1, 2, 2)])
    down = Down(1, 1, (1, 2, 2))
    torch.nn.init.zeros_(down.linear.weight)
    torch.nn.init.zeros_(down.linear.bias)
    x = torch.tensor([[3.0, 6.0, 50.0, 50.0], [9.0, 50.0, 50.0, 50.0]]).view(1, 1, 1, 2, 4)
    assert down(x, fine, coarse).flatten().tolist() == pytest.approx([6.0, 0.0])


def test_an_all_land_level_is_harmless(autoencoder, tensor, grid):
    assert not grid["tmask"][-1].any()
    assert torch.isfinite(autoencoder.decode(autoencoder.encode(tensor))).all()


def test_the_loss_follows_cell_volume_not_cell_count(fields, grid, tensor):
    volumes = fields.volumes(grid)
    normaliser = Normaliser.fit(tensor.numpy(), volumes)
    criterion = ReconstructionLoss(volumes, normaliser, vertical=0.0, power=0.0)
    zero = torch.zeros(1, *volumes.shape)
    losses = []
    for row in (0, 4):  # e1 falls with latitude: an outer cell is smaller than one at the equator
        error = zero.clone()
        error[0, 0, 0, row, 3] = 1.0
        losses.append(float(criterion(error, zero)))
    assert losses[1] / losses[0] == pytest.approx(float(volumes[0, 0, 4, 3] / volumes[0, 0, 0, 3]))


def test_a_deep_level_with_few_wet_cells_counts_fully(fields, grid, tensor):
    volumes = fields.volumes(grid)
    criterion = ReconstructionLoss(volumes, Normaliser.fit(tensor.numpy(), volumes), vertical=0.0, power=0.0)
    zero = torch.zeros(1, *volumes.shape)
    losses = []
    for level in (0, 3):
        error = zero.clone()
        error[0, 0, level] = 1.0
        losses.append(float(criterion(error, zero)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_an_error_alike_on_two_levels_makes_no_vertical_loss(fields, grid, tensor):
    volumes = fields.volumes(grid)
    normaliser = Normaliser.fit(tensor.numpy(), volumes)
    with_steps, without = (ReconstructionLoss(volumes, normaliser, vertical=v) for v in (1.0, 0.0))
    error = (torch.ones(1, *volumes.shape) / normaliser.scale[..., None, None]) * fields.masks(
        grid
    )  # 1 unit everywhere
    deep = [i for i, f in enumerate(fields) if f.deep]
    error[:, [i for i in range(len(fields)) if i not in deep]] = 0
    assert float(with_steps(error, 0 * error)) == pytest.approx(float(without(error, 0 * error)), rel=1e-4)


def test_latents_are_bounded_standardised_and_dry_cells_are_left_out(autoencoder, tensor):
    z = autoencoder.encode(tensor)
    assert z.shape == (len(tensor), autoencoder.n_tokens, 3)
    assert autoencoder.n_tokens == int(autoencoder.pyramid[-1].mask.sum())
    assert z.mean(0).abs().max() < 1e-4
    assert z.square().mean((0, 1)).sqrt().tolist() == pytest.approx([1, 1, 1], rel=1e-4)
    assert autoencoder.to_latent(1e6 * autoencoder.normalise(tensor)).abs().max() <= 5.0


def test_the_identity_codec_returns_the_state(fields, grid, tensor):
    codec = IdentityCodec(fields, grid)
    codec.normaliser.load_state_dict(Normaliser.fit(tensor.numpy(), fields.volumes(grid)).state_dict())
    codec.fit_statistics(tensor)
    assert torch.allclose(codec.decode(codec.encode(tensor)), tensor, atol=1e-3)


def test_a_grid_without_a_periodic_axis_and_without_surface_variables_works(states):
    mesh = small_mesh(periodic=False)
    grid = OceanGrid.from_dataset(mesh)
    from ldm_ocean.ocean.fields import Fields

    fields = Fields.from_dataset(states, ["toce", "soce"])
    model = Autoencoder(fields, grid, [[1, 2, 2]], [4], [1], 2)
    assert model.decode(model.encode(torch.randn(2, 2, *grid.shape))).shape == (2, 2, *grid.shape)


@torch.no_grad()
def test_a_latent_is_bounded_by_five_smoothly_whatever_the_network_says(autoencoder, tensor):
    """z = h/√(1 + (h/5)²) in wet cells, 0 in dry ones; h is made to be the last bias alone."""
    last = autoencoder.to_code[1]
    last.weight.zero_()
    last.bias.copy_(torch.tensor([0.1, -5.0, 1e4]))
    z = autoencoder.to_latent(autoencoder.normalise(tensor[:2]))
    expected = torch.tensor([0.1, -5 / 2**0.5, 5.0]).view(1, 3, 1, 1, 1) * autoencoder.pyramid[-1].mask
    torch.testing.assert_close(z, expected.expand_as(z), atol=1e-4, rtol=1e-4)
