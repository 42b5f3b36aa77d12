"""Veros' own acc: its grid of settings, its geometry, the compiled model, the statistics of what it records."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from ldm_ocean import open_states
from ldm_ocean.io.packed import read_packed
from ldm_ocean.simulate import campaign
from ldm_ocean.simulate.acc import Acc
from ldm_ocean.simulate.design import Setting, design
from ldm_ocean.simulate.ocean import Schedule
from ldm_ocean.simulate.statistics import Statistics

from .tiny import Tiny

ACC = Acc()
SHORT = Schedule(look=3, least=3, most=3, rest=(3, 3), snapshots=5, spacing=3, every=2)


# --- design and schedule


def test_the_settings_are_ten_by_ten_evenly_spread_in_their_logarithms_and_start_from_rest():
    settings = design(ACC)
    assert len({s.name for s in settings}) == len({s.seed for s in settings}) == 100
    for s in settings:
        i, j = (int(part[1]) for part in s.name.split("-"))
        assert s.parameters["c_k"] == pytest.approx(0.1 * 2 ** (-3 + 6 * i / 9), rel=1e-12)
        assert s.parameters["c_eps"] == pytest.approx(0.7 * 2 ** (-3 + 6 * j / 9), rel=1e-12)
        assert s.parent is None and s.split == "train"


def test_a_hundred_years_of_thirty_day_intervals_end_with_the_last_of_241_states():
    schedule, steps = ACC.schedule, round(86400 / ACC.step)
    end = schedule.rest[1] + schedule.snapshots * schedule.spacing
    assert end * steps == 73020 and schedule.rest == (schedule.least, schedule.most)
    assert (schedule.snapshots - 1) * schedule.spacing / 365 == pytest.approx(20, abs=0.5)
    assert schedule.least % schedule.look == 0
    assert (schedule.snapshots - 1) % schedule.every == 0  # the last state is among those kept


# --- statistics


def some_states(count: int = 9) -> np.ndarray:
    """(state, depth, y, x), a column of land, and a level without water."""
    states = 10 + np.random.default_rng(0).standard_normal((count, 4, 3, 5))
    states[:, :, 1, 2], states[:, -1] = np.nan, np.nan
    return states


def test_statistics_of_states_one_by_one_are_those_of_all_at_once(tmp_path):
    states, statistics = some_states(), Statistics()
    for number, state in enumerate(states):
        statistics = Statistics(**statistics.arrays())  # as if broken off and gone on with
        statistics.add(state, 30 * number)
    assert len(statistics) == len(states)
    wet = np.isfinite(states[0])
    assert np.allclose(statistics.mean[wet], states.mean(0)[wet], rtol=1e-13)
    assert np.allclose(np.sqrt(statistics.squares / len(states))[wet], states.std(0)[wet], rtol=1e-12)
    assert np.isnan(statistics.mean[~wet]).all()
    levels = [np.nanmean(states[:, k], (1, 2)) for k in range(3)]
    assert np.allclose(np.array(statistics.profiles)[:, :3].T, levels, rtol=1e-13)
    statistics.write(tmp_path / "s.nc", np.arange(4.0), {"setting": "one"})
    with xr.open_dataset(tmp_path / "s.nc", decode_times=False) as found:
        assert np.abs(found.toce_mean - states.mean(0)).max() < 1e-4
        assert np.abs(found.toce_std / states.std(0) - 1).max() < 2e-3
        assert np.abs(found.toce_profile[:, :3].T - levels).max() < 1e-4
        assert np.isnan(found.toce_mean.values[~wet]).all() and np.isnan(found.toce_profile[:, 3]).all()
        assert found.time.values.tolist() == [30 * n for n in range(9)] and found.setting == "one"


def test_an_interface_is_inverted_where_temperature_falls_upwards_by_more_than_a_millikelvin():
    t = np.full((3, 1, 2), np.nan)
    t[:, 0, 0] = 5.0, 5.0009, 5.002  # surface first: a small fall, and one that counts
    t[:2, 0, 1] = 5.0, 4.0
    statistics = Statistics()
    statistics.add(t, 0)
    assert statistics.inverted == [pytest.approx(1 / 3)]


# --- the model


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("veros")
    from ldm_ocean.simulate.pool import the_model

    return the_model(ACC)


def test_its_grid_is_that_of_the_setup_as_shipped(model):
    vs = model.setup.state.variables
    inner = slice(2, -2)
    assert np.allclose(vs.yt[inner], ACC.latitudes()) and np.allclose(vs.xt[inner], ACC.longitudes())
    assert np.allclose(vs.dzt[::-1], ACC.thicknesses()) and np.allclose(-vs.zt[::-1], ACC.depths())
    wet = (np.asarray(vs.kbot[inner, inner]).T > 0) * len(ACC.thicknesses())
    assert np.array_equal(wet, ACC.wet_levels())
    settings = model.setup.state.settings
    assert {"c_k": settings.c_k, "c_eps": settings.c_eps} == ACC.parameters() == ACC.closure(ACC.parameters())
    assert settings.dt_tracer == ACC.step and not model.setup.state.diagnostics
    assert set(model.wet) == {"toce", "soce", "uoce", "voce", "psi"}


def test_the_streamfunction_is_given_where_the_cell_is_wet_at_whose_corner_it_is(model):
    random = np.random.default_rng(0).standard_normal(model.rest["psi"].shape)
    plain = model.snapshot(model.initial() | {"psi": random})["psi"]
    assert np.array_equal(np.isfinite(plain), ACC.wet_levels() > 0)
    assert plain[3, 4] == random[2 + 4, 2 + 3, 1]


@pytest.mark.slow
def test_a_compiled_group_equals_three_ordinary_steps_of_the_setup_as_shipped(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from veros.setups.acc.acc import ACCSetup

    from ldm_ocean.simulate.setup import veros_routine

    class Plain(ACCSetup):
        @veros_routine
        def set_diagnostics(self, state):
            state.diagnostics.clear()

    params = {"c_k": 0.4, "c_eps": 0.35}
    plain = Plain(override=params)
    plain.setup()
    vs = plain.state.variables
    assert (int(vs.taum1), int(vs.tau), int(vs.taup1), int(vs.itt)) == (0, 1, 2, 0)
    for _ in range(6):  # its very first step is like any other
        plain.step(plain.state)
    state, _ = model.advance(model.initial(), params, seed=0, groups=2)
    for name in ("temp", "u", "v", "w", "psi", "dpsi", "dpsin", "tke", "eke", "kappaH", "rho"):
        expected, found = np.asarray(getattr(vs, name)), np.asarray(state[name])
        scale = np.abs(expected).max()
        assert scale > 0 and np.abs(found - expected).max() <= 1e-8 * scale, (
            name
        )  # the streamfunction is solved for to a tolerance
    assert np.abs(np.asarray(vs.u)).max() > 1e-4
    fields, dy = model.snapshot(state), 2 * plain.state.settings.degtom
    transport = np.nansum(fields["uoce"] * ACC.thicknesses()[:, None, None], 0)[1:] * dy
    across = -np.diff(fields["psi"], axis=0)
    assert np.allclose(transport[np.isfinite(across)], across[np.isfinite(across)], rtol=1e-9, atol=1e-3)
    assert np.abs(np.asarray(state["salt"])[..., 1] - np.asarray(vs.salt)[..., 1]).max() < 1e-10


# --- the campaign


def test_statistics_and_states_are_the_same_bytes_however_often_a_setting_was_broken_off(tmp_path, monkeypatch):
    pytest.importorskip("veros")
    ocean = Tiny(schedule=dataclasses.replace(SHORT, look=1, spacing=1))
    setting = Setting("alone", "train", ocean.parameters(), 3, None)
    files = {}
    for chunk in (1, 10):
        monkeypatch.setattr(campaign, "CHUNK", chunk)
        out = tmp_path / str(chunk)
        out.mkdir()
        while not campaign.go_on(campaign.Work(ocean, setting, out, None)).over:
            pass
        files[chunk] = (out / "alone.statistics.nc").read_bytes()
    assert files[1] == files[10]
    mesh = model_mesh(ocean)
    one, other = (read_packed(tmp_path / f"{chunk}/alone.zarr.zip", mesh) for chunk in (1, 10))
    assert one.equals(other) and one.sizes["sample"] == 3


def model_mesh(ocean) -> xr.Dataset:
    from ldm_ocean.simulate.pool import the_model

    return the_model(ocean).mesh()


@pytest.mark.slow
def test_a_short_campaign_leaves_states_whole_and_statistics_of_all(tmp_path):
    pytest.importorskip("veros")
    settings = [s for s in design(ACC) if s.name in ("i0-j9", "i9-j0")]
    manifest = campaign.simulate(dataclasses.replace(ACC, schedule=SHORT), tmp_path, settings, workers=1)
    assert manifest["finished"] == 2
    states = open_states(tmp_path)
    assert states.day.values.tolist() == 2 * [6, 12, 18]
    records = json.loads((tmp_path / "manifest.json").read_text())["settings"]
    for record in records:
        own = states.isel(sample=states.setting.values == record["name"])
        with xr.open_dataset(tmp_path / f"{record['name']}.statistics.nc", decode_times=False) as found:
            assert found.sizes["time"] == 5 and found.c_k == own.c_k.values[0]
            last, bottom = own.toce.isel(sample=-1).values, found.toce_profile.values[-1]
            assert np.allclose(np.nanmean(last, (1, 2)), bottom, atol=5e-3)
    assert np.nanstd(states.toce.values[2] - states.toce.values[5]) > 1e-4  # the closure tells
