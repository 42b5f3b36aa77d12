"""Guidance: a denoiser that wraps a denoiser.

    classifier-free   D_w = D_∅ + w (D_c − D_∅)                                (Ho & Salimans 2021)

    constraints       D'  = D − c Jᵀ (c J Jᵀ + 1)⁻¹ r(decode(D)),    J = ∂r(decode(D))/∂D,    c = s²σ²/(s² + σ²)

The second is the mean of N(D, c) once r = 0 has been observed with unit error (as in Song et al. 2023, Rozet et al.
2024, with the covariance of the Gaussian prior of size s in place of the network's Jacobian). r is asked of the decoded
*denoised* estimate: density is not linear, so a constraint on the noisy state would hold for a state nobody gets.
Where the parameters leave the mean state open, the same formula moves that first (see ``OceanLDM.sample``).
"""

from collections.abc import Callable

import torch

from .conditions import Condition

Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(z (B, N, C), σ (B,)) → the estimate of the clean latents (B, N, C)."""
Residuals = Callable[[torch.Tensor], list[torch.Tensor]]
"""Latents (B, N, C) → a (B, K) for each constraint, in units of its tolerance."""
SIGMA_GUIDED = 1.0


class ClassifierFree:
    """w = 1 is the plain conditional model, one network evaluation a step; two otherwise."""

    def __init__(self, denoiser: Callable, condition: Condition, weight: float = 1.0):
        self.denoiser, self.condition, self.weight = denoiser, condition, weight

    @property
    def evaluations(self) -> int:
        """Network evaluations a step."""
        return 1 if self.weight == 1.0 else 2

    def __call__(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked = self.denoiser(z, sigma, self.condition)
        if self.weight == 1.0:
            return asked
        free = self.denoiser(z, sigma, self.condition.without_parameters())
        return free + self.weight * (asked - free)


class Constrained:
    """Moves estimates to where constraints hold, as far as noise level and prior leave room.

    ``residuals`` maps latents to a list of (B, K), in units of the constraints' tolerances, of which the norms count;
    ``size`` is s. Above ``SIGMA_GUIDED`` the estimate is little more than the prior's mean, so the move of the first
    step serves for all; every step below costs one evaluation of the decoder and one of its gradient for each
    constraint, none of the network. For one sampling only.
    """

    move: torch.Tensor | None = None

    def __init__(self, denoise: Denoise, residuals: Residuals, size: torch.Tensor):
        self.denoise, self.residuals, self.size = denoise, residuals, size

    def __call__(self, z: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        estimate = self.denoise(z, sigma)
        if self.move is None or (sigma <= SIGMA_GUIDED).all():
            variance = 1 / (1 / self.size**2 + 1 / sigma**2)
            self.move = observed(estimate, variance, self._norms) - estimate
        return estimate + self.move

    def _norms(self, z: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.linalg.vector_norm(r, dim=1) for r in self.residuals(z)], 1)


def observed(x: torch.Tensor, variance: torch.Tensor | float, residual: Callable) -> torch.Tensor:
    """x − c Jᵀ (c J Jᵀ + 1)⁻¹ r(x): the mean of N(x, c) once r (B, K) has been seen to be 0 with unit error.

    r is linearised about ``x`` (B, …), J its gradient there; ``variance`` c is a number or (B,).
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        r = residual(at)
        rows = [torch.autograd.grad(own.sum(), at, retain_graph=True)[0].flatten(1) for own in r.unbind(1)]
    r, jacobian = r.detach(), torch.stack(rows, 1)
    c = torch.as_tensor(variance).to(r).expand(len(r))[:, None, None]
    gain = c * jacobian @ jacobian.mT + torch.eye(r.shape[1]).to(r)
    return x - (c * jacobian.mT @ torch.linalg.solve(gain, r[..., None])).view_as(x)
