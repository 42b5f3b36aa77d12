"""Stage two: learn the distribution of spun-up latents given parameters, season and, sometimes, a context state."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import artefacts
from ..autoencoder.latents import open_latents
from ..errors import UserError, nearest
from ..generative import STEPS
from ..generative.conditions import Condition, ParameterScaler, season_angle
from ..generative.denoiser import CURVES, training_sigma
from ..generative.generator import Generator
from ..generative.guidance import ClassifierFree
from ..generative.prior import decompose, seasonal
from ..generative.sampling import generator, member_noise, noise_levels, sample
from ..io.namelist import shared_by
from .config import DiffusionConfig, DiffusionModel, named

VALIDATION_NOISE = 4  # draws of noise for each validation state


class DiffusionTask(nn.Module):
    """Latents in memory, conditions dropped at random, EDM loss.

    Targets are equilibrium states about the mean state of their own setting: how well the mean state of another one is
    known is the prior's business. Beside a context, they are about the mean state that the other settings predict, so
    that the network learns what a context tells of it. Contexts are unfinished states of the same simulation; where
    there are none, states are learnt without: a finished one would give the target away.
    """

    device_marker: torch.Tensor

    def __init__(self, config: DiffusionConfig):
        super().__init__()
        if config.model.curve not in CURVES:
            raise UserError(f"unknown model.curve={config.model.curve}{nearest(config.model.curve, CURVES)}")
        if config.model.heads < 1 or config.model.width % (2 * config.model.heads):
            raise UserError(
                f"model.heads={config.model.heads} does not divide model.width={config.model.width} into even parts"
            )
        with named("codec"):
            self.codec = artefacts.load_codec(Path(config.codec)).requires_grad_(False)
        with named("data.latents"):
            self.latents = open_latents(Path(config.data.latents), self.codec)
        with named("data.train"):
            self.train_index = self._select(config.data.train)
        with named("data.validation"):
            self.held_out = self._select(config.data.validation)
        self.options: DiffusionModel = config.model
        self.contexts = self._contexts()
        trained = [self.contexts[name] for name in self.latents.setting[self.train_index]]
        self.knows_context = config.model.drop_context < 1 and any(map(len, trained))
        if config.model.drop_context < 1 and not self.knows_context:
            warnings.warn("no unfinished states to train on: the model will know no context", stacklevel=2)
        self.hyperparameters = {k: getattr(config.model, k) for k in ("width", "depth", "heads")}
        self.scaler = ParameterScaler(self.latents.attrs["parameters"]).fit(self.latents.parameters[self.train_index])
        self.asked = self.scaler(torch.from_numpy(self.latents.parameters))
        self.season = season_angle(torch.from_numpy(self.latents.season)).float()
        torch.manual_seed(config.train.seed)  # the initial weights
        i = self.train_index
        count = len(np.unique(self.latents.setting[i]))
        self.model = artefacts.new_denoiser(self.codec, len(self.scaler.names), count, self.hyperparameters)
        if config.model.initial:
            with named("model.initial"):
                artefacts.load_matching(self.model, Path(config.model.initial), "generator", "denoiser.")
        self.prior_fit = self.model.prior.fit(
            self.latents.values[i], self.asked[i], self.season[i], self.latents.setting[i]
        )
        self.own, self.predicted, self.variability = self._mean_states()
        self.seed, self.size = config.train.seed, len(self.train_index)
        self.register_buffer("device_marker", torch.zeros(()), persistent=False)

    def _select(self, splits: list[str]) -> np.ndarray:
        chosen = np.flatnonzero(np.isin(self.latents.split, splits) & self.latents.equilibrium)
        if not len(chosen):
            raise UserError(
                f"the latents hold no equilibrium states of {splits}: encode those splits, or choose others"
            )
        return chosen

    def _mean_states(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For every state (M, N, C): mean state of its own setting, that which other settings predict, variability."""
        prior, z = self.model.prior, self.latents.values
        predicted = prior(self.asked, self.season)
        _, place = np.unique(self.latents.setting[self.train_index], return_inverse=True)
        predicted[self.train_index] = seasonal(prior.left_out()[place], self.season[self.train_index])
        i = np.union1d(self.train_index, self.held_out)
        own, variability = torch.zeros_like(z), torch.zeros_like(z)
        _, own[i], variability[i] = decompose(z[i], self.season[i], self.latents.setting[i], prior.pooled)
        return own, predicted, variability

    def _contexts(self) -> dict[str, np.ndarray]:
        """Setting → indices of its unfinished states, which may serve as context."""
        setting, unfinished = self.latents.setting, ~self.latents.equilibrium
        contexts = {name: np.flatnonzero((setting == name) & unfinished) for name in np.unique(setting)}
        return contexts

    def batch(self, indices: list[int], positions: range) -> dict:
        """Clean latents, noise, noise levels and conditions, each from (seed, position) alone."""
        rows = [
            self._row(int(self.train_index[i]), generator(self.seed, 2, p))
            for i, p in zip(indices, positions, strict=True)
        ]
        return self._collate(rows)

    def _row(self, index: int, draw: torch.Generator) -> dict:
        z = self.own[index] + self.variability[index]
        uniform = torch.rand(4, generator=draw)
        contexts = self.contexts[self.latents.setting[index]]
        has_context = (uniform[3] >= self.options.drop_context) & (len(contexts) > 0)
        context = self.latents.values[int(contexts[int(uniform[1] * len(contexts))])] if has_context else 0 * z
        return {
            "z": z + self.options.latent_noise * torch.randn(z.shape, generator=draw),
            "noise": torch.randn(z.shape, generator=draw),
            "uniform": uniform[0],
            "parameters": self.asked[index],
            "season": self.season[index],
            "mean": (self.predicted if has_context else self.own)[index],
            "context": context,
            "has_parameters": (uniform[2] >= self.options.drop_parameters).float(),
            "has_context": has_context.float(),
        }

    def _collate(self, rows: list[dict]) -> dict:
        return {k: torch.stack([r[k] for r in rows]).to(self.device_marker.device) for k in rows[0]}

    def forward(self, batch: dict) -> torch.Tensor:
        """(B,) losses."""
        condition = Condition(**{k: batch[k] for k in Condition.__dataclass_fields__})
        sigma = training_sigma(batch["uniform"], self.options.curve)
        return self.model.loss(batch["z"], batch["noise"], sigma, condition)

    def validate(self) -> dict[str, float]:
        """Loss on held-out settings with fixed noise, spread evenly over noise levels."""
        losses = []
        for draw in range(VALIDATION_NOISE):
            rows = [self._row(int(i), generator(self.seed, 3, draw, n)) for n, i in enumerate(self.held_out)]
            batch = self._collate(rows)
            batch["uniform"] = (torch.arange(len(rows)).to(batch["uniform"]) + (draw + 0.5) / VALIDATION_NOISE) / len(
                rows
            )
            losses.append(self(batch))
        return {"loss": float(torch.cat(losses).mean())}

    def figures(self) -> dict:
        """Reconstruction beside one sample for the first held-out state, for each variable at the surface."""
        from ..report.quicklook import plot

        device = self.device_marker.device
        row = self._collate([self._row(int(self.held_out[0]), generator(self.seed, 4))])
        condition = Condition(**{k: row[k] for k in Condition.__dataclass_fields__})
        levels = noise_levels(STEPS, self.options.curve).to(device)
        start = levels[0] * member_noise(tuple(row["z"].shape[1:]), self.seed, range(1)).to(device)
        drawn = sample(ClassifierFree(self.model, condition), start, levels)
        fields, grid = self.codec.fields, self.codec.grid
        latents = {"reconstruction": self.latents.values[self.held_out[:1]].to(device), "sample": drawn}
        pair = {k: fields.unstack(self.codec.decode(v).cpu().numpy(), grid).isel(sample=0) for k, v in latents.items()}
        depth = float(grid["gdept"][0])
        return {f"maps/{name}": plot(pair, name, depth, grid) for name in fields.names}

    def publish(self, folder: Path) -> None:
        """Write the denoiser with its parameter scaling, and the codec it belongs to."""
        about = {"shape": self.hyperparameters, "curve": self.options.curve, "settings": len(self.model.prior.settings)}
        about |= {"codec": self.codec.digest, "prior": self.prior_fit, "context": self.knows_context}
        about |= shared_by(np.unique(self.latents.setting[self.train_index]), self.latents.attrs)
        artefacts.save_generator(folder, Generator(self.model, self.scaler, about))
        artefacts.save_codec(folder, self.codec)
