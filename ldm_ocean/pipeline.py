"""``OceanLDM``: codec and generator together, from parameters to states.

from ldm_ocean import OceanLDM
ocean = OceanLDM.from_pretrained("dino-coarse")
states = ocean.sample({"rn_ztau0": 0.22, "rn_tstar_n": 6.0, "rn_avt0": 3e-5}, members=16, seed=0)
"""

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from . import __version__, artefacts
from .autoencoder.codec import Codec
from .errors import UserError, nearest
from .generative import DIFFUSION, GP, METHODS, STEPS
from .generative.conditions import Condition, ParameterScaler, season_angle
from .generative.denoiser import Denoiser
from .generative.guidance import TOGETHER, ClassifierFree, Constrained, Denoise, Residuals, conditioned
from .generative.sampling import member_noise, noise_levels, sample
from .io.namelist import SHARED
from .io.states import members_as_samples
from .nn.device import device_named
from .ocean import BALANCED, CURRENTS, GENERATED, adjust
from .ocean.constraints import Constraint, bound, name_of
from .ocean.fields import Fields
from .ocean.grid import OceanGrid
from .physics.eos import differentiable, equation_of_state
from .shipped import find_model

FAR = 1.0  # widths of the training range; farther outside of it nothing is generated unasked
MISSED = 3.0  # tolerances that a constraint may be missed by without a word


