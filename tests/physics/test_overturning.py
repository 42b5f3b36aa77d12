"""Overturning and heat transport of flows derived from a streamfunction."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.overturning import (
    bottom_cell,
    heat_transport,
    northern_cell,
    overturning,
    overturning_in_density,
)

NZ, NY, NX = 5, 6, 4
LATITUDE = np.linspace(-50.0, 50.0, NY)
TOP = np.array([0.0, 50.0, 150.0, 500.0, 1500.0])
KINDS = ["numpy", "torch"]


def to(kind, *arrays):
    return arrays if kind == "numpy" else tuple(torch.from_numpy(np.array(a)) for a in arrays)


def flow_of(psi, seed=0):
    """A flow with the streamfunction ``psi`` [Sv] (..., depth, y), unevenly spread over x, with its metrics."""
    rng = np.random.default_rng(seed)
    e1v, e3v = rng.uniform(1, 2, (NY, NX)) * 1e5, rng.uniform(10, 90, (NZ, NY, NX))
    below = np.concatenate([psi[..., 1:, :], 0 * psi[..., :1, :]], -2)
    share = rng.dirichlet(np.ones(NX), (NZ, NY))
    return 1e6 * (below - psi)[..., None] * share / (e1v * e3v), e1v, e3v


@pytest.mark.parametrize("kind", KINDS)
def test_the_streamfunction_of_a_flow_comes_back(kind):
    psi = np.random.default_rng(1).uniform(-20, 20, (2, NZ, NY))
    np.testing.assert_allclose(np.asarray(overturning(*to(kind, *flow_of(psi)))), psi, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_northward_surface_and_southward_deep_flow_is_a_positive_cell(kind):
    v = np.zeros((NZ, NY, NX))
    v[0], v[-1] = 0.1, -0.1
    ones = np.ones((NY, NX)), np.ones((NZ, NY, NX))
    psi = np.asarray(overturning(*to(kind, v, *ones)))
    np.testing.assert_allclose(psi[1:], 0.1 * NX / 1e6)
    np.testing.assert_allclose(psi[0], 0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_where_density_follows_the_levels_both_coordinates_agree(kind):
    psi = np.random.default_rng(2).uniform(-20, 20, (2, NZ, NY))
    sigma = 25.0 + np.arange(NZ)[:, None, None] * np.ones((NZ, NY, NX))
    v, e1v, e3v, sigma, classes = to(kind, *flow_of(psi), sigma, 25.0 + np.arange(NZ) - 0.5)
    np.testing.assert_allclose(np.asarray(overturning_in_density(v, e1v, e3v, sigma, classes)), psi, atol=1e-10)


def test_flow_along_a_sloping_density_surface_overturns_in_density_where_it_does_not_in_depth():
    v = np.zeros((NZ, NY, NX))
    v[1, :, 0], v[1, :, 1] = 1.0, -1.0  # north in light, south in dense water of the same level: a gyre
    sigma = np.where(np.arange(NX) == 0, 26.0, 28.0) * np.ones((NZ, NY, NX))
    ones = np.ones((NY, NX)), np.ones((NZ, NY, NX))
    np.testing.assert_allclose(overturning(v, *ones), 0, atol=1e-12)
    psi = overturning_in_density(v, *ones, sigma, [25.0, 27.0, 29.0])
    np.testing.assert_allclose(psi, np.array([0, 1e-6, 0])[:, None] * np.ones(NY), atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_the_extremes_of_the_cells_are_sought_inside_their_limits_only(kind):
    psi = np.zeros((2, NZ, NY))
    psi[:, 3, 4], psi[:, 0, 5], psi[:, 4, 1], psi[:, 4, 5] = 12.0, 99.0, -7.0, -99.0
    psi, top, latitude = to(kind, psi, TOP, LATITUDE)
    assert np.asarray(northern_cell(psi, top, latitude, (300, 2000), (0, 45))) == pytest.approx([12, 12])
    assert np.asarray(bottom_cell(psi, top, latitude, (1000, 4000), (-60, 0))) == pytest.approx([-7, -7])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(-100, 100))
def test_a_flow_without_net_transport_carries_the_same_heat_on_any_temperature_scale(seed, offset):
    psi = np.random.default_rng(seed).uniform(-20, 20, (NZ, NY))
    psi[0] = 0
    flow = flow_of(psi, seed)
    t = np.random.default_rng(seed + 1).uniform(0, 25, (NZ, NY, NX))
    heat = heat_transport(flow[0], t, *flow[1:])
    np.testing.assert_allclose(heat_transport(flow[0], t + offset, *flow[1:]), heat, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_between_two_temperatures_carries_their_difference(kind):
    psi = np.zeros((NZ, NY))
    psi[1:3] = 15.0  # 15 Sv north above, south below
    t = np.where(np.arange(NZ) < 1, 20.0, 5.0)[:, None, None] * np.ones((NZ, NY, NX))
    v, e1v, e3v, t = to(kind, *flow_of(psi), t)
    expected = 1026 * 3991.868 * 15e6 * (20 - 5) / 1e15
    np.testing.assert_allclose(np.asarray(heat_transport(v, t, e1v, e3v)), expected, rtol=1e-12)


def test_the_temperature_of_a_face_is_the_mean_of_its_two_sides():
    v = np.ones((1, 3, 1))
    t = np.array([0.0, 10.0, 30.0]).reshape(1, 3, 1)
    heat = heat_transport(v, t, np.ones((3, 1)), np.ones((1, 3, 1)))
    np.testing.assert_allclose(heat, 1026 * 3991.868 * np.array([5.0, 20.0, 30.0]) / 1e15)
