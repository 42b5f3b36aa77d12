"""Baselines are as good as they claim on oceans where the answer is known."""

import numpy as np
import pytest
import torch

from ldm_ocean.errors import UserError
from ldm_ocean.metrics import BASELINES, Baselines, Climatology, EofGaussianProcess, EofRegression, NearestSetting
from ldm_ocean.metrics.baselines import in_season

V, D, Y, X = 2, 3, 4, 5
SETTINGS, EACH = 12, 8


@pytest.fixture
def volumes():
    v = torch.from_numpy(np.random.default_rng(9).uniform(1, 3, (V, D, Y, X)))
    v[:, -1, :2] = 0
    return v


@pytest.fixture
def training(volumes):
    """States exactly linear in (p, log q) and in one annual harmonic; fit arguments and the law itself."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((5, V, D, Y, X)) * (volumes.numpy() > 0)

    def law(p, q, t):
        return np.tensordot([1, 3 * p, np.log(q), np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)], patterns, 1)

    p, q = rng.uniform(0.1, 0.3, SETTINGS), 10 ** rng.uniform(-5, -4, SETTINGS)
    rows = [(k, p[k], q[k], i / EACH) for k in range(SETTINGS) for i in range(EACH)]
    states = torch.from_numpy(np.stack([law(*r[1:]) for r in rows])).float()
    parameters = np.array([r[1:3] for r in rows])
    return (states, parameters, np.array([r[3] for r in rows]), np.array([f"s{r[0]}" for r in rows])), law


def test_december_is_next_to_january():
    season = np.arange(8) / 8
    assert set(in_season(season, 0.0)) == {0, 1, 7}
    assert set(in_season(np.array([0.5, 0.6]), 0.0)) == {0, 1}


def test_climatology_holds_the_season_but_not_the_parameters(training):
    arguments, _ = training
    states, _, season, _ = arguments
    drawn = Climatology().fit(*arguments).sample(np.array([0.2, 3e-5]), 0.25, 500, seed=0)
    expected = states[torch.from_numpy(np.abs(season - 0.25) <= 1 / 8)]
    assert len(drawn) == len(expected) == 3 * SETTINGS  # asked for more than there are: no state twice
    torch.testing.assert_close(drawn.mean(0), expected.mean(0))


def test_the_nearest_setting_gives_its_own_states_back(training):
    arguments, _ = training
    states, parameters, season, settings = arguments
    nearest = NearestSetting().fit(*arguments)
    for k in range(SETTINGS):
        asked = parameters[k * EACH] * [1.001, 1.02]
        assert nearest.nearest(asked) == [f"s{k}"]
        drawn = nearest.sample(asked, 0.5, 16, seed=0)
        own = states[torch.from_numpy((settings == f"s{k}") & (np.abs(season - 0.5) <= 1 / 8))]
        assert len(drawn) == 3 and all((d == own).flatten(1).all(1).any() for d in drawn)


def test_settings_that_are_equally_near_all_give_their_states_whatever_their_order():
    parameters = np.repeat([[0.1, 1.0], [0.3, 1.0], [0.4, 1.0]], 2, 0)
    settings, season = np.repeat(["a", "b", "c"], 2), np.tile([0.0, 0.5], 3)
    states = torch.arange(6.0)[:, None, None, None, None]
    for order in (slice(None), slice(None, None, -1)):
        labels = (parameters[order], season[order], settings[order])
        nearest = NearestSetting().fit(states.numpy()[order].copy(), *labels)
        assert nearest.nearest(np.array([0.2, 1.0])) == ["a", "b"]
        assert set(nearest.sample(np.array([0.2, 1.0]), 0.0, 9, seed=0).ravel()) == {0.0, 2.0}


def test_regression_recovers_an_ocean_linear_in_its_parameters_and_season(training, volumes):
    arguments, law = training
    regression = EofRegression(volumes, explained=1.0).fit(*arguments)
    for p, q, t in ((0.22, 3e-5, 0.4), (0.4, 3e-4, 0.9)):  # inside, and far outside
        drawn = regression.sample(np.array([p, q]), t, 4, seed=1)
        np.testing.assert_allclose(drawn, np.broadcast_to(law(p, q, t), drawn.shape), atol=1e-3)


def test_the_gaussian_process_recovers_what_is_linear_and_follows_what_bends_where_regression_cannot(volumes):
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((3, V, D, Y, X)) * (volumes.numpy() > 0)

    def law(p, q, t):
        return np.tensordot([np.sin(2 * p) * np.exp(q / 3), p - q, np.cos(2 * np.pi * (t + 0.1))], patterns, 1)

    places = rng.uniform(-1, 1, (40, 2))
    rows = [(k, *places[k], i / EACH) for k in range(40) for i in range(EACH)]
    states = torch.from_numpy(np.stack([law(*r[1:]) for r in rows])).float()
    number, p, q, season = np.array(rows).T
    asked = [(0.3, -0.4, 0.15), (-0.6, 0.5, 0.7), (0.1, 0.7, 0.9)]
    errors = {}
    for kind in (EofRegression, EofGaussianProcess):
        fitted = kind(volumes, explained=0.9999).fit(states, np.stack([p, q], 1), season, number)
        means = [fitted.sample(np.array([p, q]), t, len(rows), seed=0).numpy().mean(0) for p, q, t in asked]
        errors[kind] = np.sqrt(np.mean([(m - law(*a)) ** 2 for m, a in zip(means, asked, strict=True)]))
    assert errors[EofGaussianProcess] < 0.01 < 0.1 < errors[EofRegression]


@pytest.mark.parametrize("kind", [EofRegression, EofGaussianProcess])
def test_the_spread_of_a_regression_is_its_error_on_settings_it_has_not_seen(training, volumes, kind):
    (states, *labels), _ = training
    rng = np.random.default_rng(1)
    pattern = torch.from_numpy(rng.standard_normal((V, D, Y, X))) * (volumes > 0)
    own = np.repeat(rng.standard_normal(SETTINGS), EACH)  # what each setting has of its own, and no parameter explains
    noisy = (states + torch.from_numpy(own)[:, None, None, None, None] * pattern).float()
    drawn = kind(volumes, explained=0.9999).fit(noisy, *labels).sample(np.array([0.2, 3e-5]), 0.0, 90, seed=0)
    spread = (drawn.var(0) * volumes).sum() / (pattern**2 * volumes).sum()
    assert 1 < float(spread) < 2.5  # in-sample residuals would give less than the true variance of one


def test_land_stays_zero_and_the_seed_decides(training, volumes):
    arguments, _ = training
    for new in BASELINES.values():
        baseline = new(volumes)
        baseline.fit(*arguments)
        a, b, *others = (baseline.sample(np.array([0.2, 3e-5]), 0.3, 5, seed) for seed in (0, 0, 1, 2, 3))
        assert torch.equal(a, b) and not all(torch.equal(a, other) for other in others)
        assert (a[:, volumes == 0] == 0).all() and a.dtype == torch.float32 and a.shape[1:] == (V, D, Y, X)


def test_baselines_are_fitted_from_a_canonical_store_and_an_unknown_one_is_named(states, grid, fields):
    train = states.isel(sample=np.flatnonzero(states.split.values == "train"))
    fitted = Baselines.fit(train, grid, fields)
    assert set(fitted.methods) == {"climatology", "nearest_setting", "eof_regression", "eof_gp"}
    assert fitted.mean.shape == (len(fields), *grid.shape)
    with pytest.raises(UserError, match=r"climatolgy.*climatology"):
        Baselines.fit(train, grid, fields, ["climatolgy"])
    alone = train.isel(sample=np.flatnonzero(train.setting.values == train.setting.values[0]))
    values = alone.wind.values[0], alone.mixing.values[0]
    for baseline in Baselines.fit(alone, grid, fields).methods.values():  # one setting only: nothing to regress on
        assert torch.isfinite(baseline.sample(np.array(values), 0.5, 2, seed=0)).all()


def test_baselines_and_scores_see_equilibrium_states_only(states):
    """Whatever the unfinished states hold, not one number moves."""
    from ldm_ocean.metrics.config import EvaluateConfig
    from ldm_ocean.metrics.generated import score_store, training_states

    unfinished = ~states.equilibrium
    spoilt = states.assign({k: (v + 50 * unfinished).astype(v.dtype).assign_attrs(v.attrs)
                            for k, v in states.data_vars.items() if "sample" in v.dims})  # fmt: skip
    assert not spoilt.toce.equals(states.toce) and training_states(spoilt).identical(training_states(states))
    assert (training_states(states).split == "train").all()
    generated, config = states.isel(sample=states.equilibrium.values), EvaluateConfig(members=3, verifying=2)
    assert score_store(generated, spoilt, config) == score_store(generated, states, config)
