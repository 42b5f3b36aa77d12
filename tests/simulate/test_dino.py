"""The basin's laws: forcing, targets, noise, bathymetry, the ocean at rest."""

import itertools

import numpy as np
import pytest

from ldm_ocean.simulate import dino
from ldm_ocean.simulate.dino import Dino, Noise
from ldm_ocean.simulate.ocean import DAY

BASIN = Dino()

WIND_NODES = {-70: 0.0, -45: 0.2, -15: -0.1, 0: -0.02, 15: -0.1, 45: 0.1, 70: 0.0}


@pytest.mark.parametrize(("latitude", "stress"), WIND_NODES.items())
def test_wind_stress_hits_its_nodes_and_is_flat_there(latitude, stress):
    assert dino.wind_stress(np.array([latitude]), 0.2)[0] == pytest.approx(stress, abs=1e-15)
    h = 1e-4
    for side in (-h, h):
        if abs(latitude + side) <= 70:
            slope = (dino.wind_stress(np.array([latitude + side]), 0.2)[0] - stress) / side
            assert abs(slope) < 1e-6


def test_wind_stress_is_continuous_and_stays_between_its_nodes():
    lat = np.linspace(-70, 70, 14001)
    tau = dino.wind_stress(lat, 0.2)
    assert np.abs(np.diff(tau)).max() < 1e-3
    nodes = np.array(list(WIND_NODES))
    for a, b in itertools.pairwise(nodes):
        part = tau[(lat >= a) & (lat <= b)]
        low, high = sorted((WIND_NODES[int(a)], WIND_NODES[int(b)]))
        assert part.min() >= low - 1e-12 and part.max() <= high + 1e-12


def test_the_wind_parameter_moves_the_southern_westerlies_only():
    lat = np.linspace(-70, 70, 281)
    changed = dino.wind_stress(lat, 0.3) != dino.wind_stress(lat, 0.1)
    assert changed[(lat > -69) & (lat < -16)].all()
    assert not changed[lat >= -15].any()
    assert dino.wind_stress(np.array([-45.0]), 0.3)[0] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("latitude", "cos_season", "target"),
    [(0, 1, 27), (0, -1, 27), (70, 0, 5), (70, 1, 8), (70, -1, 2), (-70, 0, -0.5), (-70, 1, -1), (-70, -1, 0)],
)
def test_temperature_targets_at_equator_and_poles_follow_the_season(latitude, cos_season, target):
    assert dino.temperature_target(np.array([latitude]), cos_season, 5.0)[0] == pytest.approx(target, abs=1e-12)


def test_the_northern_target_parameter_leaves_the_south_alone():
    lat = BASIN.latitudes()
    warm, cold = (dino.temperature_target(lat, 0.0, t) for t in (8.0, 2.0))
    assert (warm > cold)[lat > 0].all()
    assert np.array_equal(warm[lat <= 0], cold[lat <= 0])


