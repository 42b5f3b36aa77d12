import numpy as np
import pytest
import torch

from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.errors import UserError
from ldm_ocean.ocean.fields import Fields


def test_a_surface_variable_is_a_channel_wet_at_the_surface_only(fields, grid):
    masks = fields.masks(grid)
    ssh = fields.names.index("ssh")
    assert masks[ssh, 0].any()
    assert not masks[ssh, 1:].any()


def test_unstack_inverts_stack_and_land_comes_back_nan(states, fields, grid, tensor):
    back = fields.unstack(tensor.numpy(), grid)
    for name in fields.names:
        assert np.array_equal(back[name].values, states[name].values, equal_nan=True)
        assert back[name].attrs["units"] == states[name].attrs["units"]


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e30, -1e30])
def test_land_values_never_reach_the_tensor(states, fields, grid, tensor, junk):
    dirty = states.copy(deep=True)
    for f in fields:
        wet = grid[f.mask] if f.deep else grid[f.mask][0]
        dirty[f.name].values[:, ~wet] = junk
    assert np.array_equal(fields.stack(dirty, grid), tensor.numpy())


def test_the_order_of_dimensions_does_not_matter(states, fields, grid, tensor):
    shuffled = states.assign(toce=states.toce.transpose("x", "sample", "y", "depth"))
    assert np.array_equal(fields.stack(shuffled, grid), tensor.numpy())


def test_a_hole_at_a_wet_point_is_refused_with_its_place(states, fields, grid):
    holed = states.copy(deep=True)
    holed["soce"][3, 1, 4, 2] = np.nan
    with pytest.raises(UserError, match=r"soce .*\(1, 4, 2\) of sample 3"):
        fields.stack(holed, grid)


def test_an_unknown_variable_names_the_nearest(states):
    with pytest.raises(UserError, match="toce"):
        Fields.from_dataset(states, ["tocee"])


def test_normalised_anomalies_have_zero_mean_and_unit_weighted_variance(fields, grid, tensor):
    volumes = fields.volumes(grid)
    normaliser = Normaliser.fit(tensor.numpy(), volumes)
    x = torch.where(fields.masks(grid), normaliser(tensor), 0.0).double()
    assert x.mean(0).abs().max() < 1e-3
    variance = (volumes * x.square()).sum((-2, -1)).mean(0) / volumes.sum((-2, -1)).clamp_min(1)
    wet = volumes.sum((-2, -1)) > 0
    assert torch.allclose(variance[wet], torch.ones_like(variance[wet]), atol=1e-3)


def test_the_normaliser_inverts_itself(fields, grid, tensor):
    normaliser = Normaliser.fit(tensor.numpy(), fields.volumes(grid))
    assert torch.allclose(normaliser.inverse(normaliser(tensor)), tensor, atol=1e-4)
