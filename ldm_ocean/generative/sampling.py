"""From noise to latents: a second-order multistep solver of the probability-flow ODE.

    dz/dσ = (z − D(z, σ))/σ,    with λ = −ln σ:   z(σ') = (σ'/σ) z + (1 − σ'/σ) D̄,
    D̄ = (1 + r/2) D_i − (r/2) D_{i−1},  r = (λ_{i+1} − λ_i)/(λ_i − λ_{i−1})     (DPM-Solver++ 2M, Lu et al. 2022)

One network evaluation a step. Starting from a partly noised state instead of pure noise gives ensembles around it.
"""

from collections.abc import Callable
from itertools import pairwise

import torch

from .denoiser import SIGMA_MAX, SIGMA_MIN, sigma_of_time, time_of_sigma

RHO = 7.0


def noise_levels(steps: int, curve: str = "edm", start: float = SIGMA_MAX) -> torch.Tensor:
    """``steps`` decreasing noise levels and a final 0.

    ``edm``: powers of ρ = 7 (Karras et al. 2022); ``flow``: uniform in flow time.
    """
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    if curve == "edm":
        levels = (start ** (1 / RHO) + ramp * (SIGMA_MIN ** (1 / RHO) - start ** (1 / RHO))) ** RHO
    else:
        t0, t1 = (time_of_sigma(torch.tensor(s, dtype=torch.float64)) for s in (start, SIGMA_MIN))
        levels = sigma_of_time(t0 + ramp * (t1 - t0))
    return torch.cat([levels, levels.new_zeros(1)]).float()


def step(z, estimate, previous, sigma, next_sigma, last_sigma):
    """One step from ``sigma`` to ``next_sigma``; ``previous`` is the estimate at ``last_sigma``, or None."""
    if previous is not None and next_sigma > 0:
        r = torch.log(sigma / next_sigma) / torch.log(last_sigma / sigma)
        estimate = (1 + r / 2) * estimate - r / 2 * previous
    ratio = next_sigma / sigma
    return ratio * z + (1 - ratio) * estimate


@torch.no_grad()
def sample(denoise: Callable, start: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Integrate ``denoise(z, sigma (B,)) → z`` from ``start`` (B, N, C), which has noise ``levels[0]``, down to 0."""
    z, previous = start, None
    for i, (sigma, next_sigma) in enumerate(pairwise(levels)):
        estimate = denoise(z, sigma.expand(len(z)))
        z = step(z, estimate, previous, sigma, next_sigma, levels[i - 1])
        previous = estimate
    return z


def member_noise(shape: tuple[int, ...], seed: int, members: range, step_number: int = 0) -> torch.Tensor:
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
