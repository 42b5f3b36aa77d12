"""Kernels have closed forms; accumulators do not care how the data are split."""

import numpy as np
import pytest
import scoringrules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.metrics import EnsembleScore, StateError, kernels

SHAPE = (3, 4, 5)


@pytest.fixture
def weights():
    """Volumes with land, one level all land."""
    w = np.random.default_rng(0).uniform(1, 9, SHAPE)
    w[0, :2] = 0
    w[2] = 0
    return w


def both(*arrays):
    """The same call in numpy and in torch."""
    yield arrays
    yield tuple(torch.from_numpy(np.asarray(a)) for a in arrays)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_weighting_follows_cell_volume_not_cell_count():
    x, w = np.array([[[1.0, 4.0]]]), np.array([[[3.0, 1.0]]])
    for a, b in both(x, w):
        assert float(kernels.weighted_mean(a, b)[0]) == 1.75
        assert float(kernels.rmse(a, 0 * a, b)[0]) == pytest.approx(np.sqrt(19 / 4))


def test_a_level_of_land_scores_nan_and_changes_no_variable_mean(weights):
    x, y = draw(2, *SHAPE), draw(2, *SHAPE, seed=1)
    for a, b, w in both(x, y, weights):
        by_level = np.asarray(kernels.rmse(a, b, w))
        assert by_level.shape == (2, 3) and np.isnan(by_level[:, 2]).all() and np.isfinite(by_level[:, :2]).all()
        whole = np.asarray(kernels.rmse(a, b, w, kernels.FIELD))
        expected = np.sqrt((weights * (x - y) ** 2).sum((1, 2, 3)) / weights.sum())
        np.testing.assert_allclose(whole, expected)


def test_all_samples_at_once_equal_the_mean_of_squares_over_samples(weights):
    x, y = draw(6, *SHAPE), draw(6, *SHAPE, seed=1)
    each = kernels.rmse(x, y, weights, kernels.FIELD)
    assert kernels.rmse(x, y, weights, (0, -3, -2, -1)) == pytest.approx(np.sqrt((each**2).mean()))


def test_the_mean_state_loses_all_anomaly_variance_and_half_the_anomaly_a_quarter(weights):
    m, a, volumes = (torch.from_numpy(x) for x in (draw(1, *SHAPE), draw(7, 1, *SHAPE, seed=1), weights[None]))

    def share(estimate):
        return float(accumulate(StateError(volumes, m), [(estimate, m + a)]).compute()["anomaly_share"])

    assert share(m + 0 * a) == pytest.approx(1)
    assert share(m + a / 2) == pytest.approx(0.25)
    assert share(m + a) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 1000), st.floats(-1e3, 1e3))
def test_fair_crps_equals_scoringrules(members, seed, offset):
    x, y = draw(members, 6, seed=seed) + offset, draw(6, seed=seed + 1) + offset
    expected = scoringrules.crps_ensemble(y, x, m_axis=0, estimator="fair")
    for a, b in both(x, y):
        np.testing.assert_allclose(np.asarray(kernels.fair_crps(a, b)), expected, rtol=1e-9, atol=1e-9)


def test_fair_crps_of_two_members_around_the_truth_is_zero():
    assert kernels.fair_crps(np.array([[-1.0], [1.0]]), np.array([0.0]))[0] == 0


def test_fair_crps_does_not_depend_on_the_number_of_members_in_expectation():
    y = draw(200_000)
    means = [kernels.fair_crps(draw(m, 200_000, seed=m), y).mean() for m in (2, 8)]
    assert means == pytest.approx([1 / np.sqrt(np.pi)] * 2, abs=0.01)  # E|X−Y|/2 of two standard normals


def test_fair_crps_keeps_the_digits_of_a_small_spread_on_a_large_mean_in_single_precision():
    x, y = 35 + 2.0**-12 * np.arange(4.0)[:, None], np.array([35.0])
    exact = kernels.fair_crps(x, y)
    assert kernels.fair_crps(x.astype("float32"), y.astype("float32")) == pytest.approx(exact, rel=1e-6)


def test_the_energy_score_of_one_cell_is_its_crps(weights):
    x, y = draw(5, 1, 1, 1), draw(1, 1, 1, seed=1)
    for a, b, w in both(x, y, np.full((1, 1, 1), 3.0)):
        assert float(kernels.energy_score(a, b, w)) == pytest.approx(float(kernels.fair_crps(a, b).sum()))


def test_the_energy_score_equals_scoringrules_on_the_weighted_vector(weights):
    x, y = draw(5, *SHAPE), draw(*SHAPE, seed=1)
    flat = np.sqrt(weights / weights.sum())
    expected = scoringrules.es_ensemble((y * flat).ravel(), (x * flat).reshape(5, -1), estimator="fair")
    assert kernels.energy_score(x, y, weights) == pytest.approx(float(expected))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000))
