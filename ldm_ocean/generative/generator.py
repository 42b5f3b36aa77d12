"""Stage two as a whole: from physical parameters to latents.

    z_0 ~ N(0, σ_max²),    dz/dσ = (z − D(z, σ; c))/σ,    c = (parameters, season, mean state, context)

Every member has a mean state m̃ of its own, drawn as far as the training settings leave it open (``prior``), and from
there its own weather. What decoded states should obey (``Demands``) guides both.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..errors import UserError
from ..ocean.constraints import Constraint, Residual, bound, name_of
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from . import STEPS
from .conditions import Condition, ParameterScaler, season_angle
from .denoiser import Denoiser
from .guidance import TOGETHER, ClassifierFree, Constrained, Denoise, conditioned
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
        return self.denoiser.prior.years.device

    @property
    def knows_context(self) -> bool:
        """Whether it was trained beside unfinished states."""
        return self.about.get("context", True)

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
        context: torch.Tensor | None = None,
        steps: int = STEPS,
        guidance: float = 1.0,
    ) -> torch.Tensor:
        """Latents (members, N, C) for scaled parameters ``asked`` (1, P); member m depends on (seed, m) only.

        ``context`` latents (1 or members, N, C) of earlier states. UserError for what is not in reach.
        """
        if steps < 1:
            raise UserError(f"steps={steps}: it must be at least 1")
        if not math.isfinite(guidance):
            raise UserError(f"guidance={guidance} is not a number: give 1 for none")
        condition = self._condition(asked.expand(members, -1), season, seed, context, demands)
        levels = noise_levels(steps, self.about["curve"]).to(self.device)
        start = levels[0] * member_noise(condition.mean.shape[1:], seed, range(members)).to(self.device)
        denoise: Denoise = ClassifierFree(self.denoiser, condition, guidance)
        if not demands.constraints:
            return sample(denoise, start, levels)
        prior = self.denoiser.prior
        latents = sample(Constrained(denoise, demands, prior.spread if context is None else prior.error), start, levels)
        demands.say_what_is_missed(latents)
        return latents

    def _condition(self, asked, season: float, seed: int, context, demands: Demands) -> Condition:
        """What the denoiser is told of each member."""
        members, ones = len(asked), torch.ones(len(asked), device=self.device)
        angle = season_angle(season * ones)
        if context is None:
            mean = self._mean_states(asked, angle, seed, demands.linear())
            earlier = torch.zeros_like(mean)
        elif not self.knows_context:
            raise UserError("this model was trained without unfinished states: sample without a context")
        elif len(context) not in (1, members):
            raise UserError(f"context holds {len(context)} states for {members} members: give one, or one for each")
        else:  # it tells of its own mean state
            mean, earlier = self.denoiser.prior(asked, angle), context.expand(members, -1, -1)
        return Condition(
            parameters=asked,
            season=angle,
            mean=mean,
            context=earlier,
            has_parameters=ones,
            has_context=ones * (context is not None),
        )

    def _mean_states(self, asked, angle, seed: int, demands: Demands) -> torch.Tensor:
        """A draw for each member, as far as parameters and (linear) ``demands`` leave it open."""
        prior, members = self.denoiser.prior, range(len(asked))
        xi = member_noise((len(prior.settings),), seed, members, step_number=1).to(self.device)
        if not demands.constraints or len(prior.settings) == 1:
            return prior(asked, angle, xi)

        def residual(latents: torch.Tensor) -> torch.Tensor:
            return torch.cat(demands(latents), 1)

        count = residual(prior(asked[:1], angle[:1])).shape[1]
        noise = member_noise((count,), seed, members, step_number=2).to(self.device)
        parts = [
            conditioned(xi[i], lambda x, i=i: prior(asked[i], angle[i], x), residual, prior.spread, noise[i])
            for i in torch.arange(len(xi), device=self.device).split(TOGETHER)
        ]
        return prior(asked, angle, torch.cat(parts))
