"""Scores of a generator beside the baselines, from a store to metrics.json."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ldm_ocean.commands.cli import main
from ldm_ocean.commands.evaluate import score_table, validation_table
from ldm_ocean.errors import UserError
from ldm_ocean.io.prepare import prepare
from ldm_ocean.metrics import Baselines, Regions
from ldm_ocean.metrics.config import EvaluateConfig, load_config, quick
from ldm_ocean.metrics.context import score_context
from ldm_ocean.metrics.description import score_states
from ldm_ocean.metrics.generated import score_model, score_store, training_states
from ldm_ocean.metrics.regions import Box, Level
from ldm_ocean.metrics.scoring import evaluate, verifying_states
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.training.config import CONFIGS, Data

REGIONS = Regions(boxes={"upper": Box((0, 200), (-30, 30))}, levels={"t50": Level(50, (-30, 30))})
CONFIG = EvaluateConfig(members=6, verifying=3, regions=REGIONS)


@pytest.fixture(scope="module")
def store():
    """More settings than the shared ocean has, for there is something to learn."""
    from ..conftest import small_states

    return small_states(settings=14, each=8, seed=3)


@pytest.fixture(scope="module")
def baselines(store, grid, fields):
    return Baselines.fit(training_states(store), grid, fields)


def oracle(store, grid, fields, offset=0.0):
    """Draws from the setting's own states: as good as a generator can be, but for a known offset."""
    states = torch.from_numpy(fields.stack(store, grid))
    wet = fields.masks(grid)

    def generate(parameters, season, members, seed):
        own = np.flatnonzero(np.isclose(store.wind.values, parameters["wind"]) & store.equilibrium.values)
        chosen = own[[abs(store.season.values[own] - season).argmin()]]
        noise = 0.05 * torch.randn(members, *states.shape[1:], generator=torch.Generator().manual_seed(seed))
        return (states[chosen] + (noise + offset) * wet).float()

    return generate


@pytest.fixture(scope="module")
def result(store, grid, fields, baselines):
    def half(x):
        return (x + baselines.mean.float()) / 2

    return evaluate(oracle(store, grid, fields), store, grid, fields, baselines, CONFIG, half)


def test_verifying_states_are_settled_and_spread_over_the_seasons(store):
    chosen = verifying_states(store, "s02", 3)
    assert (store.setting.values[chosen] == "s02").all() and store.equilibrium.values[chosen].all()
    np.testing.assert_allclose(store.season.values[chosen], [1 / 8, 4 / 8, 7 / 8])
    assert len(verifying_states(store, "s02", 99)) == 7


def test_a_good_generator_beats_climatology_and_nearest_setting_and_its_twin_ties(
    result, store, grid, fields, baselines
):
    for split in ("test", "edge"):
        skill = result["splits"][split]["crps_skill"]
        assert all(0 < s < 1 for b in ("climatology", "nearest_setting") for s in skill[b].values())

    def twin(p, t, m, seed):
        return baselines.methods["climatology"].sample(np.array(list(p.values())), t, m, seed)

    tied = evaluate(twin, store, grid, fields, baselines, CONFIG)
    assert all(s == 0 for s in tied["splits"]["test"]["crps_skill"]["climatology"].values())


def test_interior_and_edge_settings_are_apart_and_training_is_not_scored(result, store):
    assert list(result["splits"]) == ["test", "edge"]
    assert {k: r["split"] for k, r in result["settings"].items()} == {"s12": "test", "s13": "edge"}


def test_the_reconstruction_is_scored_as_an_estimate_and_as_a_yardstick(result):
    scores = result["splits"]["test"]["scores"]
    share = scores["truth"]["reconstruction"]["toce"]["anomaly_share"]
    assert share == pytest.approx(0.25, abs=1e-6)  # half of the anomaly is lost
    assert "crps" not in scores["truth"]["reconstruction"]["toce"]
    assert scores["reconstruction"]["reconstruction"]["toce"]["rmse"] == 0
    assert scores["reconstruction"]["model"]["toce"]["crps"] > scores["truth"]["model"]["toce"]["crps"]


def test_a_known_offset_is_the_bias(store, grid, fields, baselines):
    found = evaluate(oracle(store, grid, fields, offset=0.5), store, grid, fields, baselines, CONFIG)
    scores = found["splits"]["edge"]["scores"]["truth"]["model"]
    assert scores["soce"]["bias"] == pytest.approx(0.5, abs=0.01)
    assert scores["toce"]["bias_by_level"][0] == pytest.approx(0.5, abs=0.03)
    assert found["splits"]["edge"]["diagnostics"]["model"]["t50"]["bias"] == pytest.approx(0.5, abs=0.05)


