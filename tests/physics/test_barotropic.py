"""Laws of the depth mean: no column fills or drains, and sea level goes with the flow."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics import barotropic
from ldm_ocean.physics.balance import forces, geostrophic_residual, hydrostatic_pressure, surface_tendency
from ldm_ocean.physics.barotropic import RADIUS, conjugate_gradients, nondivergent, sea_level
from ldm_ocean.physics.cgrid import slopes
from ldm_ocean.physics.eos import vallis

from .test_currents import MESH, SEEDS, box, random_ocean


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.sampled_from([(), (1,), (2, 3)]), st.booleans())
def test_no_column_fills_or_drains_and_every_shear_stays(seed, leading, periodic):
    mesh = MESH if periodic else {**MESH, "umask": MESH["umask"] & (np.arange(7) < 6)}
    _, _, u, v = random_ocean(seed, leading)
    u = u * mesh["umask"]
    new_u, new_v = nondivergent(u, v, mesh, periodic)
    before, after = (abs(surface_tendency(*x, mesh, periodic)).max() for x in ((u, v), (new_u, new_v)))
    assert after < 1e-8 * before
    for new, old, mask in ((new_u, u, mesh["umask"]), (new_v, v, mesh["vmask"])):
        step = np.diff(new - old, axis=-3) * mask[1:]
        np.testing.assert_allclose(step, 0, atol=1e-12)
        assert (new[..., ~mask] == 0).all()


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_a_nondivergent_flow_stays_and_a_potential_flow_in_a_box_vanishes(seed):
    _, _, u, v = random_ocean(seed)
    once = nondivergent(u, v, MESH, True)
    for a, b in zip(nondivergent(*once, MESH, True), once, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    mesh, phi = box(), np.random.default_rng(seed).standard_normal(box()["tmask"].shape[1:])
    u = np.diff(phi, axis=1, append=0) / mesh["e1u"] * mesh["umask"]
    v = np.diff(phi, axis=0, append=0) / mesh["e2v"] * mesh["vmask"]
    for x, start in zip(nondivergent(u, v, mesh, False), (u, v), strict=True):
        assert abs(x).max() < 1e-7 * abs(start).max()


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_no_other_sea_level_costs_less(seed):
    """Σ V (|F/g + ∇η'|² + ζ²/R²) grows in whatever direction that keeps the mean."""
    t, s, u, v = random_ocean(seed)
    rng, area = np.random.default_rng(seed), MESH["e1t"] * MESH["e2t"] * MESH["tmask"][0]
    ssh = rng.standard_normal(area.shape) * MESH["tmask"][0] * np.ones((2, 1, 1))
    rho = vallis(t, s, MESH["gdept"][:, None, None])
    pressure = hydrostatic_pressure(rho, MESH["gdept"], 0 * ssh)
    height = (MESH["e3t"] * MESH["tmask"]).sum(0)

    def cost(eta):
        total = (area * height * ((eta - ssh) / RADIUS) ** 2).sum()
        gradients = slopes(eta, MESH, True)
        for (_, rest, w), slope, old, k in zip(
            forces(u, v, pressure, MESH, True, 5.0), gradients, slopes(ssh, MESH, True), "uv", strict=True
        ):
            weight = w.sum(-3)
            f = (rest * w).sum(-3) / np.where(weight > 0, weight, 1) / 9.81
            depth = (MESH[f"e3{k}"] * MESH[f"{k}mask"]).sum(0)
            missed = slope + np.where(weight > 0, f, -old)
            total += (MESH[f"e1{k}"] * MESH[f"e2{k}"] * depth * MESH[f"{k}mask"][0] * missed**2).sum()
        return total

    best = sea_level(u, v, rho, ssh, MESH, True, below=0)
    least = cost(best)
    assert least < cost(ssh)
    for size in (1e-3, 1e-1):
        other = size * rng.standard_normal(best.shape) * MESH["tmask"][0]
        other -= (other * area).sum((1, 2), keepdims=True) / area.sum() * MESH["tmask"][0]
        assert cost(best + other) > least


@pytest.mark.parametrize("shift", [1, 4])
def test_a_periodic_ocean_has_no_seam(shift):
    mesh = {k: np.roll(x, shift, -1) if x.ndim > 1 else x for k, x in MESH.items()}
    t, s, u, v = random_ocean(3)
    rho, ssh = vallis(t, s, MESH["gdept"][:, None, None]), 0.1 * t[:, 0] * MESH["tmask"][0]
    for function, ocean in ((nondivergent, (u, v)), (sea_level, (u, v, rho, ssh))):
        rolled = np.stack(function(*(np.roll(x, shift, -1) for x in ocean), mesh, True))
        np.testing.assert_allclose(rolled, np.roll(np.stack(function(*ocean, MESH, True)), shift, -1), atol=1e-8)


@settings(deadline=None, max_examples=10)
@given(SEEDS)
def test_sea_level_comes_nearer_to_balance_and_keeps_its_mean(seed):
    t, s, u, v = random_ocean(seed)
    rng = np.random.default_rng(seed)
    ssh = 0.1 * rng.standard_normal((2, *MESH["tmask"].shape[1:])) * MESH["tmask"][0]
    rho = vallis(t, s, MESH["gdept"][:, None, None])
    new = sea_level(u, v, rho, ssh, MESH, True, below=0)

    def residual(eta):
        return geostrophic_residual(u, v, hydrostatic_pressure(rho, MESH["gdept"], eta), MESH, True)

    area = MESH["e1t"] * MESH["e2t"] * MESH["tmask"][0]
    assert (residual(new) < residual(ssh)).all()
    np.testing.assert_allclose((new * area).sum((1, 2)), (ssh * area).sum((1, 2)), atol=1e-9 * area.sum())
    assert (new[:, ~MESH["tmask"][0]] == 0).all()


def test_a_level_ocean_at_rest_stays_level():
    flat = np.zeros(MESH["tmask"].shape[1:])
    t = np.broadcast_to(np.linspace(20, 2, 5)[:, None, None], MESH["tmask"].shape)
    rho, rest = vallis(t, 0 * t + 35, MESH["gdept"][:, None, None]), 0 * t
    np.testing.assert_allclose(sea_level(rest, rest, rho, flat, MESH, True), 0, atol=1e-9)


def test_conjugate_gradients_solve_what_elimination_solves_in_a_batch_at_once():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((12, 12))
    matrix, right = root @ root.T + np.eye(12), rng.standard_normal((5, 3, 4))
    right[2] = 0  # solved before it begins
    x = conjugate_gradients(
        lambda x: (x.reshape(5, 12) @ matrix).reshape(5, 3, 4),
        right,
        matrix.diagonal().reshape(3, 4),
        (right**2).sum((1, 2))[:, None, None],
    )
    expected = np.linalg.solve(matrix, right.reshape(5, 12).T).T.reshape(5, 3, 4)
    np.testing.assert_allclose(x, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (np.array([[[1.0, 1.0], [1.0, 1.0]], [[1.0, -1.0], [0.0, 0.0]]]), "residual of 1.0e.00, not 1e-10"),
        (np.full((1, 2, 2), np.nan), "after 0 steps with a residual of nan"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_what_conjugate_gradients_cannot_solve_is_said_with_its_residual(right, words, kind, monkeypatch):
    """x − x̄ has no mean, so the first right side has no answer, while the second is its own."""
    monkeypatch.setattr(barotropic, "MOST", 50)
    with pytest.warns(UserWarning, match=words):
        x = conjugate_gradients(lambda x: x - _mean(x), kind(right), kind(np.ones((2, 2))), _mean(4 * kind(right**2)))
    if len(right) > 1:
        np.testing.assert_allclose(x[1], right[1], atol=1e-9)


def _mean(x):
    return x.sum((-2, -1))[..., None, None] / 4


@pytest.mark.parametrize("function", ["nondivergent", "sea_level"])
def test_tensors_and_arrays_give_the_same(function):
    t, s, u, v = random_ocean(4)
    tensors = {k: torch.from_numpy(np.ascontiguousarray(x)) for k, x in MESH.items()}
    if function == "nondivergent":
        ours, theirs = nondivergent(u, v, MESH, True), nondivergent(*map(torch.from_numpy, (u, v)), tensors, True)
    else:
        rho, ssh = vallis(t, s, MESH["gdept"][:, None, None]), 0.1 * t[:, 0] * MESH["tmask"][0]
        ours = (sea_level(u, v, rho, ssh, MESH, True),)
        theirs = (sea_level(*map(torch.from_numpy, (u, v, rho, ssh)), tensors, True),)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
