"""Laws of relative vorticity on the C grid."""

import numpy as np

from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.cgrid import east, north
from ldm_ocean.physics.vorticity import relative_vorticity

from ..conftest import small_mesh


def plane(periodic: bool) -> dict:
    """The small ocean with square cells of 10 km."""
    mesh = OceanGrid.from_dataset(small_mesh(periodic=periodic)).mesh
    return mesh | {f"{e}{p}": np.full(mesh["e1t"].shape, 1e4) for e in ("e1", "e2") for p in "tuv"}


def test_solid_rotation_has_twice_its_rate_at_every_wet_corner():
    mesh, rate = plane(False), 3e-6
    y, x = 1e4 * np.indices(mesh["e1t"].shape)
    u, v = (np.broadcast_to(c, mesh["tmask"].shape) for c in (-rate * y, rate * x))
    zeta, wet = relative_vorticity(u * mesh["umask"], v * mesh["vmask"], mesh, False)
    assert wet.any() and not wet[:, -1].any() and not wet[:, :, -1].any()
    np.testing.assert_allclose(zeta[wet], 2 * rate, rtol=1e-12)


def test_a_flow_down_a_potential_has_none_on_a_sphere():
    mesh = OceanGrid.from_dataset(small_mesh()).mesh
    potential = np.random.default_rng(0).standard_normal(mesh["tmask"].shape)
    u, v = (east(potential, True) - potential) / mesh["e1u"], (north(potential) - potential) / mesh["e2v"]
    zeta, _ = relative_vorticity(u, v, mesh, True)
    size = abs(u).max() / mesh["e1u"].min()
    assert abs(zeta[:, :-1]).max() < 1e-12 * size < abs(relative_vorticity(u, 0 * v, mesh, True)[0]).max()
