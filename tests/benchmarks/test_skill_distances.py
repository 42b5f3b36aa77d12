"""Distances between oceans as distributions, and the surface heat flux, on states made by hand."""

import numpy as np
import pytest
import torch

from benchmarks.skill.distances import Distances
from benchmarks.skill.forcing import SurfaceHeat, shares_of_year
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.simulate import dino

from ..conftest import small_states


@pytest.fixture(scope="module")
def ocean():
    """Wide enough for a box without land."""
    states = small_states(shape=(3, 9, 14))
    grid, fields = OceanGrid.from_dataset(states), Fields.from_dataset(states)
    return grid, fields, torch.from_numpy(fields.stack(states, grid))


def waves(fields, shape, amplitude, columns):
    """States (24, V, D, Y, X) of one wave of so many columns, with random phase and unit noise of a hundredth."""
    rng = np.random.default_rng(3)
    phase = rng.uniform(0, 2 * np.pi, (24, len(fields), shape[0], shape[1], 1))
    wave = amplitude * np.cos(2 * np.pi * np.arange(shape[2]) / columns + phase)
    return torch.from_numpy(wave + 0.01 * rng.standard_normal(wave.shape))


def test_a_wave_of_a_tenth_of_the_amplitude_lacks_two_decades_of_power_in_its_own_band(ocean):
    grid, fields, training = ocean
    distances = Distances(grid, fields, training)
    long, faint = waves(fields, grid.shape, 1.0, 10), waves(fields, grid.shape, 0.1, 10)
    both = long + waves(fields, grid.shape, 1.0, 2.5)
    error = distances.power([long[:12], long[12:]], both)
    for name in ("toce", "voce", "ssh"):
        assert abs(error[f"{name}, long"]) < 0.3 and error[f"{name}, short"] < -1
    assert all(e == 0 for e in distances.power([both], both).values())
    noiseless = distances.power([faint], 10 * faint)
    assert all(e == pytest.approx(-2) for e in noiseless.values())


def test_a_grid_too_narrow_for_a_box_has_no_spectrum(grid, fields, tensor):
    assert Distances(grid, fields, tensor).power([tensor], tensor) == {}


def test_an_ocean_warmer_everywhere_is_as_far_away_as_it_is_warmer(ocean):
    grid, fields, training = ocean
    distances = Distances(grid, fields, training)
    warmer = training.clone()
    warmer[:, 0] += 0.5
    expected = 2 / np.pi * 0.5 / distances.scales[0]
    assert distances.census([training[:1], training[:1]], warmer[[0, 0]]) == pytest.approx(expected, rel=0.02)
    assert distances.census([training[[0, 0, 0]]], training[:1]) == pytest.approx(0, abs=1e-9)
    assert np.isnan(Distances(grid, Fields(fields[1:]), training[:, 1:]).census([training[:1, 1:]], training[:1, 1:]))


def test_a_surface_at_its_target_takes_up_nothing_and_one_a_degree_too_warm_loses_the_restoring(ocean):
    grid, fields, training = ocean
    season = np.array([0.1, 0.3, 0.7])
    heat = SurfaceHeat(grid, fields)
    cosine = dino.season(season * dino.YEAR_DAYS)[:, None, None]
    ensembles = torch.zeros(3, 2, *training.shape[1:], dtype=torch.float64)
    ensembles[:, :, 0, 0] = torch.from_numpy(dino.temperature_target(grid["nav_lat"], cosine, 6.0))[:, None]
    assert heat(ensembles, season, {"rn_tstar_n": 6.0}) == pytest.approx(0, abs=1e-9)
    assert heat(ensembles + 1, season, {"rn_tstar_n": 6.0}) == pytest.approx(-dino.GAMMA_T)
    assert heat(ensembles, season, {"rn_tstar_n": 7.0}) > 0


def test_the_share_of_a_season_reaches_halfway_to_its_neighbours_over_the_turn_of_the_year():
    np.testing.assert_allclose(shares_of_year(np.array([0.0, 0.25, 0.5, 0.75])), 0.25)
    np.testing.assert_allclose(shares_of_year(np.array([0.1, 0.2, 0.9])), [0.15, 0.4, 0.45])
    np.testing.assert_allclose(shares_of_year(np.array([0.4])), [1])