def test_northern_summer_is_warmest_at_the_solstice_and_half_a_year_from_winter():
    days = np.arange(dino.YEAR_DAYS)
    assert days[dino.season(days).argmax()] == dino.SUMMER_SOLSTICE
    assert dino.season(dino.SUMMER_SOLSTICE) == 1
    assert dino.season(dino.SUMMER_SOLSTICE + dino.YEAR_DAYS // 2) == -1
    assert np.allclose(dino.season(days), dino.season(days + 7 * dino.YEAR_DAYS))


@pytest.mark.parametrize(("latitude", "target"), [(70, 35.1), (-70, 35.0), (0, 36.0)])
def test_salinity_targets_at_poles_and_equator(latitude, target):
    assert dino.salinity_target(np.array([latitude]))[0] == pytest.approx(target, abs=1e-12)


def test_the_salinity_target_dips_at_the_equator_between_two_maxima():
    lat = np.linspace(-70, 70, 1401)
    s = dino.salinity_target(lat)
    north, south = lat[s[lat > 0].argmax() + (lat <= 0).sum()], lat[s[lat < 0].argmax()]
    assert 8 < north < 25 and -25 < south < -8
    between = (lat > -8) & (lat < 8)
    assert abs(lat[between][s[between].argmin()]) < 0.1


def test_noise_forgets_by_one_e_fold_in_its_documented_time():
    noise = Noise()
    memory = BASIN.memory()
    steps = np.array([noise.wind_days] * 3 + [noise.target_days] * 9) / (BASIN.step / DAY)
    assert np.allclose(memory**steps, np.exp(-1))
    eta, rng = np.zeros((2000, len(memory))), np.random.default_rng(0)
    start = rng.standard_normal(eta.shape)
    eta = start
    for _ in range(int(noise.wind_days / (BASIN.step / DAY))):
        eta = memory * eta + np.sqrt(1 - memory**2) * rng.standard_normal(eta.shape)
    assert eta.std(0) == pytest.approx(1, abs=0.06)
    for n in range(3):
        assert np.corrcoef(start[:, n], eta[:, n])[0, 1] == pytest.approx(np.exp(-1), abs=0.06)


def test_noise_patterns_vanish_at_the_poleward_walls_and_fall_with_wavenumber():
    wind, target = BASIN.patterns().values()
    assert wind.shape == (3, *BASIN.shape[1:]) and target.shape == (9, *BASIN.shape[1:])
    peaks = np.abs(wind).max((1, 2))
    assert np.allclose(peaks, Noise().wind_pa / np.arange(1, 4), rtol=0.02)
    assert (np.abs(wind[:, [0, -1]]).max((1, 2)) < 0.15 * peaks[0]).all()


# --- geometry


def test_levels_sum_to_the_floor_grow_downwards_and_hold_their_points():
    dz, z = BASIN.thicknesses(), BASIN.depths()
    assert len(dz) == BASIN.shape[0] >= 18
    assert dz.sum() == pytest.approx(4000)
    assert dz[0] == pytest.approx(20) and (np.diff(dz) > 0).all()
    faces = np.concatenate([[0], np.cumsum(dz)])
    assert ((z > faces[:-1]) & (z < faces[1:])).all()
    assert np.allclose((z[1:] + z[:-1]) / 2, faces[1:-1])  # Veros puts its W points midway


def test_the_channel_is_open_all_round_and_walled_elsewhere():
    depth, lat = BASIN.bathymetry(), BASIN.latitudes()
    channel = (lat > -65) & (lat < -45)
    assert (depth[channel] > 2000).all()
    assert (depth[~channel, 0] == 0).all()
    assert (depth[~channel, 1:] > 0).all()
    assert depth.max() <= 4000


def test_the_sill_closes_every_row_of_the_channel_and_its_crest_is_at_2500_metres():
    lat = BASIN.latitudes()
    channel = BASIN.bathymetry()[(lat > -65) & (lat < -45)]
    assert channel.min() == pytest.approx(2500, abs=50)
    assert (channel.min(1) < 2800).all()
    assert (channel.max(1) > 3700).all()  # and beyond the sill it is deep


def test_no_wet_cell_is_isolated():
    wet = np.arange(BASIN.shape[0])[:, None, None] < BASIN.wet_levels()
    padded = np.pad(wet, ((0, 0), (1, 1), (0, 0)))
    beside = np.roll(wet, 1, 2) | np.roll(wet, -1, 2) | padded[:, :-2] | padded[:, 2:]
    assert beside[wet].all()
    assert wet[0].sum() > 0.9 * wet[0].size


def test_the_ocean_at_rest_starts_near_its_targets_and_is_not_unstable_in_temperature():
    t, s = BASIN.initial_state()
    assert t.shape == s.shape == BASIN.shape
    assert t.min() > 0 and t.max() < 30 and s.min() > 34 and s.max() < 38
    warm = dino.temperature_target(BASIN.latitudes(), 0.0, 5.0) > 2
    assert (np.diff(t, axis=0)[:, warm] < 0).all()
