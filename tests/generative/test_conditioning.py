"""The preconditioned network in closed form: what goes into it, what its answer is multiplied by, what it learns."""

import pytest
import torch
from torch import nn

from ldm_ocean.generative.conditions import season_angle
from ldm_ocean.generative.denoiser import Denoiser, training_sigma

from .test_denoiser import condition, statistics

SIGMA = torch.tensor([0.02, 0.3, 1.0, 5.0, 40.0])
CASES = ("with parameters", "without parameters")


class Constant(nn.Module):
    """A network that answers ``value`` and remembers what it was asked."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(self, x, noise_level, condition):
        self.asked = x, noise_level
        return torch.full_like(x[..., : x.shape[-1] // 2], self.value)


def denoiser(value: float) -> Denoiser:
    return Denoiser(Constant(value), *statistics(2, 3, 4))


def given(case: str, batch: int):
    c = condition(batch, 3, 4)
    return c if case == "with parameters" else c.without_parameters()


def covariance(d: Denoiser, c) -> torch.Tensor:
    """C (B, 12, 12) of the weather at the parameters, or 1 without."""
    g = d.gaussian(c)
    one = torch.eye(12).expand(len(c.mean), 12, 12)
    return g.apply(one, lambda v: v)


def test_without_parameters_nothing_is_known_but_that_latents_have_unit_variance():
    d, c = denoiser(0.0), given("without parameters", 5)
    torch.testing.assert_close(covariance(d, c), torch.eye(12).expand(5, 12, 12), atol=1e-5, rtol=1e-5)
    assert not d.gaussian(c).mean.any()


def test_the_covariance_is_the_weather_s_at_the_parameters_asked_for():
    d, c = denoiser(0.0), given("with parameters", 5)
    torch.testing.assert_close(d.gaussian(c).variances, d.weather(c.parameters))
    torch.testing.assert_close(d.gaussian(c).mean, c.mean)


@pytest.mark.parametrize("case", CASES)
def test_the_network_s_answer_counts_by_what_noise_and_weather_together_leave_open(case):
    """D(F = 1) − D(F = 0) = L 1,  L² = (1/σ² + C⁻¹)⁻¹."""
    torch.manual_seed(0)
    c, z = given(case, 5), torch.randn(5, 3, 4)
    one, none = denoiser(1.0), denoiser(0.0)
    precision = torch.linalg.inv(covariance(one, c).double()) + torch.eye(12) / SIGMA.double()[:, None, None] ** 2
    values, vectors = torch.linalg.eigh(precision)
    root = vectors @ (values[..., None] ** -0.5 * vectors.mT)
    expected = root.sum(-1).view(5, 3, 4).float()
    torch.testing.assert_close(one(z, SIGMA, c) - none(z, SIGMA, c), expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_sampling_or_learning_the_network_sees_unit_variance_and_a_quarter_of_the_noise_s_logarithm(case):
    torch.manual_seed(0)
    c, d = given(case, 5), denoiser(0.0)
    g = d.gaussian(c)
    z = g.mean + (SIGMA**2 + g.size()).sqrt()[:, None, None]
    for ask in (lambda: d(z, SIGMA, c), lambda: d.loss(z - SIGMA[:, None, None], torch.ones_like(z), SIGMA, c)):
        ask()
        x, level = d.network.asked
        torch.testing.assert_close(x[..., :4], torch.ones(5, 3, 4), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(level, SIGMA.log() / 4)


def test_the_network_is_told_what_linear_statistics_make_of_the_noisy_latents():
    torch.manual_seed(0)
    c, d, z = given("with parameters", 5), denoiser(0.0), torch.randn(5, 3, 4)
    d(z, SIGMA, c)
    g = d.gaussian(c)
    told = (g.estimate(z, SIGMA) - g.mean) / g.size().sqrt()[:, None, None]
    torch.testing.assert_close(d.network.asked[0][..., 4:], told)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sigma", [0.05, 0.5, 20.0])
def test_what_the_network_learns_has_unit_variance_at_every_noise_level(case, sigma):
    """Of latents N(μ, C) nothing can be told but the prior's estimate: the loss of answering 0 is one."""
    torch.manual_seed(0)
    c, d = given(case, 4000), denoiser(0.0)
    g = d.gaussian(c)
    z = g.noisy(torch.randn(4000, 3, 4), torch.zeros(4000))
    loss = d.loss(z, torch.randn(4000, 3, 4), torch.full((4000,), sigma), c)
    assert loss.shape == (4000,)
    assert float(loss.mean()) == pytest.approx(1.0, abs=0.04)


def test_the_loss_is_the_square_of_what_the_estimate_misses_in_units_of_what_is_open():
    torch.manual_seed(0)
    c, z, noise = given("with parameters", 5), torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    d = denoiser(0.4)
    missed = d(z + SIGMA[:, None, None] * noise, SIGMA, c) - z
    precision = torch.linalg.inv(covariance(d, c)) + torch.eye(12) / SIGMA[:, None, None] ** 2
    left = torch.linalg.inv(precision).diagonal(dim1=1, dim2=2).mean(1)
    torch.testing.assert_close(d.loss(z, noise, SIGMA, c), missed.square().mean((1, 2)) / left, rtol=1e-3, atol=1e-4)


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
