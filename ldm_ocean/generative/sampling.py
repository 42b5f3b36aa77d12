"""From noise to latents: the probability-flow ODE, exact where all is Gaussian.

    dz/dσ = (z − D(z, σ))/σ,    D = μ + K (z − μ) + L F,    w = (C + σ²)^(−½) (z − μ)
    dw = −F dθ,    θ = arctan(σ C^(−½)):    w(σ') = w(σ) + F̄ (θ − θ'),    z(0) = μ + C^½ w(0)

w starts as unit noise and stays where F = 0: N(μ, C) is then drawn exactly, in any number of steps. F is taken to
second order from two steps (Adams & Bashforth),

    F̄ = (1 + r/2) F_i − (r/2) F_{i−1},    r = (θ_i − θ_{i+1})/(θ_{i−1} − θ_i)

One network evaluation a step. Whatever denoises counts as L F for what it adds to the Gaussian: guidance, constraints.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from .denoiser import SIGMA_MAX, SIGMA_MIN, sigma_of_time, time_of_sigma
from .gaussian import Gaussian

RHO = 7.0


def noise_levels(steps: int, curve: str = "edm") -> Tensor:
    """``steps`` decreasing noise levels and a final 0.

    ``edm``: powers of ρ = 7 (Karras et al. 2022); ``flow``: uniform in flow time.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    if curve == "edm":
        levels = (SIGMA_MAX ** (1 / RHO) + ramp * (SIGMA_MIN ** (1 / RHO) - SIGMA_MAX ** (1 / RHO))) ** RHO
    else:
        t0, t1 = (time_of_sigma(torch.tensor(s, dtype=torch.float64)) for s in (SIGMA_MAX, SIGMA_MIN))
        levels = sigma_of_time(t0 + ramp * (t1 - t0))
    return torch.cat([levels, levels.new_zeros(1)]).float()


@torch.no_grad()
def sample(denoise: Callable, noise: Tensor, levels: Tensor, known: Gaussian) -> Tensor:
    """Integrate ``denoise(z, sigma (B,)) → z`` from unit ``noise`` (B, N, C) at ``levels[0]`` down to 0.

    ``known`` is the Gaussian that the denoiser is about.
    """
    w, before, past = noise, noise, None
    for sigma, next_sigma in pairwise(levels):
        each, step = sigma.expand(len(w)), partial(_turned, sigma, next_sigma)
        z = known.noisy(w, each)
        answer = known.answered(denoise(z, each) - known.estimate(z, each), each)
        w = w + known.apply(answer, step)
        if past is not None and next_sigma > 0:  # the last step keeps what the last estimate has been held to
            w = w + known.apply(answer - before, partial(_second, step, past))
        before, past = answer, step
    return known.noisy(w, levels[-1].expand(len(w)))


def _turned(sigma: Tensor, next_sigma: Tensor, variances: Tensor) -> Tensor:
    """θ_i − θ_{i+1}."""
    return torch.arctan(sigma / variances.sqrt()) - torch.arctan(next_sigma / variances.sqrt())


def _second(step: Callable, past: Callable, variances: Tensor) -> Tensor:
    """(θ_i − θ_{i+1}) r/2."""
    return step(variances) ** 2 / (2 * past(variances))


def member_noise(shape: tuple[int, ...], seed: int, members: range, step_number: int = 0) -> Tensor:
    """Standard normal (len(members), *shape): each member's numbers depend on (seed, step, member) only."""
    return torch.stack([torch.randn(shape, generator=generator(seed, step_number, m)) for m in members])


def generator(*key: int) -> torch.Generator:
    """A random generator for a tuple of integers, independent between tuples (SplitMix64 over the key)."""
    state = 0
    for k in key:
        state = (state + int(k) + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return torch.Generator().manual_seed(state & 0x7FFFFFFFFFFFFFFF)
