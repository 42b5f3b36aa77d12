"""The campaign that runs the design: the drift it watches, the compiled model, killing and going on."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ldm_ocean.errors import UserError
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.simulate.channel import Channel
from ldm_ocean.simulate.design import design
from ldm_ocean.simulate.dino import MAX_DRIFT, Dino, Noise, deep_box_mean, drift
from ldm_ocean.simulate.manifest import Manifest

from ..conftest import small_mesh

ROOT = Path(__file__).resolve().parents[2]
NO_MESH = xr.Dataset()  # no file is read


def deep_mesh():
    """The small ocean with its levels at depths that reach through the deep box."""
    return small_mesh().assign(gdept=("depth", np.array([10.0, 600.0, 1500.0, 2900.0, 3500.0])))


def test_the_deep_box_mean_of_a_constant_is_that_constant_whatever_stands_on_land():
    mesh = deep_mesh()
    field = np.where(mesh.tmask.values, 2.5, np.nan)
    assert deep_box_mean(field, OceanGrid.from_dataset(mesh)) == pytest.approx(2.5, rel=1e-12)


def test_the_deep_box_mean_sees_its_box_only_and_weights_by_volume():
    mesh = deep_mesh()
    inside = (mesh.gdept > 500) & (mesh.gdept < 3000) & (np.abs(mesh.nav_lat) < 30)
    inside = inside.transpose("depth", "y", "x").values
    assert deep_box_mean(np.where(inside, 1.0, 1e9), OceanGrid.from_dataset(mesh)) == pytest.approx(1.0)
    first = np.zeros(inside.shape)
    first[1] = 1.0
    volume = (mesh.e1t * mesh.e2t * mesh.e3t * mesh.tmask).transpose("depth", "y", "x").values * inside
    assert deep_box_mean(first, OceanGrid.from_dataset(mesh)) == pytest.approx(volume[1].sum() / volume.sum())


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

    from ldm_ocean.simulate import dino
    from ldm_ocean.simulate.model import Model, jnp, tke
    from ldm_ocean.simulate.ocean import DAY
    from ldm_ocean.simulate.setup import IdealisedSetup, veros_routine

    # Veros stops its pressure solver at 1e-8, where the order of two additions decides about the next iteration.
    loose = linalg.bicgstab
    monkeypatch.setattr(linalg, "bicgstab", lambda *a, **k: loose(*a, **{**k, "atol": 1e-12}))

    still = Dino(noise=Noise(wind_pa=0.0, target_degc=0.0))
    params = {"rn_ztau0": 0.27, "rn_tstar_n": 3.0, "rn_avt0": 8e-5}

    class Plain(IdealisedSetup):
        """Forced by itself, stepped by Veros."""

        @veros_routine
        def set_forcing(self, state):
            vs, s = state.variables, state.settings
            lat, top = vs.yt[None, :], vs.maskT[:, :, -1]
            cos_season = float(dino.season(float(vs.time) / DAY))
            target = dino.temperature_target(np.asarray(lat), cos_season, params["rn_tstar_n"])
            vs.surface_taux = jnp.asarray(dino.wind_stress(np.asarray(lat), params["rn_ztau0"])) * vs.maskU[:, :, -1]
            sst, sss = vs.temp[:, :, -1, vs.tau], vs.salt[:, :, -1, vs.tau]
            salt = jnp.asarray(dino.salinity_target(np.asarray(lat))) - sss
            vs.forc_temp_surface = top * 40.0 / (1026.0 * 3991.868) * (jnp.asarray(target) - sst)
            vs.forc_salt_surface = top * 3.858e-3 / 1026.0 * salt
            vs.forc_tke_surface = top * (jnp.abs(vs.surface_taux) / s.rho_0) ** 1.5

    model = Model(still)
    state, _ = model.advance(model.initial(), params, seed=0, groups=1)

    original = tke.set_tke_diffusivities

    def with_background(veros_state):
        original(veros_state)
        with veros_state.variables.unlock():
            veros_state.variables.kappaH = jnp.maximum(veros_state.variables.kappaH, params["rn_avt0"])

    monkeypatch.setattr(tke, "set_tke_diffusivities", with_background)
    plain = Plain(still)
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
def test_a_campaign_killed_at_any_time_goes_on_and_ends_as_the_unbroken_one(tmp_path):
    pytest.importorskip("veros")
    from ldm_ocean import open_states

    whole, out = tmp_path / "whole", tmp_path / "mini"
    asked = ["--train", "1", "--validation", "0", "--test", "0", "--edge", "0", "--years", "1", "1", "--workers", "1"]
    options = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}

    def command(folder: Path) -> list[str]:
        return [sys.executable, "-m", "ldm_ocean.commands.cli", "simulate", str(folder), *asked]

    def run(folder: Path) -> None:
        done = subprocess.run(command(folder), **options, timeout=900)
        assert done.returncode == 0, done.stderr[-2000:]

    def kill(ready) -> None:
        killed = subprocess.Popen(command(out), **options)
        deadline = time.time() + 600
        while not ready() and killed.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        os.kill(killed.pid, signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
        killed.communicate()

    began = time.time()
    run(whole)
    lasts, draw = time.time() - began, random.Random(0)
    for _ in range(2):
        end = time.time() + draw.uniform(0.2, 0.8) * lasts
        kill(lambda end=end: time.time() > end)
    kill((out / "work" / "centre.npz").exists)
    assert not (out / "train-00.zarr.zip").exists()
    run(out)

    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["finished"] == 2
    assert [r["name"] for r in manifest["settings"]] == ["centre", "train-00"]
    for r in manifest["settings"]:
        assert {"parameters", "seed", "years", "residual_drift_degC_per_decade", "bytes"} <= set(r)
        assert r["bytes"] == (out / f"{r['name']}.zarr.zip").stat().st_size
    assert manifest["settings"][1]["years"] == 1  # at most what was asked for
    assert not list(out.rglob("*.tmp*"))
    assert open_states(out).equals(open_states(whole))
    states = open_states(out, equilibrium=True)
    assert states.sizes["sample"] == 48 and np.isfinite(states.toce.values[:, states.tmask.values > 0]).all()

    (out / "centre.zarr.zip").unlink()  # as if killed between the last year and the file
    before = {p: p.stat().st_mtime_ns for p in out.glob("*.zarr.zip")}
    run(out)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert open_states(out, ["centre"], equilibrium=True).equals(states.isel(sample=states.split.values == "centre"))


def test_asking_for_some_settings_keeps_what_the_manifest_knows_of_the_others(tmp_path):
    shutil.copy(ROOT / "data/dino-coarse/mesh.nc", tmp_path)
    everything, one = design(Dino()), [s for s in design(Dino()) if s.name == "centre"]
    before = Manifest(Dino(), tmp_path, everything, NO_MESH).write(centre={"core_seconds_a_year": 1.5})
    after = Manifest(Dino(), tmp_path, one, NO_MESH).write()
    assert after == before and len(after["settings"]) == len(everything)
    assert json.loads((tmp_path / "manifest.json").read_text()) == json.loads(json.dumps(after))


def test_settings_of_another_ocean_are_not_mixed_into_a_folder(tmp_path):
    shutil.copy(ROOT / "data/dino-coarse/mesh.nc", tmp_path)
    Manifest(Dino(), tmp_path, design(Dino()), NO_MESH).write()
    before = (tmp_path / "manifest.json").read_bytes()
    for other in (Channel(), Dino(degrees=2.0)):
        with pytest.raises(UserError, match="choose another folder"):
            Manifest(other, tmp_path, design(other), NO_MESH)
    assert (tmp_path / "manifest.json").read_bytes() == before
