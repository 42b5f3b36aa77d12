"""The score board knows a perfect generator, a copier and a deaf one from each other."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.skill.__main__ import main, run
from benchmarks.skill.methods import OURS, PHYSICAL, PIXEL, REFERENCE, Method, baselines
from benchmarks.skill.page import page
from benchmarks.skill.summary import summarise
from ldm_ocean.metrics import Regions, bootstrap
from ldm_ocean.metrics.config import EvaluateConfig
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.regions import Box, Level
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_states

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
def contestants(store, law):
    copies = torch.from_numpy(law.fields.stack(training_states(store), law.grid))

    def copy(parameters, season, members, seed):
        return copies[torch.randperm(len(copies), generator=torch.Generator().manual_seed(seed))[:members]]

    out = {"perfect": Method(law.draw, 3, {"fit": 1.5}), "copier": Method(copy), "slow": Method(law.draw, seeds=1)}
    return out | baselines(store, law.grid, law.fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="module")
def quick():
    """Fewer draws: the tests look at values, not at the ends of intervals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "DRAWS", 200)
        yield


@pytest.fixture(scope="module")
def results(store, contestants, folder, quick):
    return run(store, CONFIG, contestants, 2, folder)


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
    assert own["crps_relative"]["all"][0] > 0.9


def test_errors_are_relative_to_climatology_and_regression_wins_where_the_ocean_is_linear(results):
    scores = {
        m: {k: own[k]["all"][0] for k in ("crps_relative", "energy_relative")}
        for m, own in results["splits"]["test"].items()
    }
    assert set(scores[REFERENCE].values()) == {1.0}
    for kind in ("crps_relative", "energy_relative"):
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
        assert abs(own[REFERENCE]["slope"]) < 0.5


def test_a_slow_method_takes_part_on_its_seeds_only_and_without_the_sweeps(results, folder):
    assert (folder / "slow-0.json").exists() and not (folder / "slow-1.json").exists()
    assert "slow" not in results["response"]["wind"]["upper.toce"]
    slow, perfect = (results["splits"]["test"][m]["crps"]["toce"][0] for m in ("slow", "perfect"))
    assert slow == pytest.approx(perfect, rel=0.05) and slow != perfect


def test_the_simulation_stands_beside_the_methods_and_is_no_contestant(results):
    for split in ("test", "edge"):
        own = results["splits"][split]["simulation"]
        assert own["memorisation"]["all"][0] == pytest.approx(1, abs=0.1)
        assert own["crps_relative"]["all"][0] < 1 and own["census"]["all"][1] <= own["census"]["all"][0]
    assert "simulation" not in results["methods"]


def test_the_truth_has_a_range_of_every_scalar_and_a_perfect_generator_lies_in_it(results):
    for split in ("test", "edge"):
        for name, (mean, least, greatest) in results["truth"][split].items():
            assert least <= mean <= greatest
            value, *_ = results["splits"][split]["perfect"]["diagnostic_mean"][name]
            room = 0.5 * (greatest - least) + 1e-9
            assert least - room <= value <= greatest + room


def test_water_masses_of_a_perfect_generator_are_nearer_to_the_truth_than_those_of_climatology(results):
    distance = {m: own["census"]["all"][0] for m, own in results["splits"]["test"].items()}
    assert distance["perfect"] < 0.7 * distance[REFERENCE]


def test_a_second_run_draws_nothing_again_and_one_of_other_weights_does(store, contestants, folder, results):
    def refuse(*_):
        raise AssertionError("drawn again")

    idle = {m: replace(own, sample=refuse) for m, own in contestants.items()}
    assert run(store, CONFIG, idle, 2, folder)["splits"] == results["splits"]
    (folder / "perfect-1.json").unlink()
    with pytest.raises(AssertionError, match="drawn again"):
        run(store, CONFIG, idle, 2, folder)
    with pytest.raises(AssertionError, match="drawn again"):
        run(store, CONFIG, idle | {"perfect": replace(idle["perfect"], digest="other")}, 1, folder)


def test_the_page_has_every_method_and_is_made_from_the_json_alone(results):
    text = page(json.loads(json.dumps(results, allow_nan=False)))
    for method in ("simulation", *results["methods"]):
        assert f"| {method} |" in text
    assert not [line for line in text.splitlines() if line.startswith("| simulation") and "**" in line]
    for heading in ("## test", "## edge", "### CRPS, test", "## Parameter response", "toce [degC]"):
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


def test_the_command_goes_on_without_diffusers_and_says_so(road, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.delitem(sys.modules, "benchmarks.skill.unet", raising=False)
    (tmp_path / "c.yaml").write_text("{members: 3, verifying: 2}")
    places = ["--states", road["states.zarr"], "--model", road["diffusion"], "--config", tmp_path / "c.yaml"]
    main([*map(str, places), "--seeds", "1", "--out", str(tmp_path / "results.md"), "--run", str(tmp_path)])
    assert "diffusers is not installed" in capsys.readouterr().err
    found = json.loads((tmp_path / "results.json").read_text())
    assert {OURS, PHYSICAL} <= set(found["methods"]) and PIXEL not in found["methods"]
    assert f"| {OURS} |" in (tmp_path / "results.md").read_text()
    unstable = {m: own["diagnostic_mean"]["unstable_volume"][0] for m, own in found["splits"]["test"].items()}
    assert unstable[PHYSICAL] < unstable[OURS]