def test_pooled_scores_are_those_of_all_verifying_states_together(store, grid, fields, baselines):
    both = EvaluateConfig(splits=["train"], members=4, verifying=2, regions=REGIONS)
    found = evaluate(oracle(store, grid, fields), store, grid, fields, baselines, both)
    each = [r["scores"]["truth"]["model"]["toce"] for r in found["settings"].values()]
    pooled = found["splits"]["train"]["scores"]["truth"]["model"]["toce"]
    assert pooled["crps"] == pytest.approx(np.mean([e["crps"] for e in each]))
    assert pooled["rmse"] == pytest.approx(np.sqrt(np.mean([e["rmse"] ** 2 for e in each])))


def test_the_result_is_json_without_nan_and_levels_of_land_are_null(result, grid):
    text = json.dumps(result, allow_nan=False)
    levels = json.loads(text)["splits"]["test"]["scores"]["truth"]["model"]["toce"]["crps_by_level"]
    assert [x is None for x in levels] == (~grid["tmask"].any((1, 2))).tolist()
    assert len(levels) == len(result["depth"])


def test_no_verifying_states_is_an_error(store, grid, fields, baselines):
    with pytest.raises(UserError, match="no equilibrium states of splits tset"):
        evaluate(oracle(store, grid, fields), store, grid, fields, baselines, EvaluateConfig(splits=["tset"]))


def test_states_alone_are_described_by_setting(store, grid):
    found = score_states(store, CONFIG)
    assert len(found["settings"]) == 14 and found["settings"]["s00"]["samples"] == 7
    settled = store.isel(sample=np.flatnonzero((store.setting.values == "s00") & store.equilibrium.values))
    volume = xr.DataArray(grid.volume(), dims=("depth", "y", "x"))
    box = volume.where((settled.gdept > 0) & (settled.gdept < 200) & (abs(settled.nav_lat) < 30), 0)
    expected = settled.toce.weighted(box).mean().item()
    assert found["settings"]["s00"]["upper.toce"]["mean"] == pytest.approx(expected, rel=1e-5)


class Stub:
    """What ``evaluate`` needs of an ``OceanLDM``: a generator and a lossless codec."""

    def __init__(self, store, grid, fields):
        self.grid, self.fields, self.generate = grid, fields, oracle(store, grid, fields)
        self.knows_context = True

    def sample(self, parameters, members, seed, season, context=None, extrapolate=False):
        states = self.fields.unstack(self.generate(parameters, season, members, seed).numpy(), self.grid)
        mesh = self.grid.to_dataset()
        states = states.merge(mesh).assign_attrs(mesh.attrs)
        return states.rename(sample="member").assign_coords(season=season, **parameters)

    def encode(self, data):
        return torch.from_numpy(self.fields.stack(data, self.grid))

    def decode(self, latents):
        return self.fields.unstack(latents.numpy(), self.grid)


def test_a_model_and_its_stored_samples_score_alike(store, grid, fields, result):
    model = Stub(store, grid, fields)
    scored = score_model(model, store, CONFIG)["splits"]["test"]["scores"]["truth"]
    assert scored["model"] == result["splits"]["test"]["scores"]["truth"]["model"]
    assert scored["reconstruction"]["toce"]["rmse"] == 0
    truth = store.isel(sample=verifying_states(store, "s12", 1))
    parameters = {k: float(truth[k][0]) for k in ("wind", "mixing")}
    members = model.sample(parameters, 6, 0, float(truth.season[0]))
    config = EvaluateConfig(splits=["test"], members=6, verifying=1)
    by_setting = members.assign({k: members[k].expand_dims("setting") for k in fields.names})
    for form in (members, members.rename(member="sample"), by_setting):
        stored = score_store(form, store, config)
        assert list(stored["settings"]) == ["s12"]
        assert 0 < stored["splits"]["test"]["crps_skill"]["climatology"]["toce"] < 1


def test_stored_samples_of_other_parameters_or_of_none_are_refused(store, grid, fields):
    members = Stub(store, grid, fields).sample({"wind": float(store.wind[0]), "mixing": 1.0}, 3, 0, 0.5)
    with pytest.raises(UserError, match="no setting of the reference"):
        score_store(members, store, CONFIG)
    with pytest.raises(UserError, match="lack the parameter 'mixing'"):
        score_store(members.drop_vars("mixing"), store, CONFIG)


