"""Stage two as a whole: from physical parameters to latents.

    a ~ N(â(c), v(c)),    m = h(t)ᵀ (b̄ + Σ_k a_k d_k),    z_σmax ~ N(m, C + σ_max²),    dz/dσ = (z − D(z, σ; c, t, m))/σ

Every member has a mean state m of its own, drawn as far as the training settings and, if there is one, an earlier state
leave it open (``prior``), and from there its own weather. What decoded states should obey (``Demands``) guides both.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import UserError
from ..ocean.constraints import Constraint, Residual, bound, name_of
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from . import STEPS
from .conditions import Condition, ParameterScaler, season_angle
from .denoiser import Denoiser
from .guidance import TOGETHER, ClassifierFree, Constrained, Denoise, conditioned
from .prior import Earlier
from .sampling import member_noise, noise_levels, sample

FAR = 1.0  # widths of the training range; farther outside of it nothing is generated unasked
MISSED = 3.0  # tolerances that a constraint may be missed by without a word


@dataclass(frozen=True)
class Demands:
    """``constraints`` on what latents decode to; called with latents (B, N, C) it gives a (B, K) for each of them."""

    constraints: Sequence[Constraint]
    residuals: Sequence[Residual]
    decode: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def of(cls, constraints: Sequence[Constraint], fields: Fields, grid: OceanGrid, device, decode) -> "Demands":
        """Bound to a model; UserError for constraints that it cannot obey."""
        return cls(constraints, [bound(c, fields, grid, device) for c in constraints], decode)

    def __call__(self, latents: torch.Tensor) -> list[torch.Tensor]:
        states = self.decode(latents)
        return [residual(states) for residual in self.residuals]

    def linear(self) -> "Demands":
        """Those that hold for a mean of states as they hold for each of them."""
        kept = [(c, r) for c, r in zip(self.constraints, self.residuals, strict=True) if c.linear]
        return Demands([c for c, _ in kept], [r for _, r in kept], self.decode)

    def say_what_is_missed(self, latents: torch.Tensor) -> None:
        """A warning for each constraint that the states of ``latents`` miss by more than ``MISSED`` tolerances."""
        for constraint, residual in zip(self.constraints, self(latents), strict=True):
            if (size := float(residual.square().mean().sqrt())) > MISSED:
                warnings.warn(f"{name_of(constraint)} is missed by {size:.1f} tolerances: ask for less", stacklevel=4)


class Generator:
    """``denoiser``, the scale of its parameters, and what is known of its making (``about``, see ``artefacts``)."""

    def __init__(self, denoiser: Denoiser, scaler: ParameterScaler, about: dict):
        self.denoiser, self.scaler, self.about = denoiser, scaler, about

    def to(self, device: torch.device) -> "Generator":
        return Generator(self.denoiser.to(device), self.scaler, self.about)

    @property
    def device(self) -> torch.device:
        return self.denoiser.prior.middle.device

    @property
    def knows_context(self) -> bool:
        """Whether it learnt what an earlier state tells of the mean state."""
        return self.denoiser.prior.knows_earlier

    def asked(self, parameters: dict[str, float], strict: bool = False, extrapolate: bool = False) -> torch.Tensor:
        """Scaled parameters (1, P).

        Outside their range a warning, or a UserError if ``strict``; more than its width outside, where nothing is known
        of the ocean, a UserError unless ``extrapolate``.
        """
        values = self.scaler.vector(parameters)
        for line, widths in self.scaler.outside(values):
            if strict:
                raise UserError(f"{line}: choose a value inside")
            if widths > FAR and not extrapolate:
                raise UserError(f"{line} by more than its width: come nearer, or extrapolate=True (--extrapolate)")
            warnings.warn(line, stacklevel=5)
        return self.scaler(values[None]).to(self.device)

    @torch.no_grad()
    def sample(
        self,
        asked: torch.Tensor,
        members: int,
        seed: int,
        season: float,
        demands: Demands,
        earlier: Earlier | None = None,
        steps: int = STEPS,
        guidance: float = 1.0,
    ) -> torch.Tensor:
        """Latents (members, N, C) for scaled parameters ``asked`` (1, P); member m depends on (seed, m) only.

        ``earlier`` holds one state, or one for each member. UserError for what is not in reach.
        """
        if steps < 1:
            raise UserError(f"steps={steps}: it must be at least 1")
        if not math.isfinite(guidance):
            raise UserError(f"guidance={guidance} is not a number: give 1 for none")
        self._check_earlier(earlier, members)
        ones = torch.ones(members, device=self.device)
        asked, angle = asked.expand(members, -1), season_angle(season * ones)
        condition = Condition(asked, angle, self.denoiser.prior(asked, angle), ones)
        mean = self._mean_states(condition, seed, earlier, demands.linear())
        condition = replace(condition, mean=mean)
        known = self.denoiser.gaussian(condition)
        levels = noise_levels(steps, self.about["curve"]).to(self.device)
        noise = member_noise(mean.shape[1:], seed, range(members)).to(self.device)
        denoise: Denoise = ClassifierFree(self.denoiser, condition, guidance)
        if not demands.constraints:
            return sample(denoise, noise, levels, known)
        latents = sample(Constrained(denoise, demands, known), noise, levels, known)
        demands.say_what_is_missed(latents)
        return latents

    @torch.no_grad()
    def settle(self, asked: torch.Tensor, earlier: Earlier, seed: int | None = None) -> torch.Tensor:
        """Latents (B, N, C) of ``earlier`` states with the mean state that they go to under ``asked`` (1, P).

        The most likely one, or with a ``seed`` one drawn for each. UserError where that was not learnt.
        """
        members = range(len(earlier.latents))
        self._check_earlier(earlier, len(members))
        xi = None
        if seed is not None:
            count = len(self.denoiser.prior.directions)
            xi = member_noise((count,), seed, members, step_number=1).to(self.device)
        return earlier.latents + self.denoiser.prior.settling(asked.expand(len(members), -1), earlier, xi)

    def _check_earlier(self, earlier: Earlier | None, members: int) -> None:
        if earlier is not None and not self.knows_context:
            raise UserError("this model was trained without unfinished states: sample without a context")
        if earlier is not None and len(earlier.latents) not in (1, members):
            raise UserError(
                f"context holds {len(earlier.latents)} states for {members} members: give one, or one for each"
            )

    def _mean_states(self, condition: Condition, seed: int, earlier: Earlier | None, demands: Demands) -> torch.Tensor:
        """A draw for each member, as far as parameters, earlier state and (linear) ``demands`` leave it open."""
        prior, members = self.denoiser.prior, range(len(condition.mean))
        xi = member_noise((len(prior.directions),), seed, members, step_number=1).to(self.device)
        drawn = prior.drawn(condition.parameters, condition.season, earlier)
        if not demands.constraints or not len(prior.directions):
            return drawn(xi)
        known = self.denoiser.gaussian(condition)

        def residual(latents: torch.Tensor) -> torch.Tensor:
            return torch.cat(demands(latents), 1)

        count = residual(condition.mean[:1]).shape[1]
        noise = member_noise((count,), seed, members, step_number=2).to(self.device)
        parts = []
        for first in range(0, len(xi), TOGETHER):
            rows = slice(first, first + TOGETHER)
            parts.append(conditioned(xi[rows], lambda x, i=rows: drawn(x, i), residual, known[rows], noise[rows]))
        return drawn(torch.cat(parts))
