"""Drift, shock, distance and equivalent years against closed forms; what a table says of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm_ocean.spinup.analysis import annual, control, describe, distance, equivalent_years, shock, trend, windows
from ldm_ocean.spinup.figures import draw_shock
from ldm_ocean.spinup.run import Record
from ldm_ocean.spinup.summary import held, summary


def record(deep, years=(), energy=(0.0, 1.0)) -> Record:
    return Record({}, {"deep": list(deep)}, [np.full((1, 1, 1, 2), y) for y in years], list(energy), seconds=6.0)


def test_annual_means_are_those_of_twelve_months_and_of_the_rest():
    assert annual([1.0] * 12 + [3.0] * 12 + [4.0, 6.0]).tolist() == [1.0, 3.0, 5.0]
    assert annual([]).size == 0


@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(2, 40))
def test_the_trend_of_a_straight_line_is_ten_times_its_slope_in_every_window(start, slope, years):
    line = start + slope * np.arange(years)
    assert trend(line) == pytest.approx(10 * slope, abs=1e-6)
    assert windows(line, 2) == pytest.approx(np.full(years - 1, 10 * slope), abs=1e-6)


def test_one_year_has_no_trend():
    assert np.isnan(trend(np.array([1.0])))


def test_shock_counts_every_rise_and_every_fall():
    assert shock(np.array([3.0, 5.0, 1.0, 1.0])) == 6.0


def test_distance_is_the_weighted_root_mean_square():
    weights = np.array([0.75, 0.25]).reshape(1, 1, 1, 2)
    states = [np.array([0.0, 2.0]).reshape(1, 1, 1, 2), np.ones((1, 1, 1, 2))]
    assert distance(states, np.zeros((1, 1, 1, 2)), weights) == pytest.approx([1.0, 1.0])


@given(st.floats(0.1, 100), st.floats(1, 80))
def test_an_exponential_approach_is_worth_the_years_that_it_takes(near, efolding):
    cold = 100 * np.exp(-np.arange(1, 151) / efolding)
    worth = equivalent_years(cold, near)
    if near < cold[-1]:
        assert worth == np.inf
    else:
        assert worth == pytest.approx(max(1, np.ceil(efolding * np.log(100 / near))), abs=1)


def test_a_start_is_described_over_its_own_years_and_drifts_over_the_last_of_them():
    months = np.repeat([5.0, 1.0, 2.0, 3.0], 12)
    weights = np.full((1, 1, 1, 2), 0.5)
    told = describe(record(months, (4.0, 0.0, 0.0, 0.0)), 4, 3, np.zeros((1, 1, 1, 2)), weights)
    assert told["annual"]["deep"] == [5.0, 1.0, 2.0, 3.0] and told["drift"]["deep"] == pytest.approx(10.0)
    assert told["distance"] == [4.0, 0.0, 0.0, 0.0] and told["shock"] == 1.0
    assert told["seconds_a_year"] == pytest.approx(6.0 / 4)
    assert describe(Record({}, blown=True), 4, 3, np.zeros(()), weights) == {"blown": True}


def test_the_control_knows_the_range_of_its_means_and_of_its_trends():
    rising_then_falling = np.repeat([0.0, 1.0, 2.0, 1.0, 0.0], 12)
    own = control(record(rising_then_falling, (1.0,)), 2, np.zeros((1, 1, 1, 2)), np.full((1, 1, 1, 2), 0.5))
    assert own["range"]["deep"] == [0.0, 2.0] and own["drift"]["deep"] == pytest.approx([-10.0, 10.0])


def setting(drifts, control=(-0.1, 0.3), truth=(0.2, -0.2)) -> dict:
    def starts(values, start, later):
        return [{"drift": {"deep": d}, "shock": 2.0, "distance": [start, later], "blown": False} for d in values]

    return {
        "control": {"drift": {"deep": list(control)}},
        "roads": {
            "generated": {"starts": starts(drifts, 0.5, 0.4), "equivalent_years": [30.0, None],
                          "nearer_than_cold_ever": [True, False]},
            "truth": {"starts": starts(truth, 0.1, 0.1), "equivalent_years": [None, None],
                      "nearer_than_cold_ever": [True, True]},
        },
    }  # fmt: skip


@pytest.mark.parametrize(("drift", "share"), [(0.3, 1.0), (0.39, 1.0), (-0.39, 1.0), (0.41, 0.0), (-0.41, 0.0)])
def test_a_drift_is_held_in_the_range_of_the_control_or_within_twice_that_of_truth(drift, share):
    assert held(setting([drift]), "generated", "deep") == share


def test_the_summary_is_relative_to_truth_and_says_how_many_starts_are_beyond_the_cold_one():
    told = summary(setting([0.0, 9.0]), 150.0, ["deep"])
    assert told["generated"]["shock"] == [1.0, 1.0] and told["generated"]["held"] == {"deep": 0.5}
    assert told["generated"]["equivalent"] == 90.0 and told["generated"]["capped"] == 1
    assert told["truth"]["capped"] == 2 and told["truth"]["equivalent"] == 150.0
    assert told["generated"]["nearer_than_cold_ever"] == 1


def test_the_figure_of_shocks_shows_the_largest_of_every_setting():
    mild, wild = setting([0.0, 0.0]), setting([0.0, 0.0])
    wild["roads"]["generated"]["starts"][0]["shock"] = 20.0
    figure = draw_shock({"mild": mild, "wild": wild})
    assert all(axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 10 for axes in figure.axes)
