"""Balance of flows built from a pressure, a density or a streamfunction."""

import numpy as np
import pytest
import torch

from ldm_ocean.physics.balance import (
    coriolis,
    geostrophic_residual,
    hydrostatic_pressure,
    surface_tendency,
    thermal_wind_residual,
    wall_normal_flow,
)
from ldm_ocean.physics.eos import RHO_0, G

DEPTH = np.array([10.0, 40.0, 120.0, 400.0])
NZ = len(DEPTH)
KINDS = ["numpy", "torch"]


def to(kind, *arrays):
    return arrays if kind == "numpy" else tuple(torch.from_numpy(np.array(a)) for a in arrays)


def basin(ny=12, nx=10, south=20.0, north=40.0, periodic=False):
    """An all-wet rectangle between two latitudes, closed but for a periodic x, 3000 by 2200 km."""
    shape = (NZ, ny, nx)
    mesh = {f"{m}mask": np.ones(shape) for m in "tuv"}
    mesh["vmask"][:, -1] = 0
    mesh["umask"][:, :, -1] = periodic
    for p in "tuv":
        mesh[f"e1{p}"], mesh[f"e2{p}"] = np.full((ny, nx), 3e6 / nx), np.full((ny, nx), 2.2e6 / ny)
        mesh[f"e3{p}"] = np.broadcast_to(np.array([20.0, 40.0, 120.0, 440.0])[:, None, None], shape) * 1.0
    half = (north - south) / ny / 2
    mesh["nav_lat"] = np.linspace(south + half, north - half, ny)[:, None] * np.ones(nx)
    mesh["gdept"] = DEPTH
    return mesh


def gyre(mesh, kind="numpy"):
    """p = a function of the cells' centres, smooth, periodic in x; and the analytic geostrophic flow at the faces."""
    ny, nx = mesh["nav_lat"].shape
    dx, dy = mesh["e1t"][0, 0], mesh["e2t"][0, 0]
    k, length = 2 * np.pi / (nx * dx), ny * dy
    j, i = np.meshgrid(np.arange(ny) + 0.5, np.arange(nx) + 0.5, indexing="ij")
    decay = np.exp(-DEPTH / 200)[:, None, None]
    half = (mesh["nav_lat"][1, 0] - mesh["nav_lat"][0, 0]) / 2
    p = 2e3 * np.cos(k * i * dx) * np.sin(np.pi * j * dy / length) * decay
    x_u, y_u, x_v, y_v = (i + 0.5) * dx, j * dy, i * dx, (j + 0.5) * dy
    f_u, f_v = coriolis(mesh["nav_lat"]), coriolis(mesh["nav_lat"] + half)
    u = -2e3 * np.cos(k * x_u) * np.cos(np.pi * y_u / length) * np.pi / length * decay / (RHO_0 * f_u)
    v = -2e3 * k * np.sin(k * x_v) * np.sin(np.pi * y_v / length) * decay / (RHO_0 * f_v)
    return u, v * mesh["vmask"], p


def as_torch(mesh):
    return {k: torch.from_numpy(np.array(v)) for k, v in mesh.items()}


def test_the_pressure_of_a_uniform_ocean_grows_linearly_and_a_raised_surface_presses_everywhere():
    ones = np.ones((2, NZ, 3, 4))
    for kind in KINDS:
        density, depth, ssh = to(kind, (RHO_0 + 2.0) * ones, DEPTH, 0.5 * ones[:, 0])
        p = np.asarray(hydrostatic_pressure(density, depth, ssh))
        np.testing.assert_allclose(p, G * (2 * DEPTH[:, None, None] + RHO_0 * 0.5) * ones)


