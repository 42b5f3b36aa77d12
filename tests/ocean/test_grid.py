import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.errors import UserError
from ldm_ocean.nn.pyramid import depth_to_space, mask_pyramid, space_to_depth
from ldm_ocean.ocean.grid import OceanGrid

strides = st.tuples(*[st.integers(1, 3)] * 3)
shapes = st.tuples(*[st.integers(1, 7)] * 3)


@given(shapes, strides, st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_a_coarse_cell_is_wet_if_any_fine_cell_is(shape, stride, seed):
    mask = torch.from_numpy(np.random.default_rng(seed).random(shape) < 0.3)
    coarse = mask_pyramid(mask, [stride])[1].mask[0, 0]
    for index in np.ndindex(*coarse.shape):
        block = mask[tuple(slice(i * s, (i + 1) * s) for i, s in zip(index, stride, strict=True))]
        assert bool(coarse[index]) == bool(block.any())


@given(shapes, strides)
@settings(max_examples=40, deadline=None)
def test_depth_to_space_inverts_space_to_depth_on_odd_sizes(shape, stride):
    x = torch.randn(2, 3, *shape)
    assert torch.equal(depth_to_space(space_to_depth(x, stride), stride, shape), x)


def test_the_wet_fraction_counts_padding_as_land():
    level = mask_pyramid(torch.ones(1, 3, 3, dtype=torch.bool), [(1, 2, 2)])[1]
    assert level.fraction[0, 0, 0].tolist() == [[1.0, 0.5], [0.5, 0.25]]


def test_volume_is_the_product_of_the_scale_factors_and_zero_on_land(grid):
    volume = grid.volume("u")
    expected = grid["e1u"] * grid["e2u"] * grid["e3u"]
    assert np.allclose(volume[grid["umask"]], expected[grid["umask"]])
    assert (volume[~grid["umask"]] == 0).all()


def test_the_digest_sees_a_single_flipped_cell(states, grid):
    other = states.copy(deep=True)
    other["tmask"][0, 4, 3] = 0
    assert OceanGrid.from_dataset(states).digest == grid.digest
    assert OceanGrid.from_dataset(other).digest != grid.digest


def test_cut_cells_on_the_floor_do_not_move_their_level_and_land_has_no_depth(states, grid):
    depth = np.broadcast_to(states.gdept.values[:, None, None], grid.shape).copy()
    wet = grid["tmask"]
    floor = wet & ~np.concatenate([wet[1:], np.zeros_like(wet[:1])])
    depth[floor & (np.arange(grid.shape[2]) % 2 > 0)] *= 0.9
    depth[:-1][~wet[:-1]] = 1e4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = OceanGrid.from_dataset(states.assign(gdept=(states.tmask.dims, depth)))
    np.testing.assert_array_equal(found["gdept"], grid["gdept"])


def test_levels_that_follow_the_ground_lie_at_the_mean_of_their_water_and_it_is_said(states, grid):
    depth = states.gdept.values[:, None, None] * np.linspace(0.5, 1.5, grid.shape[2])
    shape = np.broadcast_to(depth, grid.shape)
    with pytest.warns(UserWarning, match="cells of one level lie up to [0-9]+ m apart"):
        found = OceanGrid.from_dataset(states.assign(gdept=(states.tmask.dims, shape)))["gdept"]
    for k in np.flatnonzero(grid["tmask"].any((1, 2))):
        assert found[k] == pytest.approx(np.average(shape[k], weights=grid.volume()[k]))
    assert (np.diff(found) > 0).all()


def test_a_missing_mesh_variable_is_named(states):
    with pytest.raises(UserError, match="e3v"):
        OceanGrid.from_dataset(states.drop_vars("e3v"))