def test_the_energy_score_of_any_number_of_members_equals_scoringrules_by_level(members, seed):
    x, y = draw(members, *SHAPE, seed=seed), draw(*SHAPE, seed=seed + 1)
    w = np.random.default_rng(seed).uniform(0.1, 2, SHAPE)
    root = np.sqrt(w / w.sum((1, 2), keepdims=True))
    expected = [
        scoringrules.es_ensemble((y * root)[k].ravel(), (x * root)[:, k].reshape(members, -1), estimator="fair")
        for k in range(SHAPE[0])
    ]
    for a, b, c in both(x, y, w):
        np.testing.assert_allclose(np.asarray(kernels.energy_score(a, b, c, kernels.LEVEL)), expected, rtol=1e-9)


@pytest.mark.parametrize(("members", "p"), [(3, 0.5), (9, 0.8), (9, 0.5), (16, 0.8)])
def test_the_central_interval_of_a_reliable_ensemble_holds_the_truth_as_often_as_it_says(members, p):
    x, y = (np.random.default_rng(s).uniform(size=(*m, 20, 100, 100)) for s, m in ((0, (members,)), (1, ())))
    for a, b, w in both(x, y, np.ones((20, 100, 100))):
        assert float(kernels.coverage(a, b, w, p)) == pytest.approx(p, abs=0.005)
        assert float(kernels.coverage(0.5 + (a - 0.5) / 2, b, w, p)) < p - 0.1  # too narrow


def test_coverage_counts_weight_and_an_interval_beyond_the_members_is_refused():
    x = np.array([-1.0, 0.0, 1.0])[:, None, None, None] * np.ones((1, 1, 2))
    y, w = np.array([[[0.9, 1.1]]]), np.array([[[3.0, 1.0]]])
    assert float(kernels.coverage(x, y, w, 0.5)) == 0.75
    for p in (0.51, -0.1):
        with pytest.raises(ValueError, match="3 members bound an interval"):
            kernels.coverage(x, y, w, p)


def test_half_the_anomaly_is_a_quarter_of_the_diversity_and_copies_have_none(weights):
    x = draw(20, *SHAPE) + 300
    for a, w in both(x, weights):
        assert float(kernels.diversity(a[:1] + (a - a[:1]) / 2, a, w)) == pytest.approx(0.25)
        assert float(kernels.diversity(a[:1] + 0 * a, a, w)) == pytest.approx(0, abs=1e-20)
        louder = a + 9 * (w == 0) * a
        assert float(kernels.diversity(louder, a, w)) == pytest.approx(1)


def test_the_normalised_norm_is_the_same_whatever_the_units_and_counts_variables_alike(weights):
    volumes = np.stack([weights, 2 * weights, weights])
    x = draw(40, 3, *SHAPE) + 5
    x[:, 2] = 7.0  # never varies: counts in its own unit
    units = np.array([1.0, 1000.0, 1.0])[:, None, None, None]
    for a, v, u in both(x, volumes, units):
        w = kernels.normalising_weights(a, v)
        np.testing.assert_allclose(np.asarray(kernels.normalising_weights(a * u, v) * u**2), np.asarray(w))
        variance = ((a - a.mean(0)) ** 2).sum(0) / 39
        np.testing.assert_allclose(np.asarray((w * variance).sum((1, 2, 3))), [1 / 3, 1 / 3, 0])
        assert float(w[2].sum()) == pytest.approx(1 / 3)


def test_the_nearest_training_state_is_found_and_a_copy_is_at_distance_zero(weights):
    training, states = draw(9, *SHAPE) + 1e3, draw(4, *SHAPE, seed=1) + 1e3
    w = weights / weights.sum()
    expected = [min(np.sqrt((w * (x - t) ** 2).sum()) for t in training) for x in states]
    for x, t, v in both(states, training, w):
        np.testing.assert_allclose(np.asarray(kernels.nearest_distance(x, t, v)), expected)
        copies = t + 1e6 * (v == 0)  # land is not looked at
        np.testing.assert_allclose(np.asarray(kernels.nearest_distance(copies, t, v)), 0, atol=1e-6)


def test_copies_are_memorised_and_fresh_draws_of_the_same_law_are_not(weights):
    training, held_out, fresh = (draw(n, *SHAPE, seed=n) for n in (30, 300, 301))
    w = weights / weights.sum()
    d, copied, drawn = (
        kernels.nearest_distance(x, training, w) for x in (held_out, training + 0.1 * held_out[:30], fresh)
    )
    assert kernels.memorisation(copied, d) < 0.15
    assert kernels.memorisation(drawn, d) == pytest.approx(1, abs=0.02)


def spread_skill(ensemble, truth, weights, axes=kernels.FIELD):
    """√(Σ w (M+1)/(M−1) σ_M² / Σ w (mean − truth)²)."""
    spread, skill = kernels.spread_and_skill(ensemble, truth)
    return ((weights * spread).sum(axes) / (weights * skill).sum(axes)) ** 0.5


