"""Guidance gives the Gaussian posterior where everything is Gaussian, and costs what it says."""

import pytest
import torch

from ldm_ocean.errors import UserError
from ldm_ocean.generative.gaussian import Gaussian
from ldm_ocean.generative.guidance import SIGMA_GUIDED, Constrained, conditioned, observed
from ldm_ocean.generative.sampling import noise_levels, sample

from .test_gaussian import alike

N, S, MU = 6, 0.2, 0.7


def gaussian(z, sigma):
    """The exact denoiser of N(μ, s²)."""
    return MU + S**2 / (S**2 + sigma[:, None, None] ** 2) * (z - MU)


def linear(a, b, tau):
    """(a·z − b)/τ of latents (B, N, 1) as the only residual."""
    return lambda z: [((z[..., 0] @ a - b) / tau)[:, None]]


def drawn(residuals, members=4000, steps=40):
    noise, levels = _start(members, steps)
    return sample(Constrained(gaussian, residuals, known(members)), noise, levels, known(members))[..., 0]


def known(members: int) -> Gaussian:
    return alike(torch.full((members, N, 1), MU), S**2)


@pytest.mark.parametrize("tau", [0.1, 0.3, 2.0])
def test_guided_samples_of_a_gaussian_have_its_posterior_mean_and_variance(tau):
    a, b = torch.linspace(-1, 1.5, N), 0.1
    z = drawn(linear(a, b, tau)) @ a
    prior = S**2 * float(a @ a)
    variance = 1 / (1 / prior + 1 / tau**2)
    assert float(z.mean()) == pytest.approx(variance * (MU * float(a.sum()) / prior + b / tau**2), abs=0.05 * S)
    assert float(z.std()) == pytest.approx(variance**0.5, rel=0.1, abs=0.01)


def test_a_tight_constraint_is_met_to_its_tolerance():
    a = torch.linspace(-1, 1.5, N)
    assert float((drawn(linear(a, 0.1, 0.02)) @ a - 0.1).square().mean().sqrt()) < 0.02


def test_what_a_constraint_does_not_see_is_left_alone():
    a, across = torch.ones(N), torch.tensor([1.0, -1, 1, -1, 1, -1])
    z = drawn(linear(a, 0.0, 0.01)) @ across
    assert float(z.mean()) == pytest.approx(0, abs=0.02)
    assert float(z.std()) == pytest.approx(S * N**0.5, rel=0.05)


def test_constraints_compose_in_any_order():
    one, two = linear(torch.ones(N), 3.0, 0.1), linear(torch.linspace(-1, 1, N), 0.2, 0.1)
    both = drawn(lambda z: one(z) + two(z), 50)
    torch.testing.assert_close(both, drawn(lambda z: two(z) + one(z), 50), atol=1e-4, rtol=1e-4)
    assert float((both.sum(1) - 3).abs().mean()) < 0.2 and float((both @ torch.linspace(-1, 1, N)).mean()) > 0.15


def test_a_state_that_obeys_is_not_moved():
    free = drawn(lambda z: [0 * z[:, 0]], 20)
    torch.testing.assert_close(free, drawn(lambda z: [(z[:, 0] * 0).clamp_min(0)], 20))
    torch.testing.assert_close(free, sample(gaussian, *_start(20, 40), known(20))[..., 0])


def _start(members, steps):
    torch.manual_seed(0)
    return torch.randn(members, N, 1), noise_levels(steps)


def test_one_observation_of_a_linear_residual_is_the_kalman_update():
    x, a = torch.randn(3, N), torch.randn(N)
    moved = observed(x, lambda rows: 2 * rows, lambda x: (x @ a - 1)[:, None] / 0.5)
    gain = 2 * a / (2 * a @ a + 0.25)
    torch.testing.assert_close(moved, x - (x @ a - 1)[:, None] * gain)


def test_two_constraints_that_say_the_same_thing_too_sharply_are_refused_in_words():
    same = linear(torch.ones(N), 1.0, 1e-9)
    with pytest.raises(UserError, match="widen their tolerances"):
        drawn(lambda z: same(z) + same(z), 2)


def test_an_observation_moves_most_where_the_weather_varies_most():
    """Two latents of variance 4 and ¼ whose sum is observed: the move is shared by the variances."""
    turn = torch.tensor([[1.0, 0.0]])
    weather = Gaussian(torch.zeros(1, 2, 1), turn, torch.tensor([[4.0, 0.25]]))
    sum_is_one = lambda z: [(z.sum((1, 2)) - 1)[:, None] / 1e-3]  # noqa: E731
    sigma = torch.tensor([1.0])
    moved = Constrained(lambda z, sigma: 0 * z, sum_is_one, weather)(torch.zeros(1, 2, 1), sigma).flatten()
    left = torch.tensor([4 / 5, 0.25 / 1.25])
    torch.testing.assert_close(moved, left / left.sum(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_mean_states_drawn_under_a_constraint_have_the_posterior_mean_and_spread(tau):
    """m = B ξ, the weather w of variance 2 unknown: a·(m + w) = b ± τ."""
    rng = torch.Generator().manual_seed(1)
    matrix, a, b = torch.randn(N, 3, generator=rng), torch.randn(N, generator=rng), 0.5
    xi, noise = torch.randn(20000, 3, generator=rng), torch.randn(20000, 1, generator=rng)
    residual = lambda z: (z[..., 0] @ a - b)[:, None] / tau  # noqa: E731
    weather = alike(torch.zeros(20000, N, 1), 2.0)
    new = conditioned(xi, lambda x: (x @ matrix.T)[..., None], residual, weather, noise)
    row = a @ matrix
    error = tau**2 + 2 * a @ a
    mean = b * row / (row @ row + error)
    covariance = torch.eye(3) - torch.outer(row, row) / (row @ row + error)
    torch.testing.assert_close(new.mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(new.T), covariance, atol=0.04, rtol=0)


def test_a_step_costs_one_network_and_the_first_and_those_below_the_limit_one_decoder_evaluation():
    calls = {"network": 0, "decoder": 0}

    def counted(name, function):
        def wrapped(*arguments):
            calls[name] += 1
            return function(*arguments)

        return wrapped

    noise, levels = _start(2, 18)
    residuals = counted("decoder", linear(torch.ones(N), 0.0, 1.0))
    sample(Constrained(counted("network", gaussian), residuals, known(2)), noise, levels, known(2))
    assert calls == {"network": 18, "decoder": 1 + int((levels[:-1] <= SIGMA_GUIDED).sum())} and calls["decoder"] == 8
