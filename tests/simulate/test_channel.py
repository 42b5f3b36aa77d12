"""The channel's laws: geometry, forcing, sponge, and what it watches."""

import numpy as np
import pytest

from ldm_ocean.physics.balance import coriolis
from ldm_ocean.simulate import channel
from ldm_ocean.simulate.channel import Channel, eddy_energy
from ldm_ocean.simulate.ocean import DAY

from ..conftest import small_mesh

CHANNEL = Channel()


def test_the_latitudes_are_those_where_the_earth_turns_as_the_plane_does():
    f = channel.F_SOUTH + channel.BETA * CHANNEL.along()
    assert coriolis(CHANNEL.latitudes()) == pytest.approx(f, rel=1e-12)
    assert CHANNEL.coriolis(CHANNEL.along(), 0.0) == pytest.approx(f)


def test_the_channel_is_open_all_round_but_for_headland_and_island_and_its_floor_cuts_many_levels():
    depth, wet = CHANNEL.bathymetry(), CHANNEL.wet_levels()
    dry = depth == 0
    assert dry.sum() < 0.05 * dry.size and dry[:12].any() and dry[28:36].any()
    assert not dry[13:28].any() and not dry[37:].any()
    assert len(np.unique(wet)) >= 7
    middle = depth[13:45]
    assert (middle.min(1) < 1600).all() and (middle.max(1) > 1900).all()  # the ridge crosses every row


def test_every_wet_column_has_two_wet_neighbours_at_least():
    wet = CHANNEL.wet_levels() > 0
    padded = np.pad(wet, ((1, 1), (0, 0)))
    count = np.roll(wet, 1, 1).astype(int) + np.roll(wet, -1, 1) + padded[:-2] + padded[2:]
    assert count[wet].min() >= 2


def test_the_forcing_hits_its_targets_at_both_walls_and_its_wind_vanishes_there():
    y, surface = np.array([[0.0, channel.LY / 2, channel.LY]]), np.full((1, 3), 5.0)
    forced = CHANNEL.forcing(y, surface, surface + 30, CHANNEL.parameters(rn_ztau0=0.2, rn_tstar_n=16), {}, 0.0)
    assert forced.stress[0] == pytest.approx([0, 0.2, 0], abs=1e-15)
    rate = channel.DZ_TOP / (channel.RESTORING_DAYS * DAY)
    assert forced.heat[0] / rate + 5 == pytest.approx([2, 9, 16])
    assert forced.salt[0] / rate + 35 == pytest.approx([34.2, 34.7, 35.2])


def test_the_sponge_rests_beyond_its_width_and_restores_the_profile_at_the_wall():
    y = np.array([[channel.LY - channel.SPONGE - 1.0, channel.LY]])
    water = np.zeros((1, 2, channel.NZ))
    heat, salt = CHANNEL.sources(y, water, water, CHANNEL.parameters())
    assert not heat[:, 0].any() and not salt[:, 0].any()
    profile = heat[0, 1, ::-1] * channel.SPONGE_DAYS * DAY
    assert profile == pytest.approx(2 + 12 * np.exp(-CHANNEL.depths() / channel.SCALE_DEPTH))


def test_eddy_energy_is_that_of_what_departs_from_the_zonal_mean():
    from ldm_ocean.ocean.grid import OceanGrid

    mesh = small_mesh()
    for name in ("tmask", "umask", "vmask"):
        mesh[name][:] = 1
    grid = OceanGrid.from_dataset(mesh)
    x = np.arange(grid.shape[2])
    wave = np.sin(2 * np.pi * x / grid.shape[2]) * np.ones(grid.shape)
    assert eddy_energy({"uoce": 3 + 0 * wave, "voce": 0 * wave}, grid) == pytest.approx(0)
    assert eddy_energy({"uoce": 3 + 0.2 * wave, "voce": 0.4 * wave}, grid) == pytest.approx((0.04 + 0.16) / 4)


def test_it_counts_as_settled_when_neither_scalar_drifts_beyond_its_own_variability():
    noise = np.random.default_rng(0).normal(size=108)
    flat = {"temperature": 4 + 0.01 * noise, "eddy": 0.02 + 0.001 * noise}
    assert CHANNEL.settled(flat)
    drifting = flat | {"temperature": flat["temperature"] + 0.002 * np.arange(108)}
    assert not CHANNEL.settled(drifting)
    left = CHANNEL.drift(drifting)
    assert left["temperature_drift_degC_a_year"] == pytest.approx(0.07, abs=0.01)
    assert left["temperature_variability_degC"] == pytest.approx(0.01, abs=0.003)
