"""Guidance: a denoiser that wraps a denoiser.

    classifier-free   D_w = D_∅ + w (D_c − D_∅)                                (Ho & Salimans 2021)

    constraints       D'  = D − c Jᵀ (J c Jᵀ + 1)⁻¹ r(decode(D)),    J = ∂r(decode(D))/∂D,    c = C σ²(C + σ²)⁻¹

The second is the mean of N(D, c) once r = 0 has been observed with unit error (as in Song et al. 2023, Rozet et al.
2024, with the covariance C of the weather in place of the network's Jacobian). r is asked of the decoded
*denoised* estimate: density is not linear, so a constraint on the noisy state would hold for a state nobody gets.
Where the parameters leave the mean state open, constraints on it are met there first (``conditioned``).
"""

from collections.abc import Callable

import torch

from ..errors import UserError
from .conditions import Condition
from .gaussian import Gaussian

Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(z (B, N, C), σ (B,)) → the estimate of the clean latents (B, N, C)."""
Residuals = Callable[[torch.Tensor], list[torch.Tensor]]
"""Latents (B, N, C) → a (B, K) for each constraint, in units of its tolerance."""
SIGMA_GUIDED = 1.0
TOGETHER = 32  # members decoded at once


class ClassifierFree:
    """w = 1 is the plain conditional model, one network evaluation a step; two otherwise."""

    def __init__(self, denoiser: Callable, condition: Condition, weight: float = 1.0):
        self.denoiser, self.condition, self.weight = denoiser, condition, weight

    def __call__(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked = self.denoiser(z, sigma, self.condition)
        if self.weight == 1.0:
            return asked
        free = self.denoiser(z, sigma, self.condition.without_parameters())
        return free + self.weight * (asked - free)


class Constrained:
    """Moves estimates to where constraints hold, as far as noise level and prior leave room.

    ``residuals`` maps latents to a list of (B, K), in units of the constraints' tolerances, of which the norms count;
    ``known`` is N(μ, C). Above ``SIGMA_GUIDED`` the estimate is little more than its mean, so the move of the first
    step serves for all; every step below costs one evaluation of the decoder and one of its gradient for each
    constraint, none of the network. For one sampling only.
    """

    move: torch.Tensor | None = None

    def __init__(self, denoise: Denoise, residuals: Residuals, known: Gaussian):
        self.denoise, self.residuals, self.known = denoise, residuals, known

    def __call__(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        estimate = self.denoise(z, sigma)
        if self.move is None or (sigma <= SIGMA_GUIDED).all():
            rows = [slice(i, i + TOGETHER) for i in range(0, len(z), TOGETHER)]
            self.move = torch.cat([self._observed(estimate[i], sigma[i], self.known[i]) for i in rows]) - estimate
        return estimate + self.move

    def _observed(self, estimate: torch.Tensor, sigma: torch.Tensor, known: Gaussian) -> torch.Tensor:
        return observed(estimate, lambda x: known.weighted(known.weighted(x, sigma), sigma), self._norms)

    def _norms(self, z: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.linalg.vector_norm(r, dim=1) for r in self.residuals(z)], 1)


def observed(x: torch.Tensor, covariance: Callable, residual: Callable) -> torch.Tensor:
    """x − c Jᵀ (J c Jᵀ + 1)⁻¹ r(x): the mean of N(x, c) once r (B, K) has been seen to be 0 with unit error.

    r is linearised about ``x`` (B, …), J (B, K, D) its gradient there; ``covariance`` maps J to J c.
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        r = residual(at)
        (jacobian,) = _gradients(r, at)
    along = covariance(jacobian.to(x.dtype)).double()
    gain = along @ jacobian.mT + torch.eye(r.shape[1]).to(jacobian)
    return _moved(x, along.mT, gain, r.detach().double())


def conditioned(
    xi: torch.Tensor, state: Callable, residual: Callable, known: Gaussian, noise: torch.Tensor
) -> torch.Tensor:
    """A draw ξ ~ N(0, 1) (B, S) becomes one of ξ given that r(m(ξ) + w) = 0 ± 1 of mean states m and weather w.

        ξ' = ξ − Aᵀ (A Aᵀ + R)⁻¹ (r(m(ξ)) + √R n),    A = ∂r/∂ξ,    R = 1 + J C Jᵀ,    J = ∂r/∂m,    n ~ N(0, 1)

    (Matheron's rule; Doucet 2010): √R n keeps the spread that the constraint leaves. ``state`` m maps ξ to latents,
    ``residual`` r these to (B, K); ``known`` has the weather's covariance C, ``noise`` is n (B, K).
    """
    with torch.enable_grad():
        at = xi.detach().requires_grad_()
        latents = state(at)
        r = residual(latents)
        of_xi, of_latents = _gradients(r, at, latents)
    weather = known.apply(of_latents.to(xi.dtype), lambda v: v).double()
    error = torch.eye(r.shape[1]).to(of_xi) + weather @ of_latents.mT
    asked = r.detach().double() + (torch.linalg.cholesky(error) @ noise.double()[..., None]).squeeze(-1)
    return _moved(xi, of_xi.mT, of_xi @ of_xi.mT + error, asked)


def _gradients(r: torch.Tensor, *of: torch.Tensor) -> list[torch.Tensor]:
    """∂r/∂x (B, K, …) in double precision of each x (B, …)."""
    rows = [torch.autograd.grad(own.sum(), of, retain_graph=True) for own in r.unbind(1)]
    return [torch.stack([g.flatten(1) for g in column], 1).double() for column in zip(*rows, strict=True)]


def _moved(x: torch.Tensor, along: torch.Tensor, gain: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """x − along · gain⁻¹ r; UserError where no such move exists."""
    try:
        move = along @ torch.linalg.solve(gain, r[..., None])
    except torch.linalg.LinAlgError as error:
        raise UserError("two constraints say the same thing too sharply: widen their tolerances") from error
    return x - move.view_as(x).to(x.dtype)
