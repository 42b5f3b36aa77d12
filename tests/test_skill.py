"""The score board knows a perfect generator, a copier and a deaf one from each other."""

import json
import sys

import numpy as np
import pytest
import torch

from benchmarks.skill.__main__ import jsonable, main, run
from benchmarks.skill.methods import OURS, PIXEL, REFERENCE, Method, baselines
from benchmarks.skill.page import page
from benchmarks.skill.summary import summarise
from ldm_ocean.data.fields import Fields
from ldm_ocean.evaluate import training_states
from ldm_ocean.grid import OceanGrid
from ldm_ocean.metrics import Regions
from ldm_ocean.metrics.diagnostics import Box, Level
from ldm_ocean.metrics.scoring import EvaluateConfig

from .conftest import small_states

NOISE, EACH = 0.5, 8
CONFIG = EvaluateConfig(
    members=12,
    verifying=4,
    regions=Regions(boxes={"upper": Box((0, 200), (-30, 30))}, levels={"t50": Level(50, (-30, 30))}),
)
SWEEP = [(0.2, 3e-5), (0.12, 3e-5), (0.28, 3e-5), (0.2, 1.2e-5), (0.2, 8e-5)]


class Law:
    """An ocean whose mean state is linear in its parameters and in a harmonic, about which noise is drawn."""

    def __init__(self, template):
        self.grid, self.fields = OceanGrid.from_dataset(template), Fields.from_dataset(template)
        self.masks = self.fields.masks(self.grid).numpy()
        self.patterns = np.random.default_rng(5).standard_normal((3, *self.masks.shape)) + 0.5

    def draw(self, parameters, season, members, seed):
        wind, mixing = parameters
        mean = np.tensordot([10 * wind, np.log(mixing / 3e-5), np.cos(2 * np.pi * season)], self.patterns, 1)
        noise = np.random.default_rng([7, seed]).standard_normal((members, *mean.shape))
        return torch.from_numpy(((mean + NOISE * noise) * self.masks).astype("float32"))


@pytest.fixture(scope="module")
def law():
    return Law(small_states())


@pytest.fixture(scope="module")
def store(law):
    """20 training settings, 1 for validation, 3 inside, 2 at the edge, and the sweeps."""
    rng = np.random.default_rng(0)
    free = np.stack([rng.uniform(0.1, 0.3, 26), 10 ** rng.uniform(-5, -4, 26)], 1)
    parameters = np.concatenate([free, SWEEP])
    split = ["train"] * 20 + ["validation"] + ["test"] * 3 + ["edge"] * 2 + ["centre"] + ["sweep"] * 4
    data = small_states(settings=len(split), each=EACH)
    rows = [(p, i / EACH) for p in parameters for i in range(EACH)]
    states = torch.cat([law.draw(p, t, 1, seed=10_000 + n) for n, (p, t) in enumerate(rows)])
    wind, mixing = np.repeat(parameters, EACH, 0).T
    data = data.assign(law.fields.unstack(states.numpy(), law.grid).data_vars)
    labels = {"wind": wind, "mixing": mixing, "split": np.repeat(split, EACH)}
    return data.assign_coords({k: ("sample", v) for k, v in labels.items()})


@pytest.fixture(scope="module")
def results(store, law):
    copies = torch.from_numpy(law.fields.stack(training_states(store), law.grid))

    def copy(parameters, season, members, seed):
        return copies[torch.randperm(len(copies), generator=torch.Generator().manual_seed(seed))[:members]]

    contestants = {"perfect": Method(law.draw, 3, 1.5), "copier": Method(copy, None, None)}
    return run(store, CONFIG, contestants | baselines(store, law.grid, law.fields), seeds=2)


