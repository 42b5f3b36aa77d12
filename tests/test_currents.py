"""Laws of the currents in thermal-wind balance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.grid import OceanGrid
from ldm_ocean.physics.balance import coriolis, surface_tendency
from ldm_ocean.physics.currents import balanced
from ldm_ocean.physics.eos import RHO_0, G, vallis
from ldm_ocean.physics.transport import corner_latitude

from .conftest import small_mesh

MESH = OceanGrid.from_dataset(small_mesh((5, 15, 7))).mesh
SEEDS = st.integers(0, 2**32 - 1)


def linear(temperature, salinity, depth):
    return 1026.0 - 0.2 * (temperature - 10) + 0.8 * (salinity - 35) + 0 * depth


def random_ocean(seed: int, leading=(2,)):
    """T, S and currents that are noise in the water and 0 on land."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((4, *leading, *MESH["tmask"].shape))
    t, s = 10 + noise[0], 35 + 0.1 * noise[1]
    return t * MESH["tmask"], s * MESH["tmask"], 0.1 * noise[2] * MESH["umask"], 0.1 * noise[3] * MESH["vmask"]


def box(shape=(6, 12, 5)) -> dict:
    """A closed basin without land inside, its cells all of one size, away from the equator in part."""
    mesh = OceanGrid.from_dataset(small_mesh(shape, periodic=False)).mesh
    ones = np.ones(shape, bool)
    east, north = ones.copy(), ones.copy()
    east[..., -1] = north[:, -1] = False
    return {**mesh, "tmask": ones, "umask": east, "vmask": north, "e1u": np.full(shape[1:], 4e5)}


