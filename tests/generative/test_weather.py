"""The covariance of the weather: recovered where it is known, never believed beyond what left-out settings show."""

import numpy as np
import pytest
import torch

from ldm_ocean.generative.gaussian import Gaussian
from ldm_ocean.generative.weather import Weather

TOKENS, CHANNELS = 10, 4
SIZE = TOKENS * CHANNELS
TRUE = torch.cat([torch.tensor([9.0, 4.0, 1.0]), torch.full((SIZE - 3,), 0.04)])


def drawn(settings: int, states: int, slope: float = 0.0, seed: int = 0):
    """Weather of variances ``TRUE`` along directions of its own, its amplitude e^{slope · c_0}."""
    rng = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(99)))[0]
    c = torch.randn(settings, 2, generator=rng).repeat_interleave(states, 0)
    x = torch.randn(len(c), SIZE, generator=rng) * TRUE.sqrt() @ turn.T
    x = x * (0.5 * slope * c[:, :1]).exp()
    return x.view(-1, TOKENS, CHANNELS), c, np.repeat([f"s{i:03d}" for i in range(settings)], states)


def error(weather: Weather, sigma: float) -> float:
    """Mean square error of denoising other weather of the same kind."""
    x, c, _ = drawn(30, 20, seed=5)
    known = Gaussian(0 * x, weather.basis, weather(0 * c))
    rng, s = torch.Generator().manual_seed(3), torch.full((len(x),), sigma)
    return float((known.estimate(x + sigma * torch.randn(x.shape, generator=rng), s) - x).square().mean())


def best(sigma: float) -> float:
    return float((TRUE * sigma**2 / (TRUE + sigma**2)).mean())


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_many_states_give_the_best_denoiser_there_is(sigma):
    assert error(Weather.fitted(*drawn(30, 20)), sigma) == pytest.approx(best(sigma), rel=0.06)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_few_states_give_a_better_denoiser_than_their_own_covariance(sigma):
    x, c, names = drawn(6, 5)
    fitted = Weather.fitted(x, c, names)
    _, size, right = torch.linalg.svd(x.flatten(1), full_matrices=False)
    own = Weather(right, torch.cat([size**2 / len(x), torch.tensor([1e-4])]), torch.zeros(2), torch.zeros(2))
    assert error(fitted, sigma) < error(own, sigma)


def test_directions_are_orthonormal_and_variances_fall():
    fitted = Weather.fitted(*drawn(6, 5))
    rank = len(fitted.basis)
    torch.testing.assert_close(fitted.basis @ fitted.basis.T, torch.eye(rank), atol=1e-4, rtol=0)
    assert (fitted.variances[:-1].diff() <= 1e-6).all() and (fitted.variances > 0).all()


def test_all_variance_is_accounted_for():
    x, c, names = drawn(40, 10)
    fitted = Weather.fitted(x, c, names)
    known = Gaussian(x[:1], fitted.basis, fitted(c[:1] * 0))
    assert float(known.size()[0]) == pytest.approx(float(x.square().mean()), rel=0.1)


def test_the_amplitude_follows_the_parameters_and_stays_at_the_edge_of_what_was_seen():
    x, c, names = drawn(40, 15, slope=1.0)
    fitted = Weather.fitted(x, c, names)
    assert fitted.slopes.tolist() == pytest.approx([1.0, 0.0], abs=0.1)
    ask = torch.tensor([[0.0, 0.0], [1.0, 0.0], [50.0, 0.0], [-50.0, 0.0]])
    a = fitted(ask)[:, 0] / TRUE[0]
    assert a[:2].tolist() == pytest.approx([1, np.e], rel=0.15)
    seen = c[:, 0].exp()
    assert float(a[2]) == pytest.approx(float(seen.max()), rel=0.3)
    assert float(a[3]) == pytest.approx(float(seen.min()), rel=0.3)


@pytest.mark.parametrize(("settings", "states"), [(1, 1), (1, 2), (1, 30), (2, 1), (3, 4)])
def test_however_few_the_states_the_covariance_is_positive(settings, states):
    fitted = Weather.fitted(*drawn(settings, states))
    assert torch.isfinite(fitted.basis).all() and (fitted.variances > 0).all()
    assert torch.isfinite(fitted(torch.randn(3, 2))).all()


def test_no_weather_at_all_leaves_a_little():
    x, c, names = drawn(3, 4)
    assert (Weather.fitted(0 * x, c, names).variances > 0).all()
