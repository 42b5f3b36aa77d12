"""Responses and their intervals have closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.metrics.bootstrap import bootstrap
from ldm_ocean.metrics.response import response, sweeps


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 3).filter(lambda b: abs(b) > 0.01), st.floats(-9, 9))
def test_an_exact_line_has_its_slope_no_doubt_and_an_r2_of_one(b, a):
    x = np.array([1.0, 2.0, 4.0, 7.0])
    found = response(x, a + b * x)
    assert [found.slope, found.low, found.high] == pytest.approx([b] * 3, rel=1e-6)
    assert found.r2 == pytest.approx(1)


def test_slope_and_r2_are_those_of_least_squares_and_of_the_correlation():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(12)
    y = 0.7 * x + rng.standard_normal(12)
    found = response(x, y)
    assert found.slope == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found.r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert found.low < found.slope < found.high


def test_a_generator_that_ignores_its_parameters_has_a_slope_of_zero():
    found = response(np.arange(5.0), np.full(5, 3.0))
    assert (found.slope, found.low, found.high) == (0, 0, 0) and np.isnan(found.r2)


def test_nothing_is_said_where_the_simulated_ocean_does_not_respond():
    found = response(np.ones(4), np.arange(4.0))
    assert np.isnan([found.slope, found.low, found.high, found.r2]).all()


def test_sweeps_are_the_settings_that_leave_the_centre_in_one_parameter():
    p = np.array([[1, 5], [2, 5], [3, 5], [2, 1e-5], [2, 9], [1, 1]])
    assert [s.tolist() for s in sweeps(p)] == [[0, 1, 2], [1, 3, 4]]


def test_the_bootstrap_interval_of_a_mean_holds_it_in_nineteen_cases_of_twenty():
    rng = np.random.default_rng(0)
    intervals = [bootstrap(np.mean, rng.standard_normal(40), seed=i)[1:] for i in range(100)]
    assert 87 <= sum(low < 0 < high for low, high in intervals) <= 99


def test_settings_are_drawn_together_and_a_single_one_has_no_interval():
    x = np.random.default_rng(0).standard_normal(9)
    assert bootstrap(lambda a, b: (a - b).sum(), x, x) == (0, 0, 0)
    value, low, high = bootstrap(np.mean, x[:1])
    assert value == x[0] and np.isnan([low, high]).all()


def test_the_same_settings_drawn_in_another_order_are_computed_once():
    seen = []
    bootstrap(lambda x: seen.append(x) or x.mean(), np.array([1.0, 5.0, 9.0]))
    assert len(seen) == 10 + 1  # multisets of three of three, and the whole sample
