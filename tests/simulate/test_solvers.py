"""Veros' equations solved directly: what is found solves them, and is what Veros' own solvers find."""

import numpy as np
import pytest

pytest.importorskip("veros")

from ldm_ocean.simulate.channel import Channel
from ldm_ocean.simulate.pool import the_model

from .tiny import Tiny

LEVELS = 5


def test_columns_of_any_depth_are_solved_and_land_is_zero():
    the_model(Tiny())  # Veros is set up by the model's module
    from ldm_ocean.simulate.solvers import columns

    rng = np.random.default_rng(0)
    a, c, d = rng.standard_normal((3, 2, 3, LEVELS))
    b = 3 + np.abs(rng.standard_normal((2, 3, LEVELS)))
    first = np.array([[0, 1, 4], [LEVELS, 2, 0]])[..., None]  # the lowest wet level of each; one column is dry
    water, bottom = np.arange(LEVELS) >= first, np.arange(LEVELS) == first
    found = np.asarray(columns(a, b, c, d, water, bottom))
    for i, j in np.ndindex(2, 3):
        wet, k = slice(first[i, j, 0], None), LEVELS - first[i, j, 0]
        matrix = np.diag(b[i, j, wet]) + np.diag(a[i, j, wet][1:], -1) + np.diag(c[i, j, wet][: k - 1], 1)
        np.testing.assert_allclose(found[i, j, wet], np.linalg.solve(matrix, d[i, j, wet]), rtol=1e-12)
        assert (found[i, j, : first[i, j, 0]] == 0).all()


@pytest.mark.parametrize("ocean", [Tiny(), Channel()], ids=lambda o: o.name)
def test_the_plane_is_solved_as_by_iteration_to_its_tolerance_with_land_and_all_round(ocean):
    model = the_model(ocean)
    from veros.core.external.solvers import get_linear_solver

    from ldm_ocean.simulate.solvers import solved_directly

    state = model.setup.state
    iterative = get_linear_solver(state)
    wet = np.asarray(state.variables.maskT[..., -1])
    forcing = wet * np.random.default_rng(1).standard_normal(wet.shape) / (state.settings.grav * ocean.step**2)
    expected = np.asarray(iterative.solve(state, forcing, 0 * forcing))
    with solved_directly(state, model.plane):
        found = np.asarray(get_linear_solver(state).solve(state, forcing, 0 * forcing))
    assert get_linear_solver(state) is iterative
    inner = wet[2:-2, 2:-2] > 0
    found, expected = found[2:-2, 2:-2], expected[2:-2, 2:-2]
    assert np.abs(found[inner]).max() > 0 and (found[~inner] == 0).all()
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