def test_a_flow_in_thermal_wind_balance_comes_back_unchanged_outside_the_guard():
    """ρ linear in y and x, its slope linear in depth: f u = −(g/ρ0) ρ_y (z − z²/2H) + a barotropic flow, v likewise."""
    mesh, slope_y, slope_x, height = box(), 0.3, -0.2, 3000.0
    z = mesh["gdept"][:, None, None]
    _, j, i = np.indices(mesh["tmask"].shape)
    salinity = 35 + (slope_y * j + slope_x * i) * (1 - z / height)
    latitude = {"u": mesh["nav_lat"], "v": corner_latitude(mesh["nav_lat"])}
    shape = G / RHO_0 * 0.8 * (z - z**2 / (2 * height))
    rng = np.random.default_rng(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = -shape * slope_y / mesh["e2v"] / coriolis(latitude["u"])
        v = shape * slope_x / mesh["e1u"] / coriolis(latitude["v"])
    flow = {
        name: np.where(abs(latitude[name]) > 5, x + rng.standard_normal(x.shape[1:]), 0.1) * mesh[f"{name}mask"]
        for name, x in (("u", u), ("v", v))
    }
    new = balanced(np.full(z.shape, 10.0), salinity, flow["u"], flow["v"], mesh, False, linear, below=0)
    for name, x in zip("uv", new, strict=True):
        outside = abs(latitude[name][:, 0]) > 5
        assert 0 < (~outside).sum() < outside.sum()
        np.testing.assert_allclose(x[:, outside], flow[name][:, outside], rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.sampled_from([(), (1,), (2, 3)]), st.booleans())
def test_the_transport_of_every_column_and_its_divergence_stay(seed, leading, periodic):
    t, s, u, v = random_ocean(seed, leading)
    new_u, new_v = balanced(t, s, u, v, MESH, periodic, vallis)
    np.testing.assert_allclose((new_u * MESH["e3u"]).sum(-3), (u * MESH["e3u"]).sum(-3), atol=1e-9)
    np.testing.assert_allclose((new_v * MESH["e3v"]).sum(-3), (v * MESH["e3v"]).sum(-3), atol=1e-9)
    tendencies = (surface_tendency(*x, MESH, periodic) for x in ((u, v), (new_u, new_v)))
    np.testing.assert_allclose(*tendencies, atol=1e-12)
    assert not np.allclose(new_u, u)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_dry_faces_are_exactly_still_and_all_is_finite(seed):
    t, s, u, v = random_ocean(seed)
    leaking = balanced(t, s, u + 0.1, v - 0.1, MESH, True, vallis)
    for x, point in zip(leaking, "uv", strict=True):
        assert np.isfinite(x).all()
        assert (x[:, ~MESH[f"{point}mask"]] == 0).all()


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_a_level_ocean_flows_alike_at_all_depths_outside_the_guard(seed):
    _, _, u, v = random_ocean(seed)
    t = np.broadcast_to(np.linspace(20, 2, 5)[:, None, None], MESH["tmask"].shape)
    new = balanced(t, 0 * t + 35, u, v, MESH, True, vallis, below=0)
    for x, old, point, lat in zip(new, (u, v), "uv", (MESH["nav_lat"], corner_latitude(MESH["nav_lat"])), strict=True):
        wet, e3 = MESH[f"{point}mask"], MESH[f"e3{point}"]
        mean = (old * e3).sum(-3) / np.maximum((e3 * wet).sum(-3), 1)
        outside = (abs(lat) > 5) * wet
        np.testing.assert_allclose(x * outside, mean[:, None] * outside, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_the_wind_driven_levels_keep_their_shear(seed):
    t, s, u, v = random_ocean(seed)
    wet = MESH["umask"][1] * (abs(MESH["nav_lat"]) > 5)  # both uppermost levels are at or above 38.75 m
    for below, kept in ((100, True), (0, False)):
        new, _ = balanced(t, s, u, v, MESH, True, vallis, below=below)
        assert np.allclose(((new[:, 1] - new[:, 0]) - (u[:, 1] - u[:, 0])) * wet, 0, atol=1e-12) == kept


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_the_equator_keeps_the_current_it_was_given_and_the_shear_grows_smoothly_from_there(seed):
    t, s, u, v = random_ocean(seed)
    middle = MESH["nav_lat"].shape[0] // 2
    new = balanced(t, s, u, v, MESH, True, vallis)
    assert MESH["nav_lat"][middle, 0] == 0
    np.testing.assert_array_equal(new[0][:, :, middle], u[:, :, middle])
    sizes = []
    for degree in (1e-1, 1e-3, 1e-5):
        mesh = {**MESH, "nav_lat": MESH["nav_lat"] + degree}
        sizes.append(abs(balanced(t, s, u, v, mesh, True, vallis)[0] - u)[:, :, middle].max())
    assert sizes[1] < 0.02 * sizes[0] and sizes[2] < 0.02 * sizes[1]


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 6))
def test_a_periodic_ocean_has_no_seam(seed, shift):
    mesh = {k: np.roll(x, shift, -1) if x.ndim > 1 else x for k, x in MESH.items()}
    ocean = random_ocean(seed)
    rolled = balanced(*(np.roll(x, shift, -1) for x in ocean), mesh, True, vallis)
    for a, b in zip(rolled, balanced(*ocean, MESH, True, vallis), strict=True):
        np.testing.assert_allclose(a, np.roll(b, shift, -1), atol=1e-12)


def test_the_first_column_feels_the_last_one_only_where_x_is_periodic():
    closed = box()
    endless = {**closed, "umask": closed["tmask"]}
    t, s, u, v = 0.1 * np.random.default_rng(1).standard_normal((4, *closed["tmask"].shape))
    warmer = t.copy()
    warmer[..., -1] += 5 * np.arange(len(t))[:, None]
    of_closed, of_endless = (
        [balanced(x, s, u, v, mesh, periodic, linear)[1][..., 0] for x in (t, warmer)]
        for mesh, periodic in ((closed, False), (endless, True))
    )
    np.testing.assert_array_equal(*of_closed)
    assert not np.allclose(*of_endless)


@pytest.mark.parametrize("density", [linear, vallis])
def test_tensors_and_arrays_give_the_same(density):
    ocean = random_ocean(3)
    mesh = {k: torch.tensor(x) for k, x in MESH.items()}
    of_torch = balanced(*map(torch.from_numpy, ocean), mesh, True, density)
    for a, b in zip(of_torch, balanced(*ocean, MESH, True, density), strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-14)