def test_a_perfect_generator_is_reliable_diverse_and_no_copier(results):
    for split in ("test", "edge"):
        own = results["splits"][split]["perfect"]
        assert own["memorisation"]["all"][0] == pytest.approx(1, abs=0.02)
        assert own["diversity"]["all"][0] == pytest.approx(1, abs=0.05)
        for name in ("toce", "soce", "ssh"):
            assert own["spread_skill"][name][0] == pytest.approx(1, abs=0.1)
            assert own["coverage"][name][0] == pytest.approx(0.8, abs=0.05)
            assert own["crps"][name][0] == pytest.approx(NOISE / np.sqrt(np.pi), rel=0.1)


def test_a_copier_is_at_no_distance_from_the_training_states_and_no_better_than_climatology(results):
    own = results["splits"]["test"]["copier"]
    assert own["memorisation"]["all"][0] == pytest.approx(0, abs=1e-3)
    assert own["relative_crps"]["all"][0] > 0.9


def test_errors_are_relative_to_climatology_and_regression_wins_where_the_ocean_is_linear(results):
    scores = {
        m: {k: own[k]["all"][0] for k in ("relative_crps", "relative_energy")}
        for m, own in results["splits"]["test"].items()
    }
    assert set(scores[REFERENCE].values()) == {1.0}
    for kind in ("relative_crps", "relative_energy"):
        assert scores["perfect"][kind] < scores["eof_regression"][kind] < scores["nearest_setting"][kind]
        assert scores["perfect"][kind] < scores["eof_gp"][kind] < 0.9


def test_intervals_hold_their_value_and_edge_settings_are_apart(results):
    assert {k: len(v) for k, v in results["settings"].items()} == {"test": 3, "edge": 2}
    value, low, high = results["splits"]["test"]["perfect"]["crps"]["toce"]
    assert low <= value <= high


def test_the_perfect_generator_responds_as_the_ocean_does_and_climatology_is_deaf(results):
    for parameter in ("wind", "mixing"):
        own = results["response"][parameter]["upper.toce"]
        assert own["signal"] > 0.5
        assert own["perfect"]["slope"] == pytest.approx(1, abs=0.15) and own["perfect"]["r2"] > 0.95
        assert abs(own[REFERENCE]["slope"]) < 0.3


def test_the_page_has_every_method_and_is_made_from_the_json_alone(results):
    text = page(json.loads(json.dumps(results, allow_nan=False)))
    for method in ("perfect", "copier", *(m for m in results["methods"])):
        assert f"| {method} |" in text
    for heading in ("## test", "## edge", "### CRPS, test", "### wind", "### mixing", "toce [degC]"):
        assert heading in text
    assert "nan" not in text and "None" not in text and "diffusers" in text


def test_pooling_takes_means_of_squares_for_errors_and_means_for_the_rest():
    def record(x):
        kinds = ("rmse", "spread", "skill", "crps", "energy_of_state")
        return {k: {"t": x * (2 if k == "spread" else 1)} for k in kinds}

    seeds = [{"a": record(3.0), "b": record(4.0)}]
    own = summarise({REFERENCE: seeds}, {"test": ["a", "b"]})["test"][REFERENCE]
    assert own["rmse"]["t"][0] == pytest.approx(np.sqrt(12.5)) and own["crps"]["t"][0] == 3.5
    assert own["spread_skill"]["t"] == pytest.approx((2, 2, 2))


def test_what_is_not_a_number_becomes_null():
    assert jsonable({"a": (np.nan, 1.0), "b": [np.float64("inf"), "x", None, 2]}) == {
        "a": [None, 1.0],
        "b": [None, "x", None, 2],
    }


def test_the_command_goes_on_without_diffusers_and_says_so(road, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "benchmarks.skill.unet", raising=False)
    (tmp_path / "c.yaml").write_text("{members: 3, verifying: 2}")
    places = ["--states", road["states.zarr"], "--model", road["diffusion"], "--config", tmp_path / "c.yaml"]
    main([*map(str, places), "--seeds", "1", "--out", str(tmp_path / "results.md")])
    assert "diffusers is not installed" in capsys.readouterr().err
    found = json.loads((tmp_path / "results.json").read_text())
    assert OURS in found["methods"] and PIXEL not in found["methods"]
    assert f"| {OURS} |" in (tmp_path / "results.md").read_text()
