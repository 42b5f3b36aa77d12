"""Weather is told from other weather, and from itself by nobody; doubt about the mean is none."""

import numpy as np
import pytest
import torch

from benchmarks.skill import weather
from benchmarks.skill.board import Case
from benchmarks.skill.rivals import StateGaussian
from benchmarks.skill.weather import WeatherBoard, auc
from ldm_ocean.io.states import parameters_of
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.truth import Truth
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_states

EACH, SETTINGS, TESTED = 16, 16, 4


class Law:
    """Mean states linear in the parameters; weather in three patterns of unlike size, and a little everywhere."""

    def __init__(self):
        self.template = small_states(settings=SETTINGS, each=EACH)
        self.grid, self.fields = OceanGrid.from_dataset(self.template), Fields.from_dataset(self.template)
        self.masks = self.fields.masks(self.grid).numpy()
        rng = np.random.default_rng(5)
        self.mean, self.patterns = (rng.standard_normal((n, *self.masks.shape)) for n in (2, 3))

    def draw(self, parameters, season, members, seed, likely=False, size=1.0, bent=0.0):
        rng = np.random.default_rng([7, seed])
        a = rng.standard_normal((members, 3)) * [2, 1, 0.5]
        a = size * (a + bent * (a[:, :1] ** 2 - 4))
        doubt = 0 if likely else 3 * rng.standard_normal((members, 1, 1, 1, 1))
        mean = np.tensordot([10 * parameters[0], np.log(parameters[1])], self.mean, 1) + doubt * self.mean[0]
        noise = 0.05 * size * rng.standard_normal((members, *self.masks.shape))
        return torch.from_numpy(((mean + np.tensordot(a, self.patterns, 1) + noise) * self.masks).astype("float32"))


@pytest.fixture(scope="module")
def law():
    return Law()


@pytest.fixture(scope="module")
def store(law):
    rng = np.random.default_rng(0)
    parameters = np.stack([rng.uniform(0.1, 0.3, SETTINGS), 10 ** rng.uniform(-5, -4, SETTINGS)], 1)
    split = np.repeat(["train"] * (SETTINGS - TESTED) + ["test"] * TESTED, EACH)
    rows = [(p, i / EACH) for p in parameters for i in range(EACH)]
    states = torch.cat([law.draw(p, t, 1, seed=10_000 + n, likely=True) for n, (p, t) in enumerate(rows)])
    wind, mixing = np.repeat(parameters, EACH, 0).T
    data = law.template.assign(law.fields.unstack(states.numpy(), law.grid).data_vars)
    labels = {"wind": wind, "mixing": mixing, "split": split, "equilibrium": np.ones(len(split), bool)}
    return data.assign_coords({k: ("sample", v) for k, v in labels.items()})


@pytest.fixture(scope="module", autouse=True)
def small_forests():
    """Fewer trees and patches than the page has: the laws below hold for any number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weather, "TREES", 40)
        patch.setattr(weather, "PATCHES", 2)
        yield


@pytest.fixture(scope="module")
def judge(store, law, small_forests):
    names = sorted(set(store.setting.values[store.split.values == "test"]))
    cases = {n: Case(n, "test", Truth.of(store, n, law.fields, law.grid, 4)) for n in names}
    return WeatherBoard(store, law.grid, law.fields, cases)


def test_weather_of_the_same_law_is_as_large_and_not_told_from_true(judge, law):
    scores = judge(law.draw)
    assert scores["variance, all"] == pytest.approx(1, abs=0.25)
    assert 0.3 < scores["AUC, EOFs"] < 0.68
    assert set(scores) == set(judge.real())


@pytest.mark.parametrize("size", [0.6, 1.5])
def test_weather_of_another_size_is_measured(size, judge, law):
    def other(parameters, season, members, seed, likely):
        return law.draw(parameters, season, members, seed, likely, size)

    scores, same = judge(other), judge(law.draw)
    for band in ("variance, all", "variance, EOF 1–5", "variance, EOF 21–60"):
        assert scores[band] / same[band] == pytest.approx(size**2, rel=0.06)
    assert scores["AUC, EOFs"] > 0.75


def test_weather_of_the_right_size_and_the_wrong_kind_is_told_from_true(judge, law):
    def other(parameters, season, members, seed, likely):
        return law.draw(parameters, season, members, seed, likely, 0.7, bent=0.4)

    assert judge(other)["AUC, EOFs"] > 0.7


def test_the_truth_itself_is_the_floor(judge):
    assert 0.3 < judge.real()["AUC, EOFs"] < 0.7


def test_a_perfect_reconstruction_has_all_weather_and_none_has_none(judge):
    assert judge.reconstructed(lambda x: x)["variance, all"] == pytest.approx(1, abs=1e-4)
    smooth = judge.reconstructed(lambda x: x.mean(0, keepdim=True).expand_as(x))
    assert smooth["variance, all"] == pytest.approx(0, abs=0.03)
    assert smooth["AUC, EOFs"] > 0.95


def test_a_classifier_learns_from_other_settings_than_it_judges():
    """What tells the rows of a setting apart is its own: nothing is learnt of it elsewhere."""
    rng = np.random.default_rng(0)
    setting = np.repeat(np.arange(6), 30)
    shift = rng.standard_normal((6, 1)).repeat(30, 0) * np.array([[5.0]])
    generated = np.concatenate([shift, rng.standard_normal((180, 2))], 1)
    true = np.concatenate([-shift, rng.standard_normal((180, 2))], 1)
    assert auc(generated, true, setting, setting) < 0.8
    with pytest.raises(ValueError, match="two settings"):
        auc(generated[:30], true[:30], setting[:30], setting[:30])


def test_the_same_statistics_on_eofs_recover_mean_states_and_weather(store, law, judge):
    data = training_states(store)
    states = torch.from_numpy(law.fields.stack(data, law.grid))
    labels = (parameters_of(data), data.season.values, data.setting.values)
    fitted = StateGaussian(law.fields.volumes(law.grid)).fit(states, *labels)
    scores = judge(fitted.sample)
    assert scores["variance, all"] == pytest.approx(1, abs=0.3)
    asked = np.array([0.2, 3e-5])
    mean = fitted.sample(asked, 0.3, 400, 0).mean(0)
    true = law.draw(asked, 0.3, 4000, 0, likely=True).mean(0)
    assert float((mean - true).square().mean() / true.square().mean()) < 0.02
