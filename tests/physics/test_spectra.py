"""Spectra of waves known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.spectra import land_free_boxes, log_power_error, zonal_spectrum

KINDS = ["numpy", "torch"]


def to(kind, *arrays):
    return arrays if kind == "numpy" else tuple(torch.from_numpy(np.array(a)) for a in arrays)


def wave(waves, size):
    """A cosine with ``waves`` crests along x over ``size``, symmetric about the middle, so without mean and trend."""
    n = size[-1]
    return np.cos(2 * np.pi * waves * (np.arange(n) + 0.5 - n / 2) / n) * np.ones(size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 33])
def test_a_plane_wave_peaks_at_its_wavenumber_and_holds_its_variance(kind, size):
    (x,) = to(kind, 3.0 * wave(5, (2, 4, size)))
    k, power = (np.asarray(a) for a in zonal_spectrum(x, 2e4))
    assert power.shape == (2, len(k)) and k[power[0].argmax()] == pytest.approx(5 / (size * 2e4))
    np.testing.assert_allclose(power.sum(-1) * (k[1] - k[0]), 9 / 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-50, 50), st.floats(-5, 5), st.floats(-5, 5))
def test_a_tilted_plane_adds_no_power(seed, mean, a, b):
    x = np.random.default_rng(seed).standard_normal((12, 16))
    tilted = x + mean + a * np.arange(16) + b * np.arange(12)[:, None]
    np.testing.assert_allclose(zonal_spectrum(tilted, 1e4)[1], zonal_spectrum(x, 1e4)[1], rtol=1e-6, atol=1e-6)


def test_white_noise_has_the_same_power_at_every_zonal_wavenumber():
    x = np.random.default_rng(0).standard_normal((4000, 1, 32))
    level = zonal_spectrum(x, 1.0)[1].mean(0)[2:-1]  # one wave a box loses to the trend
    np.testing.assert_allclose(level, 2.0, rtol=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_a_band_is_the_power_it_lacks(kind):
    k = np.arange(1, 9) * 1e-6
    truth = k**-3.0
    power = np.stack([truth, truth * np.where(k > 4e-6, 0.1, 1.0)])
    power, truth, k = to(kind, power, truth, k)
    bands = [(0, 4.5e-6), (4.5e-6, 1e-5), (1, 2)]
    error = np.asarray(log_power_error(power, truth, k, bands))
    np.testing.assert_allclose(error, [[0, 0, np.nan], [0, -1, np.nan]], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4))
def test_boxes_hold_no_land_and_do_not_overlap_and_none_is_left_over(seed, height, width):
    mask = np.random.default_rng(seed).uniform(size=(9, 8)) > 0.1
    free = mask.copy()
    for box in land_free_boxes(mask, (height, width)):
        assert free[box].shape == (height, width) and free[box].all()
        free[box] = False
    assert land_free_boxes(free, (height, width)) == []


def test_an_ocean_without_land_is_tiled():
    assert len(land_free_boxes(np.ones((8, 12)), (4, 4))) == 6
