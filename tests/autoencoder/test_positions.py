"""Where latent cells lie."""

import numpy as np
import pytest

from ldm_ocean.autoencoder.codec import Codec
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_mesh


def turned(by: float, west: float) -> OceanGrid:
    """The small ocean turned eastwards ``by`` degrees, longitudes counted from ``west`` on."""
    mesh = small_mesh()
    return OceanGrid.from_dataset(mesh.assign(nav_lon=(mesh.nav_lon + by - west) % 360 + west))


@pytest.mark.parametrize("west", [-180, 0])
@pytest.mark.parametrize("by", [-12, 90, 167, 178])
def test_an_ocean_turned_across_the_dateline_has_its_latent_cells_turned_with_it(fields, grid, by, west):
    before, after = (Codec(fields, g, [(1, 2, 2), (2, 2, 1)], 1).token_position for g in (grid, turned(by, west)))
    away = (after[:, 1] - before[:, 1] - by + 180) % 360 - 180
    assert np.abs(away).max() < 0.2  # an angle's mean is not quite that of a number
    assert (after[:, [0, 2]] == before[:, [0, 2]]).all()


@pytest.mark.parametrize("west", [-180, 0])
def test_a_periodic_ocean_across_the_dateline_keeps_its_period(grid, west):
    assert grid.period == 35.0
    assert turned(170, west).period == pytest.approx(35.0)
