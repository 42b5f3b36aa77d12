"""The T–S census of waters known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.census import sliced_wasserstein, wasserstein

KINDS = ["numpy", "torch"]


def to(kind, *arrays):
    return arrays if kind == "numpy" else tuple(torch.from_numpy(np.array(a)) for a in arrays)


def water(seed, n=200):
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(0, 25, n), rng.uniform(34, 37, n)], 1), rng.uniform(0, 2, n)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-5, 5))
def test_a_solid_shift_is_as_far_as_the_shift(kind, seed, shift):
    x, volume = to(kind, *water(seed))
    assert float(wasserstein(x[:, 0], x[:, 0] + shift, volume, volume)) == pytest.approx(abs(shift), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_equal_volumes_are_as_far_as_their_sorted_values(seed):
    x, y = (np.random.default_rng(seed + k).standard_normal(50) * (k + 1) for k in (0, 1))
    expected = abs(np.sort(x) - np.sort(y)).mean()
    assert wasserstein(x, y, np.ones(50), 7 * np.ones(50)) == pytest.approx(expected)


def test_moving_a_tenth_of_the_volume_costs_a_tenth_of_the_way():
    x = np.array([0.0, 10.0])
    assert wasserstein(x, x, np.array([9.0, 1.0]), np.array([8.0, 2.0])) == pytest.approx(1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_splitting_cells_and_adding_land_changes_no_distance(seed):
    (x, vx), (y, vy) = water(seed), water(seed + 1, 90)
    split = np.concatenate([x, x, [[99.0, 0.0]]]), np.concatenate([0.25 * vx, 0.75 * vx, [0.0]])
    assert wasserstein(split[0][:, 0], y[:, 0], split[1], vy) == pytest.approx(wasserstein(x[:, 0], y[:, 0], vx, vy))
    whole = sliced_wasserstein(x, y, vx, vy, (5.0, 0.5))
    assert sliced_wasserstein(split[0], y, split[1], vy, (5.0, 0.5)) == pytest.approx(whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [(3.0, 0.0), (0.0, 0.4), (-3.0, 0.4)])
def test_a_shift_in_any_direction_has_its_sliced_distance(kind, shift):
    x, volume, shift = to(kind, *water(0), np.array(shift))
    expected = 2 / np.pi * np.hypot(float(shift[0]) / 5.0, float(shift[1]) / 0.5)
    assert float(sliced_wasserstein(x, x + shift, volume, volume, (5.0, 0.5))) == pytest.approx(expected, rel=2e-3)


def test_the_distance_tells_the_joint_census_apart_where_each_variable_alone_agrees():
    n = np.linspace(0, 1, 101)
    with_, against = np.stack([n, n], 1), np.stack([n, n[::-1]], 1)
    volume = np.ones(101)
    for v in (0, 1):
        assert wasserstein(with_[:, v], against[:, v], volume, volume) == pytest.approx(0, abs=1e-12)
    assert sliced_wasserstein(with_, against, volume, volume, (1.0, 1.0)) > 0.1


def test_the_gradient_points_the_way_the_water_must_move():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    wasserstein(x, torch.tensor([5.0, 6.0, 7.0]), torch.ones(3), torch.ones(3)).backward()
    torch.testing.assert_close(x.grad, torch.full((3,), -1 / 3))
