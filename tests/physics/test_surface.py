"""Cells stretch with the surface and hold exactly the water it brings."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.surface import moved

from ..conftest import small_mesh


def mesh() -> dict:
    return {k: np.array(v.values) for k, v in small_mesh().data_vars.items()}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_column_gains_the_water_of_the_risen_surface_at_every_point(seed):
    still = mesh()
    ssh = np.random.default_rng(seed).uniform(-2, 2, (3, *still["e1t"].shape)) * still["tmask"][0]
    new = moved(still, ssh, True)
    area = {p: still[f"e1{p}"] * still[f"e2{p}"] for p in "tuv"}
    lifted = area["t"] * ssh
    expected = {"t": lifted, "u": (lifted + np.roll(lifted, -1, -1)) / 2, "v": (lifted + np.roll(lifted, -1, -2)) / 2}
    for p in "tuv":
        gain = area[p] * ((new[f"e3{p}"] - still[f"e3{p}"]) * still[f"{p}mask"]).sum(-3)
        np.testing.assert_allclose(gain, expected[p] * still[f"{p}mask"][0], atol=1e-3)  # of some 1e12 m³


def test_levels_keep_their_share_of_the_column_and_land_its_thickness():
    still = mesh()
    new = moved(still, np.full(still["e1t"].shape, 1.5), False)
    for p in "tuv":
        wet = still[f"{p}mask"][0] > 0
        ratio = new[f"e3{p}"] / still[f"e3{p}"]
        np.testing.assert_allclose(ratio, ratio[:1] * np.ones_like(ratio), rtol=1e-14)
        assert (ratio[0][~wet] == 1).all() and (ratio[0][wet] > 1).all()


@pytest.mark.parametrize("kind", [np.array, torch.from_numpy])
def test_a_surface_at_rest_moves_nothing(kind):
    still = {k: kind(v) for k, v in mesh().items()}
    new = moved(still, kind(np.zeros((2, 9, 7))), True)
    assert all((np.asarray(new[f"e3{p}"]) == np.asarray(still[f"e3{p}"])).all() for p in "tuv")
