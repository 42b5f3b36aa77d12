import numpy as np
import pytest
import torch

from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.errors import UserError
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid


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


def test_each_variable_counts_by_the_volume_of_its_own_point(states, fields):
    """e1 e2 e3 of T, U and V cells, all different; at the surface only for what has no depth; 0 on land."""
    mesh = states.copy()
    for n, point in enumerate("tuv", 1):
        for axis, e in enumerate(("e1", "e2", "e3"), 2):
            mesh[f"{e}{point}"] = mesh[f"{e}t"] * float(n**axis)
    grid = OceanGrid.from_dataset(mesh)
    volumes = fields.volumes(grid).numpy()
    cell = (states.e1t * states.e2t * states.e3t).transpose("depth", "y", "x").values
    for field, found in zip(fields, volumes, strict=True):
        factor = {"tmask": 1.0, "umask": 2.0**9, "vmask": 3.0**9}[field.mask]
        wet = states[field.mask].values.astype(bool) & (field.deep | (np.arange(grid.shape[0]) == 0))[:, None, None]
        np.testing.assert_allclose(found, np.where(wet, factor * cell, 0.0), rtol=1e-12)
