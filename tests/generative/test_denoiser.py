import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ldm_ocean.autoencoder.codec import IdentityCodec
from ldm_ocean.errors import UserError
from ldm_ocean.generative.conditions import Condition, ParameterScaler, season_angle
from ldm_ocean.generative.denoiser import Denoiser, sigma_of_time, time_of_sigma, training_sigma
from ldm_ocean.generative.dit import DiT
from ldm_ocean.generative.guidance import ClassifierFree
from ldm_ocean.generative.prior import Prior
from ldm_ocean.generative.process import GaussianProcess
from ldm_ocean.generative.sampling import generator, member_noise, noise_levels, sample
from ldm_ocean.generative.weather import Weather
from ldm_ocean.nn.attention import Attention, rotary_angles
from ldm_ocean.ocean.fields import Field, Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import small_mesh
from .test_gaussian import alike


def condition(batch: int, tokens: int, channels: int, parameters: int = 2) -> Condition:
    return Condition(
        parameters=torch.randn(batch, parameters),
        season=season_angle(torch.rand(batch)),
        mean=torch.randn(batch, tokens, channels),
        has_parameters=torch.ones(batch),
    )


def statistics(parameters: int, tokens: int, channels: int, rank: int = 5) -> tuple[Prior, Weather]:
    """A prior of two settings that are alike, and weather in some directions more than in others."""
    zeros = torch.zeros
    process = GaussianProcess(zeros(2, parameters), zeros(2, 1), torch.ones(1, parameters), *torch.ones(3, 1))
    shape = (5, tokens, channels)
    prior = Prior(
        process,
        middle=zeros(shape),
        directions=zeros(1, *shape),
        pooled=zeros(shape),
        gain=zeros(1),
        doubt=zeros(1),
        shown=zeros(1),
    )
    rng, size = torch.Generator().manual_seed(1), tokens * channels
    rank = min(rank, size)
    basis = torch.linalg.qr(torch.randn(size, size, generator=rng))[0][:rank]
    weather = Weather(basis, torch.linspace(2, 0.2, rank + 1), torch.full((parameters,), 0.3), torch.tensor([-1.0, 1]))
    return prior, weather


def gaussian_denoiser(mean: float, spread: float):
    """E[z | z_σ] of a Gaussian, in closed form."""
    return lambda z, sigma: mean + spread**2 / (spread**2 + sigma[:, None, None] ** 2) * (z - mean)


