"""The preconditioned network in closed form: what goes into it, what its answer is multiplied by, what it learns."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ldm_ocean.generative.conditions import Condition, season_angle
from ldm_ocean.generative.denoiser import Denoiser, training_sigma
from ldm_ocean.generative.prior import Prior, kernel

from .test_denoiser import condition
from .test_prior import simulated

SPREAD, ERROR = 0.3, 0.7
SIGMA = torch.tensor([0.02, 0.3, 1.0, 5.0, 40.0])
SIZES = {"with a context": ERROR, "without a context": SPREAD, "without parameters": 1.0}


class Constant(nn.Module):
    """A network that answers ``value`` and remembers what it was asked."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(self, x, noise_level, condition):
        self.asked = x, noise_level
        return torch.full_like(x, self.value)


def denoiser(value: float) -> Denoiser:
    prior = Prior(1, 2, 3, 4)
    prior.spread.fill_(SPREAD)
    prior.error.fill_(ERROR)
    return Denoiser(Constant(value), prior)


def given(case: str, batch: int) -> Condition:
    """Conditions of a case, the mean state zero where nothing is known."""
    c = condition(batch, 3, 4)
    context, known = (torch.full((batch,), float(case != k)) for k in ("without a context", "without parameters"))
    return replace(c, has_context=context * known, has_parameters=known)


@pytest.mark.parametrize("case", SIZES)
def test_the_network_s_answer_counts_by_the_noise_and_the_prior_together(case):
    """∂D/∂F = c_out = σ s/√(σ² + s²): half of the harmonic kind, s for much noise and σ for little."""
    torch.manual_seed(0)
    c, z, s = given(case, 5), torch.randn(5, 3, 4), SIZES[case]
    one, none = denoiser(1.0)(z, SIGMA, c), denoiser(0.0)(z, SIGMA, c)
    expected = (1 / SIGMA**2 + 1 / s**2).rsqrt()
    torch.testing.assert_close(one - none, expected[:, None, None].expand(5, 3, 4), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", SIZES)
def test_sampling_or_learning_the_network_sees_unit_variance_and_a_quarter_of_the_noise_s_logarithm(case):
    torch.manual_seed(0)
    c, s, d = given(case, 5), SIZES[case], denoiser(0.0)
    mean = c.mean * c.has_parameters[:, None, None]
    z = mean + (SIGMA**2 + s**2).sqrt()[:, None, None]
    for ask in (lambda: d(z, SIGMA, c), lambda: d.loss(z - SIGMA[:, None, None], torch.ones_like(z), SIGMA, c)):
        ask()
        x, level = d.network.asked
        torch.testing.assert_close(x, torch.ones(5, 3, 4), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(level, SIGMA.log() / 4)


@pytest.mark.parametrize("case", SIZES)
@pytest.mark.parametrize("sigma", [0.05, 0.5, 20.0])
def test_what_the_network_learns_has_unit_variance_at_every_noise_level(case, sigma):
    """Of latents N(μ, s²) nothing can be told but the prior's estimate: the loss of answering 0 is one."""
    torch.manual_seed(0)
    c, d = given(case, 4000), denoiser(0.0)
    z = c.mean * c.has_parameters[:, None, None] + SIZES[case] * torch.randn(4000, 3, 4)
    loss = d.loss(z, torch.randn(4000, 3, 4), torch.full((4000,), sigma), c)
    assert loss.shape == (4000,)
    assert float(loss.mean()) == pytest.approx(1.0, abs=0.04)


def test_the_loss_is_the_square_of_what_the_estimate_misses_in_units_of_its_weight():
    torch.manual_seed(0)
    c, z, noise = given("with a context", 5), torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    d = denoiser(0.4)
    missed = d(z + SIGMA[:, None, None] * noise, SIGMA, c) - z
    c_out = (1 / SIGMA**2 + 1 / ERROR**2).rsqrt()[:, None, None]
    torch.testing.assert_close(d.loss(z, noise, SIGMA, c), (missed / c_out).square().mean((1, 2)), rtol=1e-3, atol=1e-4)


def test_the_unconditional_half_of_guidance_knows_no_parameters_and_is_else_the_same():
    torch.manual_seed(0)
    c, z = condition(5, 3, 4), torch.randn(5, 3, 4)
    free = c.without_parameters()
    assert (free.has_parameters == 0).all() and (c.has_parameters == 1).all()
    assert all(torch.equal(v, getattr(c, k)) for k, v in vars(free).items() if k != "has_parameters")
    expected = z / (1 + SIGMA[:, None, None] ** 2)  # of the prior N(0, 1)
    torch.testing.assert_close(denoiser(0.0)(z, SIGMA, free), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("curve", "mean", "spread"), [("edm", -0.8, 1.4), ("flow", 0.0, 1.2)])
def test_noise_levels_of_training_are_log_normal(curve, mean, spread):
    found = training_sigma(torch.tensor([0.5, 0.8413447, 0.1586553]), curve).log()
    torch.testing.assert_close(found, torch.tensor([mean, mean + spread, mean - spread]), atol=1e-4, rtol=1e-4)


def test_the_season_is_an_angle_that_starts_in_january():
    found = season_angle(torch.tensor([0.0, 0.25, 0.5, 1.0]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0], [0, 1], [-1, 0], [1, 0]]), atol=1e-6, rtol=0)


def test_a_left_out_mean_year_is_kriged_from_the_others_alone():
    """b̂_s = b̄ + k(c_s, others) K⁻¹(others) (b − b̄): the shortcut through the whole inverse is exact."""
    prior = Prior(8, 2, 3, 2)
    prior.fit(*simulated(8, 12, 0.3))
    known, middle = prior.settings.double(), prior.years.double().mean(0)
    for s, found in enumerate(prior.left_out()):
        others = [i for i in range(8) if i != s]
        own = kernel(known[others], known[others], prior.length) + prior.nugget * torch.eye(7)
        w = kernel(known[s : s + 1], known[others], prior.length) @ torch.linalg.inv(own)
        expected = middle + torch.einsum("s,skne->kne", w[0], prior.years[others].double() - middle)
        torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


def test_the_prior_s_sizes_are_those_of_the_weather_and_of_the_error_at_left_out_settings():
    z, p, s, names = simulated(20, 24, 0.3)
    prior = Prior(20, 2, 3, 2)
    report = prior.fit(z, p, s, names)
    assert float(prior.spread) == pytest.approx(0.3, rel=0.05)
    assert float(prior.error) == pytest.approx(report["held_out_variance"] ** 0.5, rel=1e-5)
    assert float(prior.error) > float(prior.spread)
