"""The Brunt–Väisälä frequency of columns known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.eos import G, equation_of_state, expansion
from ldm_ocean.physics.stratification import (
    buoyancy_frequency,
    density_steps,
    inverted_share,
    least_stable,
    strongly_unstable_volume,
)

NZ, NY, NX = 4, 3, 2
DEPTH = np.array([5.0, 20.0, 60.0, 200.0])[:, None, None]


def linear(temperature, salinity, depth):
    return 2e-4 + 0 * temperature, 8e-4 + 0 * salinity


def both(*arrays):
    """The same arguments as numpy arrays and as torch tensors."""
    return arrays, tuple(torch.from_numpy(np.array(a)) for a in arrays)


def test_uniform_gradients_have_a_uniform_frequency():
    ones = np.ones((2, NZ, NY, NX))
    for t, s, depth in both((20 - 0.01 * DEPTH) * ones, (36 - 0.002 * DEPTH) * ones, DEPTH):
        frequency = np.asarray(buoyancy_frequency(t, s, depth, linear))
        assert frequency.shape == (2, NZ - 1, NY, NX)
        np.testing.assert_allclose(frequency, G * (2e-4 * 0.01 - 8e-4 * 0.002), rtol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["vallis", "seos"]), st.integers(0, 1000))
def test_the_frequency_is_that_of_the_density_step(name, seed):
    rng = np.random.default_rng(seed)
    t, s = 10 + rng.standard_normal((NZ, NY, NX)), 35 + 0.3 * rng.standard_normal((NZ, NY, NX))
    depth = DEPTH + 0 * t
    by_density = G * density_steps(t, s, depth, equation_of_state(name)) / np.diff(depth, axis=0) / 1026
    np.testing.assert_allclose(buoyancy_frequency(t, s, depth, expansion(name)), by_density, rtol=0.02, atol=1e-9)


def test_only_wet_pairs_count_and_they_count_by_volume():
    volume = np.ones((NZ, NY, NX))
    volume[0] = 3
    volume[2:, :, 0] = 0
    frequency = np.full((NZ - 1, NY, NX), 1e-6)
    frequency[0, :, 0] = -2e-8
    frequency[1, :, 0] = -1  # a pair with land below
    frequency[1, :, 1] = -5e-9  # unstable, but not strongly
    for n2, v in both(frequency, volume):
        assert float(strongly_unstable_volume(n2, v)) == pytest.approx(100 * 3 / (3 + 3 + 1 + 1))
        assert float(strongly_unstable_volume(n2, v, limit=-1e-9)) == pytest.approx(100 * 4 / 8)
        assert float(least_stable(n2, v)) == -2e-8


def test_what_is_upside_down_counts_by_how_strongly_it_is():
    volume = np.ones((3, 1, 4))
    frequency = np.array([[[3e-5, -1e-6, 0.0, 7.0]], [[6e-5, -3e-6, 0.0, 7.0]]])
    volume[..., 3] = 0  # land
    for f, v in both(frequency, volume):
        assert float(inverted_share(f, v)) == pytest.approx(100 * 4 / 94)
        assert float(inverted_share(0 * f, v)) == 0
        assert float(inverted_share(-f, 5 * v)) == pytest.approx(100 * 90 / 94)