@pytest.mark.parametrize("steps", [1, 2, 18])
@pytest.mark.parametrize("curve", ["edm", "flow"])
def test_without_a_network_the_best_gaussian_is_sampled_exactly_in_any_number_of_steps(steps, curve):
    """z = μ + C^½ n of the noise n, whatever the steps."""
    torch.manual_seed(0)
    denoiser, c = Denoiser(None, *statistics(2, 3, 4)), condition(6, 3, 4)
    known, noise = denoiser.gaussian(c), torch.randn(6, 3, 4)
    z = sample(ClassifierFree(denoiser, c), noise, noise_levels(steps, curve), known)
    torch.testing.assert_close(z, known.noisy(noise, torch.zeros(6)), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("curve", ["edm", "flow"])
def test_an_analytic_gaussian_is_recovered_from_another_that_is_known(curve):
    levels, noise = noise_levels(18, curve), member_noise((2, 2), 0, range(4096))
    known = alike(torch.full((4096, 2, 2), 1.0), 0.81)
    z = sample(gaussian_denoiser(1.5, 0.7), noise, levels, known)
    assert float(z.mean()) == pytest.approx(1.5, abs=0.03)
    assert float(z.std()) == pytest.approx(0.7, rel=0.03)


def two_peaks(z, sigma):
    """E[z | z_σ] of peaks of spread 0.44 at −0.9 and 0.9."""
    total = 0.44**2 + sigma[:, None, None] ** 2
    near = 0.9 * torch.tanh(0.9 * z / total)
    return near + 0.44**2 / total * (z - near)


def test_the_solver_is_of_second_order():
    """A quarter of the step, a sixteenth of the error."""
    noise = member_noise((1, 3), 1, range(64)).double()
    known = alike(torch.zeros(64, 1, 3).double(), 1.0)
    ends = {n: sample(two_peaks, noise, noise_levels(n).double(), known) for n in (32, 128, 2048)}
    errors = [float((ends[n] - ends[2048]).square().mean().sqrt()) for n in (32, 128)]
    assert errors[0] / errors[1] > 12


def test_flow_and_edm_agree():
    t = torch.linspace(0.01, 0.97, 50)
    assert torch.allclose(time_of_sigma(sigma_of_time(t)), t, atol=1e-5)
    z, n = torch.randn(50, 1, 1), torch.randn(50, 1, 1)
    sigma = sigma_of_time(t)[:, None, None]
    assert torch.allclose(
        (1 - t)[:, None, None] * (z + sigma * n), (1 - t)[:, None, None] * z + t[:, None, None] * n, atol=1e-5
    )
    known = alike(torch.zeros(8, 1, 3), 1.0)
    ends = [
        sample(gaussian_denoiser(-0.4, 1.2), member_noise((1, 3), 1, range(8)), noise_levels(200, c), known)
        for c in ("edm", "flow")
    ]
    assert torch.allclose(*ends, atol=2e-2)


def test_both_curves_draw_noise_levels_across_the_sampler_s_range():
    u = torch.linspace(0.001, 0.999, 999)
    for curve in ("edm", "flow"):
        sigma = training_sigma(u, curve)
        assert (sigma.diff() >= 0).all()
        assert sigma[0] < 0.05 and sigma[-1] > 10


def test_packed_attention_equals_masked_attention():
    torch.manual_seed(0)
    attention = Attention(24, 2)
    position = torch.rand(10, 3) * 50
    angles = rotary_angles(position, 6, None)
    wet = torch.tensor([0, 2, 3, 7, 9])
    x = torch.randn(2, 10, 24)
    mask = torch.zeros(2, 10, dtype=torch.bool)
    mask[:, wet] = True
    packed = attention(x[:, wet], angles[wet])
    masked = attention(x, angles, mask)[:, wet]
    assert torch.allclose(packed, masked, atol=1e-5)


def test_a_periodic_longitude_has_no_seam():
    position = torch.tensor([[10.0, 2.0, 5.0], [10.0, 54.0, 5.0]])
    a, b = rotary_angles(position, 9, period=52.0)
    assert torch.allclose(a.cos(), b.cos(), atol=1e-4)
    assert torch.allclose(a.sin(), b.sin(), atol=1e-4)


def test_a_new_transformer_returns_the_best_gaussian_s_own_denoiser():
    denoiser = Denoiser(DiT(4, 2, 16, 1, 2, torch.rand(3, 3)), *statistics(2, 3, 4))
    c, z, sigma = condition(5, 3, 4), torch.randn(5, 3, 4), torch.rand(5) + 0.1
    torch.testing.assert_close(denoiser(z, sigma, c), denoiser.gaussian(c).estimate(z, sigma))


def test_a_parameter_of_one_value_is_refused_for_nothing_can_be_learnt_of_it():
    with pytest.raises(UserError, match=r"^mixing has the same value in every training setting"):
        ParameterScaler(["wind", "mixing"]).fit(np.array([[0.1, 5.0], [0.2, 5.0], [0.3, 5.0]]))


def test_what_is_dropped_has_no_influence():
    torch.manual_seed(0)
    network = DiT(4, 2, 16, 2, 2, torch.rand(3, 3))
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.3)
    denoiser = Denoiser(network, *statistics(2, 3, 4))
    c = replace(condition(2, 3, 4), has_parameters=torch.zeros(2))
    other = replace(c, parameters=c.parameters + 3, season=-c.season, mean=c.mean + 1)
    z, sigma = torch.randn(2, 3, 4), torch.ones(2)
    assert torch.equal(denoiser(z, sigma, c), denoiser(z, sigma, other))