class OceanLDM:
    """A trained latent diffusion model of ocean states; ``fields`` and ``grid`` describe them."""

    def __init__(self, codec: Codec, denoiser: Denoiser, scaler: ParameterScaler, about: dict):
        self.codec, self.denoiser, self.scaler, self.about = codec, denoiser, scaler, about

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> "OceanLDM":
        """Load a saved folder (JSON + safetensors), or a model by name (see ``shipped``); ``device`` auto takes a GPU
        where there is one.
        """
        folder = find_model(folder)
        if not folder.exists():
            raise UserError(f"no model at {folder}: train one, or give the folder of a saved one")
        there = device_named(device)
        codec = artefacts.load_codec(folder)
        denoiser, scaler, about = artefacts.load_generator(folder, codec)
        return cls(codec.to(there), denoiser.to(there), scaler, about)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write everything ``from_pretrained`` needs."""
        folder = Path(folder)
        artefacts.save_codec(folder, self.codec)
        artefacts.save_generator(folder, self.denoiser, self.scaler, self.about)
        return folder

    @property
    def fields(self) -> Fields:
        return self.codec.fields

    @property
    def grid(self) -> OceanGrid:
        return self.codec.grid

    @property
    def parameters(self) -> dict[str, tuple[float, float]]:
        """Parameter names and the ranges seen in training."""
        return {
            n: (float(a), float(b))
            for n, a, b in zip(self.scaler.names, self.scaler.low, self.scaler.high, strict=True)
        }

    @property
    def knows_context(self) -> bool:
        """Whether it was trained beside unfinished states."""
        return self.about.get("context", True)

    @property
    def device(self) -> torch.device:
        return self.codec.token_mean.device

    @torch.no_grad()
    def encode(self, states: xr.Dataset) -> torch.Tensor:
        """Canonical states on this model's grid → latents (sample, N, C).

        Members count as samples, as do members by setting; a state with neither is one sample.
        """
        states = members_as_samples(states, "given")
        if "sample" not in states.dims:
            states = states.assign({k: states[k].expand_dims("sample") for k in self.fields.names if k in states})
        if "tmask" in states:
            self.grid.check_same(
                OceanGrid.from_dataset(states), "the data set", "prepare its states on the model's mesh"
            )
        x = torch.from_numpy(self.fields.stack(states, self.grid)).to(self.device)
        return torch.cat([self.codec.encode(chunk) for chunk in x.split(32)])

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, like: xr.Dataset | None = None) -> xr.Dataset:
        """Latents (sample, N, C) → canonical states with their mesh; coordinates and attributes of ``like`` return."""
        states = self._dataset(self._decoded(latents))
        if like is not None:
            states = states.assign_coords(like.coords).assign_attrs(like.attrs)
            for name in self.fields.names:
                states[name] = states[name].transpose(*like[name].dims).assign_attrs(like[name].attrs)
        return states

    def _decoded(self, latents: torch.Tensor) -> np.ndarray:
        """(sample, V, D, Y, X), 0 on land."""
        x = torch.cat([self.codec.decode(chunk) for chunk in latents.to(self.device).split(32)])
        return x.cpu().numpy()

    def _dataset(self, x: np.ndarray) -> xr.Dataset:
        """Canonical states with their mesh."""
        mesh = self.grid.to_dataset()
        return self.fields.unstack(x, self.grid).merge(mesh).assign_attrs(mesh.attrs)

    @torch.no_grad()
    def sample_latents(
        self,
        parameters: dict[str, float],
        members: int = 1,
        seed: int = 0,
        season: float = 0.0,
        context: xr.Dataset | None = None,
        steps: int = STEPS,
        guidance: float = 1.0,
        constraints: Sequence[Constraint] = (),
        strict: bool = False,
        extrapolate: bool = False,
    ) -> torch.Tensor:
        """Latents (members, N, C); arguments as in ``sample``. Member m depends on (seed, m) only."""
        if steps < 1:
            raise UserError(f"steps={steps}: it must be at least 1")
        _check_asked(members, season)
        if not math.isfinite(guidance):
            raise UserError(f"guidance={guidance} is not a number: give 1 for none")
        if context is not None and not self.knows_context:
            raise UserError("this model was trained without unfinished states: sample without a context")
        residuals = self._residuals(constraints)
        asked = self._scaled(parameters, strict, extrapolate).expand(members, -1)
        angle = season_angle(torch.full((members,), season, device=self.device))
        condition = self._condition(asked, angle, seed, context, constraints)
        shape = (self.codec.n_tokens, self.codec.channels)
        levels = noise_levels(steps, self.about["curve"]).to(self.device)
        start = levels[0] * member_noise(shape, seed, range(members)).to(self.device)
        denoise: Denoise = ClassifierFree(self.denoiser, condition, guidance)
        if not constraints:
            return sample(denoise, start, levels)
        prior = self.denoiser.prior
        latents = sample(
            Constrained(denoise, residuals, prior.spread if context is None else prior.error), start, levels
        )
        for constraint, missed in zip(constraints, residuals(latents), strict=True):
            if (size := float(missed.square().mean().sqrt())) > MISSED:
                warnings.warn(f"{name_of(constraint)} is missed by {size:.1f} tolerances: ask for less", stacklevel=3)
        return latents

    def _regressed(
        self, states, parameters, members, seed, season=0.0, strict=False, extrapolate=False, **others
    ) -> np.ndarray:
        """(members, V, D, Y, X) by ``GP``; arguments as in ``sample``."""
        from .metrics.generated import regressed  # the other method needs no metrics

        if others:
            raise UserError(f"method gp takes no {', '.join(others)}: leave it out")
        if states is None:
            raise UserError("method gp draws from the training states: give states=... (--states DIR)")
        _check_asked(members, season)
        self._scaled(parameters, strict, extrapolate)
        return regressed(states, self.grid, self.fields, parameters, season, members, seed)

    def _scaled(self, parameters: dict[str, float], strict: bool, extrapolate: bool) -> torch.Tensor:
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
            warnings.warn(line, stacklevel=4)
        return self.scaler(values[None].to(self.scaler.mean.device)).to(self.device)

    def _condition(self, asked, angle, seed: int, context: xr.Dataset | None, constraints) -> Condition:
        """What the denoiser is told of each member."""
        members, ones = len(asked), torch.ones(len(asked), device=self.device)
        if context is None:
            earlier = torch.zeros(1, self.codec.n_tokens, self.codec.channels, device=self.device)
            mean = self._mean_states(asked, angle, seed, [c for c in constraints if c.linear])
        else:  # it tells of its own mean state
            earlier, mean = self.encode(context), self.denoiser.prior(asked, angle)
        if len(earlier) not in (1, members):
            raise UserError(f"context holds {len(earlier)} states for {members} members: give one, or one for each")
        return Condition(
            parameters=asked,
            season=angle,
            mean=mean,
            context=earlier.expand(members, -1, -1),
            has_parameters=ones,
            has_context=ones * (context is not None),
        )

    def _mean_states(self, asked, angle, seed: int, constraints: Sequence[Constraint]) -> torch.Tensor:
        """A draw for each member, as far as parameters and (linear) ``constraints`` leave it open."""
        prior, members = self.denoiser.prior, range(len(asked))
        xi = member_noise((len(prior.settings),), seed, members, step_number=1).to(self.device)
        if not constraints or len(prior.settings) == 1:
            return prior(asked, angle, xi)
        each = self._residuals(constraints)

        def residual(latents: torch.Tensor) -> torch.Tensor:
            return torch.cat(each(latents), 1)

        count = residual(prior(asked[:1], angle[:1])).shape[1]
        noise = member_noise((count,), seed, members, step_number=2).to(self.device)
        parts = [
            conditioned(xi[i], lambda x, i=i: prior(asked[i], angle[i], x), residual, prior.spread, noise[i])
            for i in torch.arange(len(xi), device=self.device).split(TOGETHER)
        ]
        return prior(asked, angle, torch.cat(parts))

    def _residuals(self, constraints: Sequence[Constraint]) -> Residuals:
        """What each of the ``constraints`` says of the states that latents decode to."""
        asked = [bound(c, self.fields, self.grid, self.device) for c in constraints]

        def residuals(latents: torch.Tensor) -> list[torch.Tensor]:
            states = self.codec.decode(latents)
            return [residual(states) for residual in asked]

        return residuals

    def sample(
        self,
        parameters: dict[str, float],
        members: int = 1,
        seed: int = 0,
        stabilise: bool = False,
        currents: str = GENERATED,
        method: str = DIFFUSION,
        states: xr.Dataset | None = None,
        **options,
    ) -> xr.Dataset:
        """Generate ``members`` spun-up states for physical ``parameters``; dims (member, depth, y, x), CF attributes.

        Options: ``season`` share of the year (0), ``context`` an earlier state to start the thought from, ``steps``
        (18) network evaluations a member (twice that with ``guidance`` ≠ 1), ``constraints`` that guide the sampler
        (see ``constraints``; some ten decoder evaluations, most with one gradient for each constraint), ``strict``
        refuse values outside the training range, ``extrapolate`` accept them even farther out than its width; the
        attribute ``outside_training_range`` tells of them. Of the finished states, ``stabilise`` removes density
        inversions and ``currents`` ``balanced`` brings currents and sea level nearer to geostrophic balance (see
        ``adjust``). UserError where a state is not finite.

        ``method`` ``gp`` draws from a Gaussian process on the EOFs of the training ``states`` instead (see
        ``metrics.eof``), which may be better where there are few settings; it takes season, strict and extrapolate.

        Members differ in their weather and, as far as the training settings leave it open, in their mean state. The
        same seed and member index give the same state whatever the number of members.
        """
        if currents not in CURRENTS:
            raise UserError(f"currents={currents!r}{nearest(currents, CURRENTS)}: choose {' or '.join(CURRENTS)}")
        if stabilise:
            differentiable(self.grid.equation_of_state)  # refused before the work, not after it
        elif currents == BALANCED:
            equation_of_state(self.grid.equation_of_state)
        if method not in METHODS:
            raise UserError(f"method={method!r}{nearest(method, METHODS)}: choose {' or '.join(METHODS)}")
        if method == GP:
            x = self._regressed(states, parameters, members, seed, **options)
        else:
            with torch.no_grad():
                x = self._decoded(self.sample_latents(parameters, members, seed, **options))
        if not np.isfinite(x).all():
            raise UserError("the states drawn are not finite: come nearer with parameters and guidance")
        if stabilise:
            x = adjust.convective(x, self.fields, self.grid)
        if currents == BALANCED:
            x = adjust.geostrophic(x, self.fields, self.grid)
        states = self._dataset(x).rename(sample="member")
        given = {k: float(v) for k, v in parameters.items()}
        states = states.assign_coords({"member": np.arange(members), "season": options.get("season", 0.0), **given})
        drawn_by = f"codec {self.about['codec'][:12]}" if method == DIFFUSION else f"method {method}"
        about = f"ldm_ocean {__version__}, {drawn_by}, seed {seed}"
        attrs: dict[str, str | list[str]] = {"parameters": list(given), "variables": self.fields.names}
        if outside := self.scaler.outside(self.scaler.vector(given)):
            attrs["outside_training_range"] = "; ".join(line for line, _ in outside)
        if SHARED in self.about:
            attrs[SHARED] = json.dumps(self.about[SHARED])
        return states.assign_attrs(Conventions="CF-1.10", source=about, **attrs)


def _check_asked(members: int, season: float) -> None:
    if members < 1:
        raise UserError(f"members={members}: there must be at least 1")
    if not 0 <= season <= 1:
        raise UserError(f"season={season:g} is not a share of the year: give 0 to 1")