@pytest.mark.parametrize("members", [2, 5, 20])
def test_a_reliable_ensemble_has_as_much_spread_as_skill_whatever_its_size(members):
    x, y = draw(members, 20, 50, 50), draw(20, 50, 50, seed=1)
    assert spread_skill(x, y, np.ones_like(y)) == pytest.approx(1, abs=0.01)
    narrow = x.mean(0) + (x - x.mean(0)) / 2
    assert spread_skill(narrow, y, np.ones_like(y)) == pytest.approx(0.5, abs=0.01)


def test_an_ensemble_of_one_is_refused():
    with pytest.raises(ValueError, match="two members"):
        kernels.fair_crps(np.zeros((1, 3)), np.zeros(3))


def accumulate(metric, parts):
    for part in parts:
        metric.update(*part)
    return metric


def same(a: dict, b: dict):
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-12, atol=1e-14, equal_nan=True)


@pytest.fixture
def data(weights):
    """volumes (V, D, Y, X), ensemble (M, N, …), truth (N, …) in single precision."""
    volumes = torch.from_numpy(np.stack([weights, 2 * weights]))

    def make(*shape, seed):
        return torch.from_numpy(draw(*shape, 2, *SHAPE, seed=seed)).float()

    return volumes, 300 + make(4, 7, seed=0), 300 + make(7, seed=1)


def test_accumulated_scores_equal_the_kernels_on_all_data(data):
    volumes, ensemble, truth = data
    mean = truth.double().mean(0)
    error = accumulate(StateError(volumes, mean), [(ensemble[0], truth)]).compute()
    x, y, axes = ensemble[0].double(), truth.double(), (0, -2, -1)
    torch.testing.assert_close(error["rmse_by_level"], kernels.rmse(x, y, volumes, axes), equal_nan=True)
    torch.testing.assert_close(error["bias"], kernels.weighted_mean(x - y, volumes, (0, -3, -2, -1)))
    error_share = [(volumes * d**2).sum((0, -3, -2, -1)) for d in (x - y, y - mean)]
    torch.testing.assert_close(error["anomaly_share"], error_share[0] / error_share[1])
    scores = accumulate(EnsembleScore(volumes), [(ensemble, truth)]).compute()
    e = ensemble.double()
    expected = kernels.weighted_mean(kernels.fair_crps(e, y), volumes, (0, -3, -2, -1))
    torch.testing.assert_close(scores["crps"], expected)
    torch.testing.assert_close(scores["energy"], kernels.energy_score(e, y, volumes).mean(0))
    torch.testing.assert_close(scores["spread_skill"], spread_skill(e, y, volumes, (0, -3, -2, -1)))


def test_land_values_never_change_a_score(data):
    volumes, ensemble, truth = data
    loud = ensemble + 1e6 * (volumes == 0)
    plain, shouted = (accumulate(EnsembleScore(volumes), [(e, truth)]).compute() for e in (ensemble, loud))
    same(plain, shouted)


def test_scores_of_an_ensemble_are_those_of_their_definitions_member_by_member(data):
    volumes, ensemble, truth = data
    found = accumulate(EnsembleScore(volumes), [(ensemble, truth)]).scores()
    x, y, w = ensemble.double().numpy(), truth.double().numpy(), volumes.numpy()
    count, pairs = len(x), [(m, n) for m in range(len(x)) for n in range(len(x)) if m != n]
    among = sum(abs(x[m] - x[n]) for m, n in pairs) / (2 * count * (count - 1))
    crps = sum(abs(a - y) for a in x) / count - among

    def norm(d):
        return np.sqrt((w * d**2).sum((-3, -2, -1)) / w.sum((-3, -2, -1)))

    energy = sum(norm(a - y) for a in x) / count - sum(norm(x[m] - x[n]) for m, n in pairs) / (2 * count * (count - 1))
    variance = (count + 1) / (count - 1) * x.var(0)
    level = w.sum((-2, -1)) * len(y)
    with np.errstate(invalid="ignore"):
        by_level = (w * crps).sum((0, -2, -1)) / level
    np.testing.assert_allclose(found["crps_by_level"], by_level, rtol=1e-6)
    np.testing.assert_allclose(found["crps"], (w * crps).sum((0, -3, -2, -1)) / level.sum(-1), rtol=1e-6)
    np.testing.assert_allclose(found["energy"], energy.mean(0), rtol=1e-6)
    ratio = (w * variance).sum((0, -3, -2, -1)) / (w * (x.mean(0) - y) ** 2).sum((0, -3, -2, -1))
    np.testing.assert_allclose(found["spread_skill"], np.sqrt(ratio), rtol=1e-6)


def test_scores_of_one_variable_on_one_level_keep_their_axes():
    volumes, x = torch.ones(1, 1, 2, 2), torch.rand(3, 1, 1, 1, 2, 2)
    for found in (
        accumulate(EnsembleScore(volumes), [(x, x[0])]).scores(),
        accumulate(StateError(volumes, 0 * volumes), [(x[0], x[1])]).scores(),
    ):
        assert all(v.shape == ((1, 1) if k.endswith("by_level") else (1,)) for k, v in found.items())
