"""Contents and surface balances of oceans known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.budget import (
    heat_content,
    kinetic_energy,
    salt_content,
    surface_heat_balance,
    surface_salt_balance,
)

SHAPE = (3, 4, 5)


def to(kind, *arrays):
    return arrays if kind == "numpy" else tuple(torch.from_numpy(np.array(a)) for a in arrays)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_uniform_ocean_holds_density_times_volume(kind):
    rng = np.random.default_rng(0)
    volume = rng.uniform(1, 2, SHAPE) * 1e12
    volume[1:, 0] = 0
    mass = 1026 * volume.sum()
    water, volume = to(kind, np.ones((2, *SHAPE)), volume)
    assert np.asarray(heat_content(4 * water, volume)) == pytest.approx([mass * 3991.868 * 4] * 2)
    assert np.asarray(salt_content(35 * water, volume)) == pytest.approx([mass * 0.035] * 2)
    energy = kinetic_energy(0.3 * water, 0.4 * water, volume, volume)
    assert np.asarray(energy) == pytest.approx([mass * 0.5**2 / 2] * 2)


def test_each_velocity_counts_with_the_volume_of_its_own_face():
    one, none = np.ones(SHAPE), np.zeros(SHAPE)
    assert kinetic_energy(one, none, 2 * one, 99 * one) == pytest.approx(1026 * 60)
    assert kinetic_energy(none, one, 99 * one, 2 * one) == pytest.approx(1026 * 60)


def test_a_risen_surface_holds_the_heat_of_the_added_water():
    volume = np.ones((2, *SHAPE))
    volume[1, 0] *= 1.5
    low, high = heat_content(np.full((2, *SHAPE), 10.0), volume)
    assert high - low == pytest.approx(1026 * 3991.868 * 10 * 0.5 * 20)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-3, 3))
def test_the_surface_of_a_state_off_its_target_gives_the_excess_back(seed, excess):
    rng = np.random.default_rng(seed)
    target, area = rng.uniform(0, 25, SHAPE[1:]), rng.uniform(0, 2, SHAPE[1:]) * 1e10
    rounding = 1e-14 * area.sum()  # of target + excess, in K m²
    heat = surface_heat_balance(target + excess, target, area, -40.0)
    assert heat == pytest.approx(-40 * excess * area.sum(), rel=1e-9, abs=40 * rounding)
    salt = surface_salt_balance(target + excess, target, area, -3.858e-3)
    assert salt == pytest.approx(-3.858e-6 * excess * area.sum(), rel=1e-9, abs=3.858e-6 * rounding)


def test_gain_in_one_place_and_loss_in_another_balance_by_area():
    target, area = np.zeros((1, 2)), np.array([[1.0, 3.0]])
    assert surface_heat_balance(np.array([[3.0, -1.0]]), target, area, -40.0) == 0
    assert surface_heat_balance(np.array([[1.0, -1.0]]), target, area, -40.0) == pytest.approx(80)