def test_stored_samples_of_another_grid_of_equal_shape_are_refused(store, grid, fields):
    other = Stub(store, replace(grid, mesh=grid.mesh | {"nav_lat": grid["nav_lat"] + 1}), fields)
    members = other.sample({k: float(store[k][0]) for k in ("wind", "mixing")}, 3, 0, 0.5)
    with pytest.raises(UserError, match=f"another grid .*{other.grid.digest[:12]}, not {grid.digest[:12]}"):
        score_store(members, store, CONFIG)


def test_no_two_settings_share_their_noise_and_the_same_call_draws_the_same(states, grid, fields):
    """The bootstrap over settings takes them as independent."""
    asked, baselines = [], Baselines.fit(training_states(states), grid, fields, ["climatology"])

    def generate(parameters, season, members, seed):
        asked.append((parameters["wind"], season, seed))
        return torch.zeros(members, len(fields), *grid.shape)

    def continue_from(parameters, season, context, members, seed):
        return generate(parameters, season, members, seed)

    for splits in (["test", "edge"], ["edge", "test"]):
        evaluate(generate, states, grid, fields, baselines, EvaluateConfig(splits=splits, members=2, verifying=2))
        score_context(continue_from, states, grid, fields, splits, 2, seed=0)
    half = len(asked) // 2
    assert set(asked[:half]) == set(asked[half:]) and len({seed for *_, seed in asked}) == half


def test_a_model_of_another_grid_is_refused(store, grid, fields):
    other = store.assign(tmask=store.tmask * 0 + 1)
    with pytest.raises(UserError, match="another grid"):
        score_model(Stub(store, grid, fields), other, CONFIG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("membres: 4", "unknown key 'membres' in .* .did you mean 'members'"),
        ("regions: {boxs: {}}", "unknown key 'regions.boxs' in .* .did you mean 'boxes'"),
        ("members: many", "c.yaml.*many"),
        ("members: 1", "members=1 is not accepted in .*c.yaml: choose 2"),
        ("regions: {levels: {t: {latitude: [0, 1]}}}", "regions.levels.t.depth is missing in .*c.yaml: give it"),
        ("regions: {gyres: {g: {latitude: [0]}}}", "c.yaml"),
        ("- a", "holds no table"),
        ("a: [", "not readable YAML"),
    ],
)
def test_a_bad_config_is_one_line_that_says_how_to_mend_it(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_config(tmp_path / "c.yaml")
    assert "\n" not in str(error.value)


def test_every_shipped_config_loads():
    for path in (CONFIGS / "evaluate").glob("*.yaml"):
        assert load_config(path).members > 1
    with pytest.raises(UserError, match="no evaluation config"):
        load_config("nowhere.yaml")


def test_the_command_writes_metrics_for_any_store(tmp_path, store, capsys):
    store.to_zarr(tmp_path / "s.zarr", consolidated=False)
    (tmp_path / "c.yaml").write_text("regions: {boxes: {top: {depth: [0, 60], latitude: [-20, 20]}}}")
    main(
        ["evaluate", str(tmp_path / "s.zarr"), "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "m.json")]
    )
    assert "top.toce" in json.loads((tmp_path / "m.json").read_text())["settings"]["s05"]
    assert "top.toce [degC]" in capsys.readouterr().out
    assert [p.name for p in tmp_path.glob("*.tmp")] == []
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(tmp_path / "s.zarr"), "--out", str(tmp_path / "no" / "m.json")])
    assert stop.value.code == 2


def test_a_restart_and_its_mesh_are_described_as_the_store_made_of_them_and_nothing_is_stored(tmp_path, capsys):
    nemo = Path(__file__).parents[1] / "fixtures" / "nemo_dino_4deg"
    restart, mesh = nemo / "DINO_00172800_restart.nc", nemo / "mesh_mask.nc"
    main(["evaluate", str(restart), "--mesh", str(mesh), "--out", str(tmp_path / "file.json")])
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]
    assert "heat_content [J]" in capsys.readouterr().out
    prepare([restart], tmp_path / "s.zarr", mesh=mesh)
    main(["evaluate", str(tmp_path / "s.zarr"), "--out", str(tmp_path / "store.json")])
    one, other = (json.loads((tmp_path / f"{k}.json").read_text()) for k in ("file", "store"))
    assert one["units"] == other["units"]
    assert one["settings"]["DINO_00172800_restart"] == other["settings"]["setting"]


