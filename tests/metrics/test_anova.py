"""Laws of the parts of variance: known parts are found, they add up, land does not count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.errors import UserError
from ldm_ocean.metrics.anova import anova, eofs_holding, gram


def made(means, cycle, weather, season):
    """States (N, C) of settings with ``means`` (S,) and one ``cycle`` (cos, sin), under ``weather`` (S, n, C)."""
    count, each, _ = weather.shape
    angle = 2 * np.pi * np.asarray(season)[:each, None]
    mean_year = cycle[0] * np.cos(angle) + cycle[1] * np.sin(angle)
    states = np.asarray(means)[:, None, None] + mean_year + weather
    names = np.repeat([f"s{k}" for k in range(count)], each)
    return states.reshape(count * each, -1), names, np.tile(np.asarray(season)[:each], count)


def slow(rng, shape, memory):
    """AR(1) weather (S, n, C) of unit variance."""
    noise = rng.standard_normal(shape)
    for i in range(1, shape[1]):
        noise[:, i] = memory * noise[:, i - 1] + np.sqrt(1 - memory**2) * noise[:, i]
    return noise


def test_without_weather_every_part_is_exact():
    means, cycle, season = np.array([1.0, 4.0, 2.0]), (0.3, -0.4), np.arange(8) * 0.28 % 1
    found = anova(*made(means, cycle, np.zeros((3, 8, 5)), season))
    np.testing.assert_allclose(found.between, means.var(), rtol=1e-12)
    np.testing.assert_allclose(found.season, (0.3**2 + 0.4**2) / 2, rtol=1e-12)
    np.testing.assert_allclose(found.means, np.repeat(means[:, None], 5, 1), rtol=1e-12)
    assert abs(found.weather).max() < 1e-24 and abs(found.anomalies).max() < 1e-12


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([8, 16]))
def test_the_parts_sum_to_the_variance_about_the_grand_mean_and_what_that_mean_is_off(seed, count, each):
    rng = np.random.default_rng(seed)
    states, names, season = made(
        rng.normal(size=count), (1.0, 2.0), slow(rng, (count, each, 7), 0.5), np.arange(16) / 4 % 1
    )
    found = anova(states, names, season)
    by_setting = states.reshape(count, each, -1)
    halves = by_setting[:, : each // 2].mean((0, 1)) - by_setting[:, each // 2 :].mean((0, 1))
    total = found.between + found.season + found.weather
    np.testing.assert_allclose(total, states.var(0) + halves**2 / 4, rtol=1e-10)


@pytest.mark.parametrize(("memory", "half"), [(0.0, 3), (0.3, 4), (0.7, 12)])
def test_few_states_feign_no_more_than_lasts_from_one_half_into_the_other(memory, half):
    rng = np.random.default_rng(1)
    means, season = np.array([-0.3, 0.0, 0.3, 0.1]), np.arange(2 * half) / half % 1
    found = anova(*made(means, (0.2, 0.0), slow(rng, (4, 2 * half, 40000), memory), season))
    parts = found.over(np.ones(40000))
    kept = 3 / 4 * memory * (1 - memory**half) ** 2 / (half * (1 - memory)) ** 2
    feigned = found.means.var(0).mean() - means.var()
    assert parts["between"] == pytest.approx(means.var() + kept, abs=0.006)
    assert feigned > 3.5 * kept + 0.01
    assert parts["season"] == pytest.approx(0.02, abs=0.006)
    assert parts["total"] == pytest.approx(1 + means.var() + 0.02, abs=0.02)


def test_settings_without_differences_have_no_variance_between_them():
    rng = np.random.default_rng(2)
    found = anova(*made(np.zeros(5), (0, 0), rng.standard_normal((5, 8, 20000)), np.zeros(8)))
    parts = found.over(np.ones(20000))
    assert abs(parts["between"]) < 0.01 and parts["season"] == 0
    assert parts["weather"] == pytest.approx(1.0, abs=0.01)
    assert parts["total"] == pytest.approx(sum(parts[k] for k in ("between", "season", "weather")))


def test_land_never_counts_whatever_stands_there():
    rng = np.random.default_rng(3)
    states, names, season = made(rng.normal(size=3), (1, 0), rng.standard_normal((3, 8, 12)), np.arange(8) / 8)
    states, weights = states.reshape(-1, 3, 4), rng.uniform(1, 2, (3, 4))
    weights[1, 2] = weights[0, 0] = 0
    spoilt = np.where(weights > 0, states, np.nan)
    clean, other = anova(states, names, season), anova(spoilt, names, season)
    assert other.over(weights) == clean.over(weights)
    np.testing.assert_array_equal(gram(other.anomalies, weights), gram(clean.anomalies, weights))


def test_weights_are_those_of_a_mean_over_cells():
    rng = np.random.default_rng(4)
    found = anova(*made(rng.normal(size=3), (0, 0), rng.standard_normal((3, 8, 2)), np.zeros(8)))
    assert found.over(np.array([1.0, 3.0]))["weather"] == pytest.approx(found.weather @ [0.25, 0.75])


@pytest.mark.parametrize("season", [np.arange(4) / 4, np.arange(8) % 2 / 2])
def test_states_that_cannot_tell_season_from_mean_are_refused_in_one_line(season):
    states, names, season = made([0.0], (0, 0), np.zeros((1, len(season), 2)), season)
    with pytest.raises(UserError, match="give more") as error:
        anova(states, names, season)
    assert "\n" not in str(error.value)


def test_ten_equal_patterns_need_nine_eofs_for_ninety_percent():
    rng = np.random.default_rng(5)
    coefficients = np.linalg.qr(rng.standard_normal((40, 10)))[0]
    patterns = np.linalg.qr(rng.standard_normal((30, 10)))[0].T
    weights = rng.uniform(0.5, 2, 30)
    products = gram(coefficients @ patterns / np.sqrt(weights), weights)
    assert np.trace(products) == pytest.approx(1.0)
    assert eofs_holding(products) == 9 and eofs_holding(products, 0.35) == 4


def test_variables_of_any_unit_add_up_as_equals_and_one_that_never_varies_adds_nothing():
    rng = np.random.default_rng(6)
    one, weights = rng.standard_normal((12, 9)), np.ones(9)
    np.testing.assert_allclose(gram(1e3 * one, weights), gram(one, weights), rtol=1e-12)
    assert not gram(0 * one, weights).any()
