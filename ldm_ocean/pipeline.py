"""``OceanLDM``: codec and generator together, from parameters to states.

from ldm_ocean import OceanLDM
ocean = OceanLDM.from_pretrained("pretrained/dino-coarse")
states = ocean.sample({"rn_ztau0": 0.22, "rn_tstar_n": 6.0, "rn_avt0": 3e-5}, members=16, seed=0)
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from . import __version__, adjust, artefacts
from .codec import Codec
from .conditions import Condition, ParameterScaler, season_angle
from .constraints import Constraint
from .data.fields import Fields
from .diffusion import Denoiser
from .errors import UserError, nearest
from .grid import OceanGrid
from .guidance import ClassifierFree, Constrained, Denoise, Residuals, observed
from .sampling import STEPS, member_noise, noise_levels, sample

CURRENTS = GENERATED, BALANCED = "generated", "balanced"


class OceanLDM:
    """A trained latent diffusion model of ocean states; ``fields`` and ``grid`` describe them."""

    def __init__(self, codec: Codec, denoiser: Denoiser, scaler: ParameterScaler, about: dict):
        self.codec, self.denoiser, self.scaler, self.about = codec, denoiser, scaler, about

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> "OceanLDM":
        """Load a saved folder (JSON + safetensors); ``device`` auto takes a GPU where there is one."""
        folder = Path(folder)
        if not folder.exists():
            raise UserError(f"no model at {folder}: train one, or give the folder of a saved one")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.zeros((), device=device)
        except (RuntimeError, AssertionError) as error:  # torch has no better word for it
            reason = str(error).splitlines()[0]
            raise UserError(f"device {device!r} is not there ({reason}): use auto or cpu") from error
        codec = artefacts.load_codec(folder)
        denoiser, scaler, about = artefacts.load_generator(folder, codec)
        return cls(codec.to(device), denoiser.to(device), scaler, about)

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
    def device(self) -> torch.device:
        return self.codec.token_mean.device

    @torch.no_grad()
    def encode(self, states: xr.Dataset) -> torch.Tensor:
        """Canonical states (sample, …) on this model's grid → latents (sample, N, C)."""
        own, theirs = self.grid.digest, OceanGrid.from_dataset(states).digest if "tmask" in states else self.grid.digest
        if own != theirs:
            raise UserError(
                f"the states' grid hashes to {theirs[:12]}, the model's to {own[:12]}: prepare them on the model's mesh"
            )
        x = torch.from_numpy(self.fields.stack(states, self.grid)).to(self.device)
        return torch.cat([self.codec.encode(chunk) for chunk in x.split(32)])

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, like: xr.Dataset | None = None) -> xr.Dataset:
        """Latents (sample, N, C) → canonical states with their mesh; coordinates and attributes of ``like`` return."""
        x = torch.cat([self.codec.decode(chunk) for chunk in latents.to(self.device).split(32)])
        states = self.fields.unstack(x.cpu().numpy(), self.grid)
        mesh = self.grid.to_dataset()
        states = states.merge(mesh).assign_attrs(mesh.attrs)
        if like is not None:
            states = states.assign_coords(like.coords).assign_attrs(like.attrs)
            for name in self.fields.names:
                states[name] = states[name].transpose(*like[name].dims).assign_attrs(like[name].attrs)
        return states

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
    ) -> torch.Tensor:
        """Latents (members, N, C); arguments as in ``sample``. Member m depends on (seed, m) only."""
        if members < 1 or steps < 1:
            raise UserError(f"members={members}, steps={steps}: both must be at least 1")
        if not 0 <= season <= 1:
            raise UserError(f"season={season:g} is not a share of the year: give 0 to 1")
        values, outside = self.scaler.vector(parameters)
        if outside and strict:
            raise UserError(f"{'; '.join(outside)}: choose a value inside, or drop --strict")
        for line in outside:
            warnings.warn(line, stacklevel=3)
        shape = (self.codec.n_tokens, self.codec.channels)
        earlier = torch.zeros(1, *shape, device=self.device) if context is None else self.encode(context)
        if len(earlier) not in (1, members):
            raise UserError(f"context holds {len(earlier)} states for {members} members: give one, or one for each")
        ones = torch.ones(members, device=self.device)
        asked = self.scaler(values[None].to(self.scaler.mean.device)).to(self.device).expand(members, -1)
        angle, prior = season_angle(season * ones), self.denoiser.prior
        xi = member_noise((len(prior.settings),), seed, range(members), step_number=1).to(self.device)
        of_mean = self._residuals([c for c in constraints if c.linear])
        if any(c.linear for c in constraints) and context is None:
            xi = observed(xi, 1.0, lambda xi: torch.cat(of_mean(prior(asked, angle, xi)), 1))
        condition = Condition(
            parameters=asked,
            season=angle,
            mean=prior(asked, angle, xi if context is None else None),  # a context tells of its own mean state
            context=earlier.expand(members, -1, -1),
            has_parameters=ones,
            has_context=ones * (context is not None),
        )
        levels = noise_levels(steps, self.about["curve"]).to(self.device)
        start = levels[0] * member_noise(shape, seed, range(members)).to(self.device)
        denoise: Denoise = ClassifierFree(self.denoiser, condition, guidance)
        if constraints:
            denoise = Constrained(
                denoise, self._residuals(constraints), prior.spread if context is None else prior.error
            )
        return sample(denoise, start, levels)

    def _residuals(self, constraints: Sequence[Constraint]) -> Residuals:
        """What each of the ``constraints`` says of the states that latents decode to."""
        asked = [c.on(self.fields, self.grid, self.device) for c in constraints]

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
        **options,
    ) -> xr.Dataset:
        """Generate ``members`` spun-up states for physical ``parameters``; dims (member, depth, y, x), CF attributes.

        Options: ``season`` share of the year (0), ``context`` an earlier state to start the thought from, ``steps``
        (18) network evaluations a member (twice that with ``guidance`` ≠ 1), ``constraints`` that guide the sampler
        (see ``constraints``; eight decoder evaluations, each with one gradient for each constraint), ``strict`` refuse
        values outside the training range. Of the finished states, ``stabilise`` removes density inversions and
        ``currents`` ``balanced`` brings currents and sea level to geostrophic balance (see ``adjust``).

        Members differ in their weather and, as far as the training settings leave it open, in their mean state. The
        same seed and member index give the same state whatever the number of members.
        """
        if currents not in CURRENTS:
            raise UserError(f"currents={currents!r}{nearest(currents, CURRENTS)}: choose {' or '.join(CURRENTS)}")
        states = self.decode(self.sample_latents(parameters, members, seed, **options))
        if stabilise:
            states = adjust.convective(states)
        if currents == BALANCED:
            states = adjust.geostrophic(states)
        states = states.rename(sample="member")
        given = {k: float(v) for k, v in parameters.items()}
        states = states.assign_coords({"member": np.arange(members), "season": options.get("season", 0.0), **given})
        about = f"ldm_ocean {__version__}, codec {self.about['codec'][:12]}, seed {seed}"
        return states.assign_attrs(Conventions="CF-1.10", source=about, parameters=list(given))
