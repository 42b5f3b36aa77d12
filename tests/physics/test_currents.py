"""Laws of currents brought nearer to geostrophic balance."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.balance import coriolis, forces, hydrostatic_pressure
from ldm_ocean.physics.cgrid import onto_u, onto_v
from ldm_ocean.physics.currents import WEIGHT, balanced
from ldm_ocean.physics.eos import RHO_0, vallis
from ldm_ocean.physics.transport import corner_latitude

from ..conftest import small_mesh

MESH = OceanGrid.from_dataset(small_mesh((5, 15, 7))).mesh
SEEDS = st.integers(0, 2**32 - 1)


def random_ocean(seed: int, leading=(2,)):
    """T, S and currents that are noise in the water and 0 on land."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((4, *leading, *MESH["tmask"].shape))
    t, s = 10 + noise[0], 35 + 0.1 * noise[1]
    return t * MESH["tmask"], s * MESH["tmask"], 0.1 * noise[2] * MESH["umask"], 0.1 * noise[3] * MESH["vmask"]


def pressure(t, s):
    """p' [Pa] under a flat surface."""
    depth = MESH["gdept"]
    return hydrostatic_pressure(vallis(t, s, depth[:, None, None]), depth, 0 * t[..., 0, :, :])


def box(shape=(6, 12, 5)) -> dict:
    """A closed basin without land inside, its cells all of one size, away from the equator in part."""
    mesh = OceanGrid.from_dataset(small_mesh(shape, periodic=False)).mesh
    ones = np.ones(shape, bool)
    east, north = ones.copy(), ones.copy()
    east[..., -1] = north[:, -1] = False
    return {**mesh, "tmask": ones, "umask": east, "vmask": north, "e1u": np.full(shape[1:], 4e5)}


def test_a_geostrophic_flow_stays():
    """p linear in x makes v = p_x/(f ρ0), alike along x: its mean over four faces is v where f is that of U points."""
    mesh = box()
    _, _, i = np.indices(mesh["tmask"].shape)
    p = 300.0 * i
    mesh["nav_lat"] = np.full(mesh["nav_lat"].shape, 30.0)
    v = 300.0 / 4e5 / coriolis(30.0) / RHO_0 * np.ones(mesh["tmask"].shape)
    u = np.zeros_like(v)
    new_u, new_v = balanced(u, v, p, {**mesh, "vmask": mesh["tmask"]}, False, below=0)
    np.testing.assert_allclose(new_v, v, atol=1e-12)
    np.testing.assert_allclose(new_u, 0, atol=1e-12)


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_no_other_currents_cost_less(seed):
    """Σ V |δ|² + β Σ V |u + δ − u_g|² grows in whatever direction."""
    t, s, u, v = random_ocean(seed)
    p, rng = pressure(t, s), np.random.default_rng(seed)
    latitudes = MESH["nav_lat"], corner_latitude(MESH["nav_lat"])

    def cost(new_u, new_v):
        volumes = [MESH[f"e1{k}"] * MESH[f"e2{k}"] * MESH[f"e3{k}"] for k in "uv"]
        moved = sum((w * (a - b) ** 2).sum() for w, a, b in zip(volumes, (new_u, new_v), (u, v), strict=True))
        both = forces(new_u, new_v, p, MESH, True, 5.0)
        missed = [
            np.where(w > 0, r / np.where(w > 0, coriolis(lat), 1), 0)
            for (_, r, w), lat in zip(both, latitudes, strict=True)
        ]
        return moved + WEIGHT * sum((w * r**2).sum() for (_, _, w), r in zip(both, missed, strict=True))

    best = balanced(u, v, p, MESH, True, below=0)
    least = cost(*best)
    assert least < cost(u, v)
    for size in (1e-3, 1e-1):
        other = (
            x + size * rng.standard_normal(x.shape) * MESH[m] for x, m in zip(best, ("umask", "vmask"), strict=True)
        )
        assert cost(*other) > least


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.sampled_from([(), (1,), (2, 3)]))
def test_dry_faces_are_exactly_still_and_all_is_finite(seed, leading):
    t, s, u, v = random_ocean(seed, leading)
    leaking = balanced(u + 0.1, v - 0.1, pressure(t, s), MESH, True)
    for x, point in zip(leaking, "uv", strict=True):
        assert np.isfinite(x).all() and (x[..., ~MESH[f"{point}mask"]] == 0).all()


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_the_wind_driven_levels_and_the_equator_stay(seed):
    t, s, u, v = random_ocean(seed)
    new_u, new_v = balanced(u, v, pressure(t, s), MESH, True)  # levels at 5, 39, 120 … m
    np.testing.assert_array_equal(new_u[:, :2], u[:, :2])
    np.testing.assert_array_equal(new_v[:, :2], v[:, :2])
    assert not np.allclose(new_u[:, 2:], u[:, 2:])
    band = balanced(u, v, pressure(t, s), MESH, True, equator=15.0)
    for new, old, rows in zip(band, (u, v), (slice(6, 9), slice(6, 8)), strict=True):  # rows of 5.7°, the equator is 7
        np.testing.assert_array_equal(new[..., rows, :], old[..., rows, :])
        assert not np.allclose(new[:, 2:], old[:, 2:])


@settings(deadline=None, max_examples=10)
@given(SEEDS, st.integers(1, 6))
def test_a_periodic_ocean_has_no_seam(seed, shift):
    mesh = {k: np.roll(x, shift, -1) if x.ndim > 1 else x for k, x in MESH.items()}
    t, s, u, v = random_ocean(seed)
    ocean = u, v, pressure(t, s)
    rolled = balanced(*(np.roll(x, shift, -1) for x in ocean), mesh, True)
    for a, b in zip(rolled, balanced(*ocean, MESH, True), strict=True):
        np.testing.assert_allclose(a, np.roll(b, shift, -1), atol=1e-9)


@pytest.mark.parametrize("periodic", [True, False])
def test_the_mean_onto_u_is_the_transpose_of_the_mean_onto_v(periodic):
    a, b = np.random.default_rng(0).standard_normal((2, 9, 7))
    assert (a * onto_u(b, periodic)).sum() == pytest.approx((onto_v(a, periodic) * b).sum())


def test_tensors_and_arrays_give_the_same():
    t, s, u, v = random_ocean(7)
    mesh = {k: torch.from_numpy(np.ascontiguousarray(x)) for k, x in MESH.items()}
    ocean = u, v, pressure(t, s)
    of_torch = balanced(*map(torch.from_numpy, ocean), mesh, True)
    for a, b in zip(of_torch, balanced(*ocean, MESH, True), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