def test_the_equation_of_state_of_a_restart_can_be_said(tmp_path):
    nemo = Path(__file__).parents[1] / "fixtures" / "nemo_dino_4deg"
    arguments = ["evaluate", str(nemo / "DINO_00172800_restart.nc"), "--mesh", str(nemo / "mesh_mask.nc")]
    found = {}
    for equation in ("seos", "vallis"):
        out = tmp_path / f"{equation}.json"
        main([*arguments, "--equation-of-state", equation, "--out", str(out)])
        (found[equation],) = json.loads(out.read_text())["settings"].values()
    differ = {k for k, v in found["seos"].items() if v != found["vallis"][k]}
    assert {"unstable_volume", "least_stable"} <= differ and not {"heat_content", "kinetic_energy"} & differ


def test_a_generator_that_returns_the_truth_is_nearer_to_it_than_the_unfinished_context(states, fields, grid):
    """Drawing finished states leaves their own variability; drawing the context back leaves its full distance."""

    def finished(parameters, season, context, members, seed):
        same = states.setting.values == context.setting.values[0]
        own = states.isel(sample=np.flatnonzero(same & states.equilibrium.values))
        return torch.from_numpy(fields.stack(own, grid))

    def unchanged(parameters, season, context, members, seed):
        return torch.from_numpy(fields.stack(context, grid)).repeat(members, 1, 1, 1, 1)

    score = score_context(unchanged, states, grid, fields, ["test"], 3, 0)["test"]
    assert all(by["member"] == pytest.approx(by["context"]) for by in score.values())
    score = score_context(finished, states, grid, fields, ["test"], 3, 0)["test"]
    assert all(by["mean"] < by["context"] for by in score.values())


def test_quick_scores_a_small_sample_and_says_what_it_leaves_out(store, grid, fields):
    asked = quick(EvaluateConfig(splits=["train", "test"], baselines=["climatology"]))
    found = score_model(Stub(store, grid, fields), store, asked)
    assert sorted(found["settings"]) == ["s00", "s01", "s12"] and "context" not in found
    assert found["left_out"] == ["starts from unfinished states", "9 of 12 settings"]
    said = "\n".join(score_table(found))
    assert "a sample of 8 members, 2 states of a setting at most; left out: starts from unfinished states" in said


def test_quick_asks_for_no_more_than_the_config_does():
    fewer = quick(EvaluateConfig(settings=1, members=3, verifying=1))
    assert (fewer.settings, fewer.members, fewer.verifying) == (1, 3, 1)


@pytest.mark.parametrize("levels", [slice(None), [0]])
@pytest.mark.parametrize("lacking", [[], ["soce", "uoce", "voce", "ssh"]])
def test_a_model_of_one_variable_or_of_one_level_is_scored(store, levels, lacking):
    small = store.drop_vars(lacking).isel(depth=levels)
    model = Stub(small, OceanGrid.from_dataset(small), Fields.from_dataset(small))
    found = score_model(
        model, small, EvaluateConfig(splits=["test"], members=3, verifying=1, baselines=["climatology"])
    )
    scores = found["splits"]["test"]["scores"]["truth"]["model"]["toce"]
    assert scores["crps"] > 0 and len(scores["crps_by_level"]) == small.sizes["depth"]
    assert set(found["context"]["test"]["toce"]) == {"context", "member", "mean"}


def test_weather_is_the_spread_of_a_setting_about_its_own_mean(store, grid, fields, result):
    own = np.flatnonzero((store.setting.values == "s12") & store.equilibrium.values)
    states = fields.stack(store.isel(sample=own), grid).astype("float64")
    volume = fields.volumes(grid).numpy()
    square = (volume * (states - states.mean(0)) ** 2).sum((0, -3, -2, -1)) / volume.sum((-3, -2, -1)) / len(own)
    found = result["splits"]["test"]["weather"]
    assert list(found.values()) == pytest.approx(np.sqrt(square).tolist(), rel=1e-6) and list(found) == fields.names


def test_a_trained_model_is_set_beside_the_baselines_on_its_validation_settings(road):
    said = validation_table(road["diffusion"], Data(states=str(road["states.zarr"])))
    assert "validation: fair CRPS" in said and "eof_gp" in said and "warning: validation: " in said
    assert "no table of the model beside the baselines" in validation_table(road["diffusion"], Data(states="nowhere"))
