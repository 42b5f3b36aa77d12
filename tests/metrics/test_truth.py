"""Truth as an ensemble for truth: the yardstick that says what is chance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_ocean.metrics import Baselines
from ldm_ocean.metrics.baselines import SEASON_WINDOW
from ldm_ocean.metrics.config import EvaluateConfig
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.scoring import REFERENCE, SIMULATION, Tally, evaluate, jsonable
from ldm_ocean.metrics.truth import Truth, others_in_season
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_states

CONFIG = EvaluateConfig(members=4, verifying=3, baselines=[REFERENCE])


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=30), st.data())
def test_the_ensemble_for_a_state_never_holds_the_state_itself_and_keeps_to_its_season(season, data):
    season = np.array(season)
    index = data.draw(st.integers(0, len(season) - 1))
    others = others_in_season(season, index)
    away = np.abs((season - season[index] + 0.5) % 1 - 0.5)
    assert index not in others and len(set(others)) == len(others) >= 2
    assert (away[others[2:]] <= SEASON_WINDOW).all()
    assert set(np.flatnonzero(away <= SEASON_WINDOW)) - {index} <= set(others)


def test_truth_is_a_reliable_ensemble_for_itself():
    """Pure weather of unit variance without seasons: spread/skill is one and the CRPS that of a perfect forecast."""
    every = torch.randn(40, 1, 4, 20, 20, generator=torch.Generator().manual_seed(0))
    truth = Truth({}, every, np.arange(40) / 40, np.arange(0, 40, 4))
    tally = Tally(torch.ones(1, 4, 20, 20), torch.zeros(1, 4, 20, 20))
    for members, state in zip(truth.simulated(), truth.states, strict=True):
        tally.update(members, state)
    own = tally.record(["x"])["x"]
    assert own["spread_skill"] == pytest.approx(1, abs=0.03)
    assert own["crps"] == pytest.approx(1 / np.sqrt(np.pi), rel=0.03)


@pytest.fixture(scope="module")
def store():
    return small_states(settings=9, each=16, seed=1)


def scored(store, config=CONFIG):
    grid, fields = OceanGrid.from_dataset(store), Fields.from_dataset(store)
    baselines = Baselines.fit(training_states(store), grid, fields, config.baselines)

    def generate(parameters, season, members, seed):
        wind = np.array([parameters[k] for k in ("wind", "mixing")])
        return baselines.methods[REFERENCE].sample(wind, season, members, seed)

    return evaluate(generate, store, grid, fields, baselines, config)


@pytest.fixture(scope="module")
def result(store):
    return scored(store)


def test_the_simulation_stands_beside_the_baselines_and_is_not_one(result):
    split = result["splits"]["test"]
    scores = split["scores"]["truth"]
    assert all(scores[SIMULATION][v]["crps"] < scores[REFERENCE][v]["crps"] for v in scores[SIMULATION])
    assert set(split["crps_skill"]) == {REFERENCE}


def test_errors_relative_to_climatology_are_one_for_a_copy_of_it_and_for_any_draw_of_settings(store):
    config = EvaluateConfig(splits=["train"], members=4, verifying=3, baselines=[REFERENCE])
    relative = scored(store, config)["splits"]["train"]["relative_crps"]
    names = ("toce", "soce", "uoce", "voce", "ssh")
    assert all(relative["model"][n] == [1, 1, 1] for n in (*names, "all", "unstable_volume"))
    for value, low, high in (relative[SIMULATION][n] for n in (*names, "all")):
        assert low <= value <= high and value < 1
    assert relative[SIMULATION]["all"][0] == pytest.approx(np.mean([relative[SIMULATION][n][0] for n in names]))


def test_settings_of_two_states_leave_no_ensemble_and_the_yardstick_out(store):
    few = store.isel(sample=np.flatnonzero((store.split.values != "test") | (store.season.values < 0.15)))
    result = scored(few)
    assert all(SIMULATION not in split["scores"]["truth"] for split in result["splits"].values())


def test_the_range_of_a_diagnostic_is_that_of_all_states_of_the_setting(result):
    for record in result["settings"].values():
        own = record["diagnostics"]["truth"]["unstable_volume"]
        assert own["low"] < own["mean"] < own["high"] and own["high"] - own["low"] > 1.5 * own["std"]


def test_what_is_not_a_number_becomes_null():
    assert jsonable({"a": (np.nan, 1.0), "b": [np.float64("inf"), "x", None, 2]}) == {
        "a": [None, 1.0],
        "b": [None, "x", None, 2],
    }