def test_guidance_of_weight_one_is_the_plain_model_and_costs_one_evaluation():
    denoiser = Denoiser(DiT(4, 2, 16, 1, 2, torch.rand(3, 3)), *statistics(2, 3, 4))
    c, z, sigma = condition(2, 3, 4), torch.randn(2, 3, 4), torch.ones(2)
    plain, free = denoiser(z, sigma, c), denoiser(z, sigma, c.without_parameters())
    calls = []

    def counted(*given):
        calls.append(given)
        return denoiser(*given)

    assert torch.equal(ClassifierFree(counted, c)(z, sigma), plain) and len(calls) == 1
    assert torch.allclose(ClassifierFree(denoiser, c, 3.0)(z, sigma), free + 3 * (plain - free), atol=1e-5)


def test_member_noise_depends_on_seed_step_and_member_only():
    assert torch.equal(member_noise((3,), 7, range(5))[2:4], member_noise((3,), 7, range(2, 4)))
    draws = {
        tuple(member_noise((3,), s, range(m, m + 1), t)[0].tolist()) for s in (0, 1) for m in (0, 1) for t in (0, 1)
    }
    assert len(draws) == 8
    assert generator(1, 2).initial_seed() != generator(2, 1).initial_seed()


def one_cell_ocean() -> tuple[Fields, OceanGrid]:
    """Two variables in one wet cell: the smallest state there is."""
    mesh = {k: v[..., :1, :1].copy() for k, v in OceanGrid.from_dataset(small_mesh()).mesh.items() if v.ndim > 1}
    mesh = {k: (v[:1] if v.ndim == 3 else v) for k, v in mesh.items()}
    for name in ("tmask", "umask", "vmask"):
        mesh[name][:] = True
    mesh["gdept"] = np.array([5.0])
    return Fields([Field("a", "tmask", True), Field("b", "tmask", True)]), OceanGrid(mesh)


def unconditional(batch: int) -> Condition:
    return Condition(torch.zeros(batch, 1), torch.zeros(batch, 2), torch.zeros(batch, 1, 2), torch.zeros(batch))


def test_a_gaussian_mixture_is_learned_through_the_identity_codec():
    """Weights ¼ and ¾ at (−1.5, 0) and (0.5, 0), spread 0.2 and 0.4: moments and weights come back."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    fields, grid = one_cell_ocean()
    first = rng.random(4096) < 0.25
    centre = np.where(first[:, None], [-1.5, 0.0], [0.5, 0.0])
    points = centre + np.where(first, 0.2, 0.4)[:, None] * rng.standard_normal((4096, 2))
    states = torch.from_numpy(points.astype("float32")).view(-1, 2, 1, 1, 1)
    codec = IdentityCodec(fields, grid)
    codec.fit_statistics(states)
    z = codec.encode(states)
    denoiser = Denoiser(DiT(2, 1, 48, 2, 2, codec.token_position), *statistics(1, 1, 2))
    optimiser = torch.optim.AdamW(denoiser.parameters(), 2e-3)
    for i in range(1200):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * i / 1200))
        batch = z[torch.randint(len(z), (256,))]
        c = unconditional(256)
        loss = denoiser.loss(batch, torch.randn_like(batch), training_sigma(torch.rand(256), "edm"), c).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    members, levels = 4000, noise_levels(18)
    c = unconditional(members)
    noise = member_noise((1, 2), 0, range(members))
    drawn = sample(ClassifierFree(denoiser, c), noise, levels, denoiser.gaussian(c))
    x = codec.decode(drawn).reshape(members, 2)
    left = x[:, 0] < -0.75
    assert float(left.float().mean()) == pytest.approx(0.25, abs=0.04)
    assert x[left].mean(0).tolist() == pytest.approx([-1.5, 0.0], abs=0.08)
    assert x[~left].mean(0).tolist() == pytest.approx([0.5, 0.0], abs=0.08)
    assert x[left].std(0).tolist() == pytest.approx([0.2, 0.2], rel=0.25)
    assert x[~left].std(0).tolist() == pytest.approx([0.4, 0.4], rel=0.15)
