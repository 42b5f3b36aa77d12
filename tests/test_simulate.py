"""The basin's laws, the design of the experiment, and the campaign that runs it."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ldm_ocean.simulate import basin
from ldm_ocean.simulate.design import LOGARITHMIC, RANGES, SWEEP, design
from ldm_ocean.simulate.run import MAX_DRIFT, deep_box_mean, drift

from .conftest import small_mesh

WIND_NODES = {-70: 0.0, -45: 0.2, -15: -0.1, 0: -0.02, 15: -0.1, 45: 0.1, 70: 0.0}
ROOT = Path(__file__).resolve().parent.parent


# --- forcing


@pytest.mark.parametrize(("latitude", "stress"), WIND_NODES.items())
def test_wind_stress_hits_its_nodes_and_is_flat_there(latitude, stress):
    assert basin.wind_stress(np.array([latitude]), 0.2)[0] == pytest.approx(stress, abs=1e-15)
    h = 1e-4
    for side in (-h, h):
        if abs(latitude + side) <= 70:
            slope = (basin.wind_stress(np.array([latitude + side]), 0.2)[0] - stress) / side
            assert abs(slope) < 1e-6


def test_wind_stress_is_continuous_and_stays_between_its_nodes():
    lat = np.linspace(-70, 70, 14001)
    tau = basin.wind_stress(lat, 0.2)
    assert np.abs(np.diff(tau)).max() < 1e-3
    nodes = np.array(list(WIND_NODES))
    for a, b in itertools.pairwise(nodes):
        part = tau[(lat >= a) & (lat <= b)]
        low, high = sorted((WIND_NODES[int(a)], WIND_NODES[int(b)]))
        assert part.min() >= low - 1e-12 and part.max() <= high + 1e-12


def test_the_wind_parameter_moves_the_southern_westerlies_only():
    lat = np.linspace(-70, 70, 281)
    changed = basin.wind_stress(lat, 0.3) != basin.wind_stress(lat, 0.1)
    assert changed[(lat > -69) & (lat < -16)].all()
    assert not changed[lat >= -15].any()
    assert basin.wind_stress(np.array([-45.0]), 0.3)[0] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("latitude", "cos_season", "target"),
    [(0, 1, 27), (0, -1, 27), (70, 0, 5), (70, 1, 8), (70, -1, 2), (-70, 0, -0.5), (-70, 1, -1), (-70, -1, 0)],
)
def test_temperature_targets_at_equator_and_poles_follow_the_season(latitude, cos_season, target):
    assert basin.temperature_target(np.array([latitude]), cos_season, 5.0)[0] == pytest.approx(target, abs=1e-12)


def test_the_northern_target_parameter_leaves_the_south_alone():
    lat = basin.latitudes()
    warm, cold = (basin.temperature_target(lat, 0.0, t) for t in (8.0, 2.0))
    assert (warm > cold)[lat > 0].all()
    assert np.array_equal(warm[lat <= 0], cold[lat <= 0])


def test_northern_summer_is_warmest_at_the_solstice_and_half_a_year_from_winter():
    days = np.arange(basin.YEAR_DAYS)
    assert days[basin.season(days).argmax()] == basin.SUMMER_SOLSTICE
    assert basin.season(basin.SUMMER_SOLSTICE) == 1
    assert basin.season(basin.SUMMER_SOLSTICE + basin.YEAR_DAYS // 2) == -1
    assert np.allclose(basin.season(days), basin.season(days + 7 * basin.YEAR_DAYS))


@pytest.mark.parametrize(("latitude", "target"), [(70, 35.1), (-70, 35.0), (0, 36.0)])
def test_salinity_targets_at_poles_and_equator(latitude, target):
    assert basin.salinity_target(np.array([latitude]))[0] == pytest.approx(target, abs=1e-12)


def test_the_salinity_target_dips_at_the_equator_between_two_maxima():
    lat = np.linspace(-70, 70, 1401)
    s = basin.salinity_target(lat)
    north, south = lat[s[lat > 0].argmax() + (lat <= 0).sum()], lat[s[lat < 0].argmax()]
    assert 8 < north < 25 and -25 < south < -8
    between = (lat > -8) & (lat < 8)
    assert abs(lat[between][s[between].argmin()]) < 0.1


def test_noise_forgets_by_one_e_fold_in_its_documented_time():
    noise = basin.Noise()
    memory = noise.memory()
    steps = np.array([noise.wind_days] * 3 + [noise.target_days] * 9) / basin.STEP_DAYS
    assert np.allclose(memory**steps, np.exp(-1))
    eta, rng = np.zeros((2000, len(memory))), np.random.default_rng(0)
    start = rng.standard_normal(eta.shape)
    eta = start
    for _ in range(int(noise.wind_days / basin.STEP_DAYS)):
        eta = memory * eta + np.sqrt(1 - memory**2) * rng.standard_normal(eta.shape)
    assert eta.std(0) == pytest.approx(1, abs=0.06)
    for n in range(3):
        assert np.corrcoef(start[:, n], eta[:, n])[0, 1] == pytest.approx(np.exp(-1), abs=0.06)


def test_noise_patterns_vanish_at_the_poleward_walls_and_fall_with_wavenumber():
    wind, target = basin.Noise().patterns()
    assert wind.shape == (3, basin.NY, basin.NX) and target.shape == (9, basin.NY, basin.NX)
    peaks = np.abs(wind).max((1, 2))
    assert np.allclose(peaks, basin.Noise().wind_pa / np.arange(1, 4), rtol=0.02)
    assert (np.abs(wind[:, [0, -1]]).max((1, 2)) < 0.15 * peaks[0]).all()


# --- geometry


def test_levels_sum_to_the_floor_grow_downwards_and_hold_their_points():
    dz, z = basin.thicknesses(), basin.depths()
    assert len(dz) == basin.NZ >= 18
    assert dz.sum() == pytest.approx(4000)
    assert dz[0] == pytest.approx(20) and (np.diff(dz) > 0).all()
    faces = np.concatenate([[0], np.cumsum(dz)])
    assert ((z > faces[:-1]) & (z < faces[1:])).all()
    assert np.allclose((z[1:] + z[:-1]) / 2, faces[1:-1])  # Veros puts its W points midway


def test_the_channel_is_open_all_round_and_walled_elsewhere():
    depth, lat = basin.bathymetry(), basin.latitudes()
    channel = (lat > -65) & (lat < -45)
    assert (depth[channel] > 2000).all()
    assert (depth[~channel, 0] == 0).all()
    assert (depth[~channel, 1:] > 0).all()
    assert depth.max() <= 4000


def test_the_sill_closes_every_row_of_the_channel_and_its_crest_is_at_2500_metres():
    lat = basin.latitudes()
    channel = basin.bathymetry()[(lat > -65) & (lat < -45)]
    assert channel.min() == pytest.approx(2500, abs=50)
    assert (channel.min(1) < 2800).all()
    assert (channel.max(1) > 3700).all()  # and beyond the sill it is deep


def test_no_wet_cell_is_isolated():
    wet = np.arange(basin.NZ)[:, None, None] < basin.wet_levels()
    padded = np.pad(wet, ((0, 0), (1, 1), (0, 0)))
    beside = np.roll(wet, 1, 2) | np.roll(wet, -1, 2) | padded[:, :-2] | padded[:, 2:]
    assert beside[wet].all()
    assert wet[0].sum() > 0.9 * wet[0].size


def test_the_ocean_at_rest_starts_near_its_targets_and_is_not_unstable_in_temperature():
    t, s = basin.initial_state()
    assert t.shape == s.shape == (basin.NZ, basin.NY, basin.NX)
    assert t.min() > 0 and t.max() < 30 and s.min() > 34 and s.max() < 38
    warm = basin.temperature_target(basin.latitudes(), 0.0, 5.0) > 2
    assert (np.diff(t, axis=0)[:, warm] < 0).all()


# --- design


def unit(parameters) -> np.ndarray:
    """Place of a setting in the unit cube."""
    place = []
    for name, (low, high) in RANGES.items():
        value = getattr(parameters, name)
        along = np.log(value / low) / np.log(high / low) if name in LOGARITHMIC else (value - low) / (high - low)
        place.append(along)
    return np.array(place)


def test_every_split_has_the_settings_asked_for():
    splits = [s.split for s in design()]
    wanted = {"centre": 1, "train": 24, "validation": 4, "test": 5, "edge": 3, "sweep": len(SWEEP) * len(RANGES)}
    assert {k: splits.count(k) for k in set(splits)} == wanted
    few = [s.split for s in design(train=2, validation=1, test=1, edge=0)]
    assert (few.count("train"), few.count("validation"), few.count("test"), few.count("edge")) == (2, 1, 1, 0)


def test_names_and_noise_seeds_are_unique():
    settings = design(seed=3)
    assert len({s.name for s in settings}) == len({s.seed for s in settings}) == len(settings)
    assert not {s.seed for s in settings} & {s.seed for s in design(seed=4)}


def test_edge_settings_sit_on_the_edge_one_parameter_each_and_all_others_inside():
    settings = design()
    edges = [unit(s.parameters) for s in settings if s.split == "edge"]
    on_edge = np.array([np.isclose(u, 0) | np.isclose(u, 1) for u in edges])
    assert (on_edge.sum(1) == 1).all()
    assert on_edge.any(0).all()
    for s in settings:
        if s.split in ("train", "validation", "test"):
            assert (unit(s.parameters) > 0.04).all() and (unit(s.parameters) < 0.96).all(), s.name


def test_the_interior_settings_spread_over_every_parameter():
    places = np.array([unit(s.parameters) for s in design() if s.split == "train"])
    for axis in places.T:
        assert np.histogram(axis, 4, (0, 1))[0].min() >= 3


def test_sweeps_vary_one_parameter_at_a_time_from_the_centre():
    settings = design()
    centre = next(s.parameters for s in settings if s.split == "centre")
    swept = dict.fromkeys(RANGES, 0)
    for s in settings:
        if s.split == "sweep":
            moved = [k for k in RANGES if getattr(s.parameters, k) != getattr(centre, k)]
            assert len(moved) == 1 and moved[0] in s.name
            swept[moved[0]] += 1
    assert set(swept.values()) == {len(SWEEP)}


def test_every_parent_comes_before_its_child_and_only_the_centre_starts_from_rest():
    seen = set()
    for s in design(seed=5):
        assert (s.parent is None) == (s.split == "centre")
        assert s.parent is None or s.parent in seen
        seen.add(s.name)


def test_every_setting_starts_from_its_nearest_neighbour_among_those_before_it():
    places = {}
    for s in design():
        here = unit(s.parameters)
        if s.parent:
            gaps = {k: np.linalg.norm(here - p) for k, p in places.items()}
            assert gaps[s.parent] == pytest.approx(min(gaps.values()))
        places[s.name] = here


def test_the_same_seed_gives_the_same_design_and_another_one_does_not():
    assert design(seed=1) == design(seed=1)
    assert [s.parameters for s in design(seed=1)] != [s.parameters for s in design(seed=2)]


# --- deep water


def deep_mesh():
    """The small ocean with its levels at depths that reach through the deep box."""
    return small_mesh().assign(gdept=("depth", np.array([10.0, 600.0, 1500.0, 2900.0, 3500.0])))


def test_the_deep_box_mean_of_a_constant_is_that_constant_whatever_stands_on_land():
    mesh = deep_mesh()
    field = np.where(mesh.tmask.values, 2.5, np.nan)
    assert deep_box_mean(field, mesh) == pytest.approx(2.5, rel=1e-12)


def test_the_deep_box_mean_sees_its_box_only_and_weights_by_volume():
    mesh = deep_mesh()
    inside = (mesh.gdept > 500) & (mesh.gdept < 3000) & (np.abs(mesh.nav_lat) < 30)
    inside = inside.transpose("depth", "y", "x").values
    assert deep_box_mean(np.where(inside, 1.0, 1e9), mesh) == pytest.approx(1.0)
    first = np.zeros(inside.shape)
    first[1] = 1.0
    volume = (mesh.e1t * mesh.e2t * mesh.e3t * mesh.tmask).transpose("depth", "y", "x").values * inside
    assert deep_box_mean(first, mesh) == pytest.approx(volume[1].sum() / volume.sum())


def test_drift_of_a_straight_line_is_its_slope_a_decade_over_the_last_years_only():
    line = [4 + 0.003 * year for year in range(30)]
    assert drift(line) == pytest.approx(0.03)
    assert drift([100.0] * 40 + line) == pytest.approx(0.03)
    assert abs(drift([4.0] * 20)) < 1e-12 < MAX_DRIFT
    assert drift([4.0, 4.0]) == np.inf  # two years say nothing


# --- the model itself


@pytest.mark.slow
def test_a_compiled_group_equals_three_ordinary_veros_steps(tmp_path, monkeypatch):
    pytest.importorskip("veros")
    monkeypatch.chdir(tmp_path)
    from jax.scipy.sparse import linalg

    from ldm_ocean.simulate.model import DinoBasin, Model, basin, jnp, tke, veros_routine

    # Veros stops its pressure solver at 1e-8, where the order of two additions decides about the next iteration.
    loose = linalg.bicgstab
    monkeypatch.setattr(linalg, "bicgstab", lambda *a, **k: loose(*a, **{**k, "atol": 1e-12}))

    params = basin.Parameters(rn_ztau0=0.27, rn_tstar_n=3.0, rn_avt0=8e-5)

    class Plain(DinoBasin):
        """Forced by itself, stepped by Veros."""

        @veros_routine
        def set_forcing(self, state):
            vs, s = state.variables, state.settings
            lat, top = vs.yt[None, :], vs.maskT[:, :, -1]
            cos_season = float(basin.season(float(vs.time) / basin.DAY))
            target = basin.temperature_target(np.asarray(lat), cos_season, params.rn_tstar_n)
            vs.surface_taux = jnp.asarray(basin.wind_stress(np.asarray(lat), params.rn_ztau0)) * vs.maskU[:, :, -1]
            sst, sss = vs.temp[:, :, -1, vs.tau], vs.salt[:, :, -1, vs.tau]
            salt = jnp.asarray(basin.salinity_target(np.asarray(lat))) - sss
            vs.forc_temp_surface = top * 40.0 / (1026.0 * 3991.868) * (jnp.asarray(target) - sst)
            vs.forc_salt_surface = top * 3.858e-3 / 1026.0 * salt
            vs.forc_tke_surface = top * (jnp.abs(vs.surface_taux) / s.rho_0) ** 1.5

    still = basin.Noise(wind_pa=0.0, target_degc=0.0)
    model = Model(still)
    state, _ = model.advance(model.initial(), params, seed=0, groups=1)

    original = tke.set_tke_diffusivities

    def with_background(veros_state):
        original(veros_state)
        with veros_state.variables.unlock():
            veros_state.variables.kappaH = jnp.maximum(veros_state.variables.kappaH, params.rn_avt0)

    monkeypatch.setattr(tke, "set_tke_diffusivities", with_background)
    plain = Plain()
    plain.setup()
    vs = plain.state.variables
    levels = (int(vs.taum1), int(vs.tau), int(vs.taup1))
    assert levels == (0, 1, 2)
    with vs.unlock():
        vs.itt = vs.itt + 1  # like the model: never Veros' special first step
    for _ in range(3):
        plain.step(plain.state)
    assert (int(vs.taum1), int(vs.tau), int(vs.taup1)) == levels
    moved = 0
    for name in ("temp", "salt", "u", "v", "w", "psi", "tke", "kappaH", "rho"):
        expected, found = np.asarray(getattr(vs, name)), np.asarray(state[name])
        scale = np.abs(expected).max()
        # Turbulence divides by the stratification, which multiplies what the solver leaves.
        allowed = 1e-9 if name in ("tke", "kappaH") else 1e-10
        assert np.abs(found - expected).max() <= allowed * scale, name
        moved += scale > 0
    assert moved == 9
    assert np.abs(np.asarray(vs.u)).max() > 1e-4


@pytest.mark.slow
def test_a_campaign_killed_midway_goes_on_and_never_touches_what_is_finished(tmp_path):
    pytest.importorskip("veros")
    out = tmp_path / "mini"
    command = [sys.executable, "-m", "ldm_ocean.cli", "simulate", str(out), "--train", "1", "--validation", "0"]
    command += ["--test", "0", "--edge", "0", "--years", "1", "1", "--workers", "1"]
    options = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}

    killed = subprocess.Popen(command, **options)
    first = out / "work" / "centre.npz"
    deadline = time.time() + 600
    while not first.exists() and killed.poll() is None and time.time() < deadline:
        time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert first.exists() and not (out / "train-00.zarr.zip").exists()

    done = subprocess.run(command, **options, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["finished"] == 2
    assert [r["name"] for r in manifest["settings"]] == ["centre", "train-00"]
    for r in manifest["settings"]:
        assert {"parameters", "seed", "years", "residual_drift_degC_per_decade", "bytes"} <= set(r)
        assert r["bytes"] == (out / f"{r['name']}.zarr.zip").stat().st_size
    assert manifest["settings"][1]["years"] == 1  # at most what was asked for
    assert not list(out.rglob("*.tmp*"))

    from ldm_ocean import open_states

    states = open_states(out, equilibrium=True)
    assert states.sizes["sample"] == 48 and np.isfinite(states.toce.values[:, states.tmask.values > 0]).all()
    (out / "centre.zarr.zip").unlink()  # as if killed between the last year and the file
    before = {p: p.stat().st_mtime_ns for p in out.glob("*.zarr.zip")}
    again = subprocess.run(command, **options, timeout=300)
    assert again.returncode == 0, again.stderr[-2000:]
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert open_states(out, ["centre"], equilibrium=True).equals(states.isel(sample=states.split.values == "centre"))