def test_a_density_linear_in_depth_has_a_parabolic_pressure():
    density = RHO_0 + 0.01 * DEPTH[:, None, None] * np.ones((NZ, 2, 2))
    p = hydrostatic_pressure(density, DEPTH, np.zeros((2, 2)))
    below = p - p[:1]  # above the first level the density is taken as uniform
    np.testing.assert_allclose(below, G * 0.005 * (DEPTH**2 - DEPTH[0] ** 2)[:, None, None] * np.ones((NZ, 2, 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_uniform_flow_in_balance_with_a_tilted_pressure_has_no_residual(kind):
    mesh = basin(south=-30.0, north=-30.0 + 1e-9)  # so narrow that f is uniform
    f = float(coriolis(mesh["nav_lat"])[0, 0])
    j, i = np.indices(mesh["nav_lat"].shape)
    p = RHO_0 * f * (0.1 * i * mesh["e1t"] - 0.2 * j * mesh["e2t"]) * np.ones((2, NZ, 1, 1))
    u, v = 0.2 * mesh["umask"] + 0 * p, 0.1 * mesh["vmask"] + 0 * p
    u, v, p = to(kind, u, v, p)
    own = mesh if kind == "numpy" else as_torch(mesh)
    np.testing.assert_allclose(np.asarray(geostrophic_residual(u, v, p, own, False)), 0, atol=1e-9)
    np.testing.assert_allclose(np.asarray(geostrophic_residual(u, v, 0 * p, own, False)), 1)
    np.testing.assert_allclose(np.asarray(geostrophic_residual(u, v, -p, own, False)), 2)


@pytest.mark.parametrize("periodic", [False, True])
def test_a_geostrophic_gyre_is_in_balance_up_to_the_second_order_error_of_the_grid(periodic):
    residual = []
    for n in (16, 32):
        mesh = basin(n, n, periodic=periodic)
        u, v, p = gyre(mesh)
        residual.append(float(geostrophic_residual(u * mesh["umask"], v, p, mesh, periodic)))
    assert residual[0] < 0.05 and residual[0] / residual[1] == pytest.approx(4, rel=0.15)


def test_rolling_a_periodic_ocean_changes_no_residual():
    mesh = basin(periodic=True)
    mesh["vmask"][1:, 4:6, 3] = 0
    u, v, p = gyre(mesh)
    moved = {k: np.roll(m, 3, -1) if m.ndim > 1 else m for k, m in mesh.items()}
    before = geostrophic_residual(u, v, 1.1 * p, mesh, True)
    after = geostrophic_residual(*(np.roll(x, 3, -1) for x in (u, v, 1.1 * p)), moved, True)
    assert before == pytest.approx(after, rel=1e-12) and before > 0.05


def test_neither_the_equator_nor_faces_beside_land_count():
    mesh = basin(ny=21, south=-21.0, north=21.0)
    u, v, p = gyre(basin(ny=21, south=20.0, north=40.0))
    near = abs(mesh["nav_lat"]) < 3
    one = geostrophic_residual(u, v, p, mesh, False)
    assert one == pytest.approx(geostrophic_residual(u * ~near, v * ~near, p, mesh, False), rel=1e-12)
    assert one != pytest.approx(geostrophic_residual(u * ~near, v * ~near, p, mesh, False, equator=1.0), rel=1e-3)
    mesh["tmask"][:, 17, 4] = mesh["umask"][:, 17, 3:5] = mesh["vmask"][:, 16:18, 4] = 0  # an island
    island = geostrophic_residual(u * mesh["umask"], v * mesh["vmask"], p, mesh, False)
    p = np.where(mesh["tmask"] > 0, p, 1e9)
    assert geostrophic_residual(u * mesh["umask"], v * mesh["vmask"], p, mesh, False) == pytest.approx(island)


@pytest.mark.parametrize("kind", KINDS)
def test_the_shear_of_a_flow_in_balance_is_the_thermal_wind_whatever_the_barotropic_flow(kind):
    mesh = basin(south=30.0, north=30.0 + 1e-9)
    f = float(coriolis(mesh["nav_lat"])[0, 0])
    i = np.indices(mesh["nav_lat"].shape)[1]
    density = RHO_0 + 1e-7 * i * mesh["e1t"] * np.ones((NZ, 1, 1))  # ∂ρ/∂x uniform: v falls linearly with depth
    v = (0.3 + G * 1e-7 * DEPTH[:, None, None] / (RHO_0 * f)) * mesh["vmask"]
    u = 0.7 * mesh["umask"]
    v, u, density = to(kind, v, u, density)
    own = mesh if kind == "numpy" else as_torch(mesh)
    assert float(thermal_wind_residual(u, v, density, own, False)) == pytest.approx(0, abs=1e-9)
    assert float(thermal_wind_residual(u, v, 0 * density, own, False)) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("periodic", [False, True])
def test_a_flow_with_a_streamfunction_moves_no_surface(kind, periodic):
    mesh = basin(periodic=periodic)
    psi = np.random.default_rng(0).uniform(-1, 1, (2, *mesh["nav_lat"].shape)) * 1e6  # at the north-eastern corners
    psi[:, -1] = 0
    if not periodic:
        psi[..., -1] = 0
    south = np.concatenate([0 * psi[:, :1], psi[:, :-1]], 1)
    west = np.roll(psi, 1, -1)
    u = ((south - psi) / mesh["e2u"])[:, None] / (NZ * mesh["e3u"])
    v = ((psi - west) / mesh["e1v"])[:, None] / (NZ * mesh["e3v"])
    u, v = to(kind, u, v)
    own = mesh if kind == "numpy" else as_torch(mesh)
    np.testing.assert_allclose(np.asarray(surface_tendency(u, v, own, periodic)), 0, atol=1e-17)


def test_water_piles_up_where_a_current_ends():
    mesh = basin()
    u = np.zeros_like(mesh["umask"])
    u[0, 5, 3] = 0.1
    tendency = surface_tendency(u, 0 * u, mesh, False)
    speed = 0.1 * 20 / mesh["e1t"][0, 0]
    assert tendency[5, 4] == pytest.approx(speed) and tendency[5, 3] == pytest.approx(-speed)
    assert np.count_nonzero(tendency) == 2


def test_a_closed_basin_gains_no_water_whatever_the_flow():
    mesh = basin()
    rng = np.random.default_rng(0)
    u, v = (rng.standard_normal((3, *mesh["umask"].shape)) * mesh[f"{p}mask"] for p in "uv")
    gain = (surface_tendency(u, v, mesh, False) * mesh["e1t"] * mesh["e2t"]).sum((-2, -1))
    np.testing.assert_allclose(gain, 0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_flow_through_a_wall_is_found_and_flow_in_the_water_is_not(kind):
    mask = np.ones((NZ, 4, 5))
    mask[2, 1, 3] = 0
    u = np.full((2, NZ, 4, 5), 3.0)
    u[:, 2, 1, 3] = 0, -0.25
    u, mask = to(kind, u, mask)
    np.testing.assert_array_equal(np.asarray(wall_normal_flow(u, mask)), [0, 0.25])


def test_the_rotation_is_that_of_the_earth_positive_in_the_north_and_negative_in_the_south():
    for kind in KINDS:
        (latitude,) = to(kind, np.array([-90.0, -30.0, 0.0, 30.0, 45.0]))
        found = np.asarray(coriolis(latitude))
        np.testing.assert_allclose(found, 1.458423e-4 * np.array([-1, -0.5, 0, 0.5, 0.5**0.5]), rtol=1e-6)


@pytest.mark.parametrize(("south", "clockwise"), [(40.0, True), (-41.0, False)])
def test_water_goes_round_a_high_clockwise_in_the_north_and_the_other_way_in_the_south(south, clockwise):
    """By hand, without f: the flow is west of the high to the north in the north, and east of it to the south."""
    mesh = basin(24, 24, south=south, north=south + 1.0)
    j, i = np.indices(mesh["nav_lat"].shape)
    distance = ((j - 11.5) * mesh["e2t"]) ** 2 + ((i - 11.5) * mesh["e1t"]) ** 2
    p = 2e3 * np.exp(-distance / 7e5**2) * np.ones((NZ, 1, 1))
    speed = 1.0 / (RHO_0 * 9.5e-5 * 7e5**2 / 2)  # |f| at 40.5°
    u = np.where(clockwise, 1, -1) * (j - 11.5) * mesh["e2t"] * p * speed
    v = np.where(clockwise, -1, 1) * (i - 11.5) * mesh["e1t"] * p * speed
    u, v = u * mesh["umask"], v * mesh["vmask"]
    assert geostrophic_residual(u, v, p, mesh, False) < 0.25
    assert geostrophic_residual(-u, -v, p, mesh, False) > 1.75
