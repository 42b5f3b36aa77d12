"""Mixed-layer depths of columns known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.mixed_layer import mixed_layer_depth

DEPTH = np.array([5.0, 15.0, 30.0, 60.0, 120.0, 250.0])
NZ, NY, NX = len(DEPTH), 2, 3
MASK = np.ones((NZ, NY, NX))


def density(temperature, salinity, depth):
    return 1025 - 0.2 * (temperature - 10) + 1e-2 * depth + 0 * salinity


def depth_of(sigma, mask=MASK, kind="numpy", **options):
    """The mixed layer of fields that have the density anomaly ``sigma``."""
    t = 10 - (sigma + np.zeros((NZ, NY, NX))) / 0.2
    arguments = (t, 35 + 0 * t, DEPTH, mask)
    if kind == "torch":
        arguments = tuple(torch.from_numpy(np.array(a)) for a in arguments)
    return np.asarray(mixed_layer_depth(*arguments, density, **options))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("threshold", [0.01, 0.03])
def test_a_two_layer_ocean_is_mixed_down_to_its_interface(kind, threshold):
    sigma = np.where(DEPTH < 40, 0.0, 0.5)[:, None, None]  # linear from 30 to 60 m between the two waters
    np.testing.assert_allclose(depth_of(sigma, kind=kind, threshold=threshold), 30 + 30 * threshold / 0.5, rtol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(1.3e-4, 1e-2), st.sampled_from([0.01, 0.03]))
def test_a_uniform_gradient_reaches_the_threshold_at_its_own_pace(gradient, threshold):
    h = depth_of(gradient * DEPTH[:, None, None], threshold=threshold)
    np.testing.assert_allclose(h, min(10 + threshold / gradient, DEPTH[-1]), rtol=1e-7)


def test_a_homogeneous_column_is_mixed_to_its_deepest_wet_point_whatever_land_holds():
    mask = MASK.copy()
    mask[3:, 0, 0] = 0
    mask[1:, 1, 0] = 0
    for land in (0.0, 1e6, -1e6):
        h = depth_of(np.where(mask > 0, 0.0, land), mask)
        assert h[0, 0] == 30 and h[1, 0] == 5 and (h[:, 1:] == 250).all()


def test_land_is_nan_and_only_land():
    mask = MASK.copy()
    mask[:, 1, 2] = 0
    assert (np.isnan(depth_of(0.0, mask)) == (mask[0] == 0)).all()


def test_dense_water_above_the_reference_depth_is_no_mixed_layer_base():
    sigma = np.where(DEPTH < 10, 1.0, 0.0)[:, None, None] + 1e-3 * np.maximum(DEPTH - 15, 0)[:, None, None]
    assert (depth_of(sigma, threshold=0.03) > 250 - 1e-9).all()  # σ(10 m) = 0.5 is never exceeded by 0.03


def test_where_the_first_level_is_deeper_than_the_reference_it_takes_its_place():
    h = depth_of(1e-3 * DEPTH[:, None, None], reference=2.0, threshold=0.03)
    np.testing.assert_allclose(h, 5 + 30)


def test_the_density_is_the_potential_one():
    with_pressure = depth_of(0.0)  # the density grows by 0.01 kg/m³ a metre through pressure alone
    assert (with_pressure == DEPTH[-1]).all()


def test_samples_are_independent():
    rng = np.random.default_rng(0)
    t = 10 - np.cumsum(rng.uniform(0, 0.2, (4, NZ, NY, NX)), 1)
    together = mixed_layer_depth(t, 0 * t, DEPTH, MASK, density)
    alone = [mixed_layer_depth(x, 0 * x, DEPTH, MASK, density) for x in t]
    np.testing.assert_array_equal(together, alone)
