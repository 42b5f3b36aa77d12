"""``OceanLDM``: codec and generator together, from parameters to states.

from ldm_ocean import OceanLDM
ocean = OceanLDM.from_pretrained("dino-coarse")
states = ocean.sample({"rn_ztau0": 0.22, "rn_tstar_n": 6.0, "rn_avt0": 3e-5}, members=16, seed=0)
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from . import __version__, artefacts
from .autoencoder.codec import Codec
from .errors import UserError, nearest
from .generative import DIFFUSION, GP, METHODS, STEPS
from .generative.conditions import season_angle
from .generative.generator import Demands, Generator
from .generative.prior import Earlier
from .io.namelist import SHARED
from .io.states import members_as_samples
from .nn.device import device_named
from .ocean import BALANCED, CURRENTS, GENERATED, adjust
from .ocean.constraints import Constraint
from .ocean.fields import Fields
from .ocean.grid import OceanGrid
from .physics.eos import differentiable, equation_of_state
from .shipped import find_model


class OceanLDM:
    """A trained latent diffusion model of ocean states; ``fields`` and ``grid`` describe them."""

    def __init__(self, codec: Codec, generator: Generator):
        self.codec, self.generator = codec, generator

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
        generator = artefacts.load_generator(folder, codec)
        return cls(codec.to(there), generator.to(there))

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write everything ``from_pretrained`` needs."""
        folder = Path(folder)
        artefacts.save_codec(folder, self.codec)
        artefacts.save_generator(folder, self.generator)
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
        scaler = self.generator.scaler
        return {n: (float(a), float(b)) for n, a, b in zip(scaler.names, scaler.low, scaler.high, strict=True)}

    @property
    def knows_context(self) -> bool:
        """Whether it learnt what an unfinished state tells of the finished one."""
        return self.generator.knows_context

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

    def decode(self, latents: torch.Tensor, like: xr.Dataset | None = None) -> xr.Dataset:
        """Latents (sample, N, C) → canonical states with their mesh; coordinates and attributes of ``like`` return."""
        states = self._dataset(self._decoded(latents))
        if like is not None:
            states = states.assign_coords(like.coords).assign_attrs(like.attrs)
            for name in self.fields.names:
                states[name] = states[name].transpose(*like[name].dims).assign_attrs(like[name].attrs)
        return states

    @torch.no_grad()
    def _decoded(self, latents: torch.Tensor) -> np.ndarray:
        """(sample, V, D, Y, X), 0 on land."""
        x = torch.cat([self.codec.decode(chunk) for chunk in latents.to(self.device).split(32)])
        return x.cpu().numpy()

    def _dataset(self, x: np.ndarray) -> xr.Dataset:
        """Canonical states with their mesh."""
        mesh = self.grid.to_dataset()
        return self.fields.unstack(x, self.grid).merge(mesh).assign_attrs(mesh.attrs)

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
        _check_asked(members, season)
        demands = Demands.of(constraints, self.fields, self.grid, self.device, self.codec.decode)
        asked = self.generator.asked(parameters, strict, extrapolate)
        earlier = None if context is None else self._earlier(context, season)
        return self.generator.sample(asked, members, seed, season, demands, earlier, steps, guidance)

    def _earlier(self, context: xr.Dataset, season: float) -> Earlier:
        """Of a state without a season, that of what is asked for is taken."""
        latents = self.encode(context)
        seasons = np.broadcast_to(np.asarray(context.get("season", season), "float32"), len(latents))
        return Earlier(latents, season_angle(torch.tensor(seasons, device=self.device)))

    def sample(
        self,
        parameters: dict[str, float],
        members: int = 1,
        seed: int = 0,
        season: float = 0.0,
        context: xr.Dataset | None = None,
        steps: int = STEPS,
        guidance: float = 1.0,
        constraints: Sequence[Constraint] = (),
        stabilise: bool = False,
        currents: str = GENERATED,
        method: str = DIFFUSION,
        states: xr.Dataset | None = None,
        strict: bool = False,
        extrapolate: bool = False,
    ) -> xr.Dataset:
        """Generate ``members`` spun-up states for physical ``parameters``; dims (member, depth, y, x), CF attributes.

        Members differ in their weather and, as far as the training settings leave it open, in their mean state. The
        same seed and member index give the same state whatever the number of members.

        season: share of the year, 0 to 1.
        context: an earlier state, e.g. of an unfinished spin-up, or one for each member.
        steps: network evaluations a member, twice that with ``guidance`` ≠ 1 (classifier-free).
        constraints: what guides the sampler (``ocean.constraints``): some ten decoder evaluations, most of them with
            one gradient for each constraint.
        stabilise, currents: of the finished states, remove density inversions; ``balanced`` brings currents and sea
            level nearer to geostrophic balance (``ocean.adjust``).
        method: ``gp`` draws from a Gaussian process on the EOFs of the training ``states`` instead (``metrics.eof``),
            which may be better where there are few settings.
        strict, extrapolate: refuse values outside the training range; accept them even farther out than its width.
            The attribute ``outside_training_range`` tells of them.

        UserError where something asked for cannot be had, or a state is not finite.
        """
        self._check_adjustments(stabilise, currents)
        if method not in METHODS:
            raise UserError(f"method={method!r}{nearest(method, METHODS)}: choose {' or '.join(METHODS)}")
        if method == GP:
            others = {
                "context": context is not None,
                "steps": steps != STEPS,
                "guidance": guidance != 1,
                "constraints": len(constraints) > 0,
            }
            if unused := [name for name, given in others.items() if given]:
                raise UserError(f"method gp takes no {', '.join(unused)}: leave it out")
            x = self._regressed(states, parameters, members, seed, season, strict, extrapolate)
        else:
            options = (season, context, steps, guidance, constraints, strict, extrapolate)
            x = self._decoded(self.sample_latents(parameters, members, seed, *options))
        if not np.isfinite(x).all():
            raise UserError("the states drawn are not finite: come nearer with parameters and guidance")
        if stabilise:
            x = adjust.convective(x, self.fields, self.grid)
        if currents == BALANCED:
            x = adjust.geostrophic(x, self.fields, self.grid)
        return self._described(x, parameters, season, seed, method)

    @torch.no_grad()
    def settle(self, states: xr.Dataset, parameters: dict[str, float], seed: int | None = None) -> xr.Dataset:
        """From a short run: its states (sample, depth, y, x), moved to where a long run with ``parameters`` would go.

            x' = x + decode(z + Δ) − decode(z),    z = encode(x)

        Δ is the change of the mean state that is expected of each state (``generative.prior``), or with a ``seed`` one
        drawn for each. Its weather stays, and so do the balances that it is in: all that the autoencoder loses of a
        state it loses twice, and is not lost here.

        UserError where the model knows no unfinished states, or a state is not finite.
        """
        asked, earlier = self.generator.asked(parameters), self._earlier(states, 0.0)
        latents = self.generator.settle(asked, earlier, seed)
        x = self.fields.stack(states, self.grid) + self._decoded(latents) - self._decoded(earlier.latents)
        if not np.isfinite(x).all():
            raise UserError("the settled states are not finite: give states of an ocean like the model's")
        each: dict[str, np.ndarray] = {k: np.full(len(x), float(v)) for k, v in parameters.items()}
        if "season" in states.coords:
            each["season"] = np.broadcast_to(states.season.values, len(x))
        settled = self._dataset(x).assign_coords({k: ("sample", v) for k, v in each.items()})
        return settled.assign_attrs(self._attributes(parameters, f"settled, seed {seed}"))

    def _check_adjustments(self, stabilise: bool, currents: str) -> None:
        """Refused before the work, not after it."""
        if currents not in CURRENTS:
            raise UserError(f"currents={currents!r}{nearest(currents, CURRENTS)}: choose {' or '.join(CURRENTS)}")
        if stabilise:
            differentiable(self.grid.equation_of_state)
        elif currents == BALANCED:
            equation_of_state(self.grid.equation_of_state)

    def _regressed(self, states, parameters, members, seed, season, strict, extrapolate) -> np.ndarray:
        """(members, V, D, Y, X) by ``GP``; arguments as in ``sample``."""
        from .metrics.generated import regressed  # the other method needs no metrics

        if states is None:
            raise UserError("method gp draws from the training states: give states=... (--states DIR)")
        _check_asked(members, season)
        self.generator.asked(parameters, strict, extrapolate)
        return regressed(states, self.grid, self.fields, parameters, season, members, seed)

    def _described(self, x: np.ndarray, parameters: dict, season: float, seed: int, method: str) -> xr.Dataset:
        """States (members, V, D, Y, X) as a data set that tells what they are of."""
        drawn_by = f"codec {self.generator.about['codec'][:12]}" if method == DIFFUSION else f"method {method}"
        states = self._dataset(x).rename(sample="member")
        coordinates = {"member": np.arange(len(x)), "season": season, **{k: float(v) for k, v in parameters.items()}}
        return states.assign_coords(coordinates).assign_attrs(self._attributes(parameters, f"{drawn_by}, seed {seed}"))

    def _attributes(self, parameters: dict, made: str) -> dict:
        """What states tell of their making."""
        about, scaler = self.generator.about, self.generator.scaler
        attrs = {
            "Conventions": "CF-1.10",
            "source": f"ldm_ocean {__version__}, {made}",
            "parameters": list(parameters),
            "variables": self.fields.names,
        }
        if outside := scaler.outside(scaler.vector({k: float(v) for k, v in parameters.items()})):
            attrs["outside_training_range"] = "; ".join(line for line, _ in outside)
        if SHARED in about:
            attrs[SHARED] = json.dumps(about[SHARED])
        return attrs


def _check_asked(members: int, season: float) -> None:
    if members < 1:
        raise UserError(f"members={members}: there must be at least 1")
    if not 0 <= season <= 1:
        raise UserError(f"season={season:g} is not a share of the year: give 0 to 1")
