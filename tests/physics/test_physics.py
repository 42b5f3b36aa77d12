"""Transports and box means against flows and fields known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.boxes import at_depth, box, box_mean, mean_at_depth
from ldm_ocean.physics.stratification import unstable_volume
from ldm_ocean.physics.transport import barotropic_streamfunction, corner_latitude, gyre_maximum, section_transport

NZ, NY, NX = 4, 6, 5
DEPTH = np.array([10.0, 40.0, 120.0, 400.0])
LATITUDE = np.broadcast_to(np.linspace(-50, 50, NY)[:, None], (NY, NX))


def to(kind, *arrays):
    return arrays if kind == "numpy" else tuple(torch.from_numpy(np.array(a)) for a in arrays)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_uniform_current_carries_speed_times_area(kind):
    e2u, e3u = np.full((NY, NX), 1e5), np.full((NZ, NY, NX), 50.0)
    u = np.full((2, NZ, NY, NX), 0.1)
    rows = np.arange(NY) < 3
    u, e2u, e3u, rows = to(kind, u, e2u, e3u, rows)
    flow = section_transport(u, e2u, e3u, 1, rows)
    assert np.asarray(flow) == pytest.approx([0.1 * 3e5 * 200 / 1e6] * 2)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_the_streamfunction_of_a_known_gyre_comes_back(kind):
    rng = np.random.default_rng(0)
    psi = rng.uniform(-20, 20, (3, NY, NX))
    psi[:, -1] = 0
    e2u, e3u = rng.uniform(1, 2, (NY, NX)) * 1e5, rng.uniform(10, 90, (NZ, NY, NX))
    share = rng.dirichlet(np.ones(NZ), (NY, NX)).transpose(2, 0, 1)  # how the flow divides over the levels
    south = np.concatenate([0 * psi[:, :1], psi[:, :-1]], 1)
    u = (1e6 * (south - psi) / e2u)[:, None] * share / e3u
    u[:, :, 0] = 0  # the row that would need ψ south of the domain
    found = barotropic_streamfunction(*to(kind, u, e2u, e3u))
    np.testing.assert_allclose(np.asarray(found), psi, atol=1e-10)
    inside = np.arange(NY)[:, None] + 0 * np.arange(NX) > 2
    largest = gyre_maximum(found, *to(kind, inside))
    np.testing.assert_allclose(np.asarray(largest), psi[:, inside].max(-1), atol=1e-10)


def test_corners_lie_half_a_cell_north():
    np.testing.assert_allclose(corner_latitude(LATITUDE) - LATITUDE, 10)


@settings(max_examples=25, deadline=None)
@given(st.floats(10, 400), st.floats(-3, 3), st.floats(-0.1, 0.1))
def test_a_field_linear_in_depth_is_interpolated_exactly(target, a, b):
    x = a + b * np.broadcast_to(DEPTH[:, None, None], (NZ, NY, NX))
    np.testing.assert_allclose(at_depth(x, DEPTH, target), a + b * target, atol=1e-9)
    assert float(at_depth(torch.from_numpy(x.copy()), torch.from_numpy(DEPTH), target)[0, 0]) == pytest.approx(
        a + b * target, abs=1e-9
    )


@pytest.mark.parametrize("target", [9.0, 401.0])
def test_nothing_is_extrapolated(target):
    with pytest.raises(ValueError, match="outside the levels"):
        at_depth(np.zeros((NZ, NY, NX)), DEPTH, target)


def test_a_mean_at_depth_leaves_out_columns_that_end_between_its_two_levels():
    mask = np.ones((NZ, NY, NX))
    mask[2:, :, 0] = 0
    x = np.where(mask > 0, np.arange(NX) * 1.0, 99.0)
    area, inside = np.ones((NY, NX)), np.ones((NY, NX), bool)
    assert mean_at_depth(x, DEPTH, 80.0, area, mask, inside) == pytest.approx(np.arange(1, NX).mean())
    assert mean_at_depth(x, DEPTH, 20.0, area, mask, inside) == pytest.approx(np.arange(NX).mean())


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_box_and_what_lies_outside_it_add_up_to_the_ocean(kind):
    rng = np.random.default_rng(0)
    volume, x = rng.uniform(1, 2, (NZ, NY, NX)), rng.standard_normal((3, NZ, NY, NX))
    volume[3, :2] = 0
    volume, x, depth, latitude = to(kind, volume, x, DEPTH, LATITUDE)
    inside, outside = (box(depth, latitude, (20, 300), (-35, 35), o) for o in (False, True))
    assert bool((inside ^ outside).all()) and int(inside.sum()) == 2 * 4 * NX
    parts = sum(box_mean(x, volume, b) * (volume * b).sum() for b in (inside, outside))
    np.testing.assert_allclose(np.asarray(parts / volume.sum()), np.asarray((x * volume).sum((1, 2, 3)) / volume.sum()))


def test_the_volume_mean_follows_volume_not_cell_count():
    volume = np.ones((NZ, NY, NX))
    volume[0] = 9
    x = np.zeros((NZ, NY, NX))
    x[0] = 1
    assert box_mean(x, volume, np.ones((NZ, NY, NX), bool)) == pytest.approx(9 / 12)


def test_an_inverted_column_is_wholly_unstable_and_land_below_is_no_pair():
    def density(t, s, z):
        return -t

    t = np.broadcast_to(np.arange(NZ)[:, None, None] * 1.0, (NZ, NY, NX))
    volume = np.ones((NZ, NY, NX))
    volume[2:, :, 0] = 0
    depth = DEPTH[:, None, None]
    assert unstable_volume(t, t, depth, volume, density) == 100
    assert unstable_volume(-t, t, depth, volume, density) == 0
    half = np.where(np.arange(NX) == 0, t, -t)  # one inverted column with a single wet pair
    assert unstable_volume(half, t, depth, volume, density) == pytest.approx(100 / (1 + 3 * (NX - 1)))
