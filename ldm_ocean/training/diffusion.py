"""Stage two: learn the distribution of spun-up latents given parameters and season."""

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
from ..generative.denoiser import CURVES, Denoiser, training_sigma
from ..generative.generator import Generator
from ..generative.guidance import ClassifierFree
from ..generative.prior import Earlier
from ..generative.sampling import generator, member_noise, noise_levels, sample
from ..generative.years import decompose, seasonal
from ..io.namelist import shared_by
from .config import DiffusionConfig, DiffusionModel, named

VALIDATION_NOISE = 4  # draws of noise for each validation state
BANDS = 8  # of noise levels, as many states in each, in which the network has to earn its keep


class DiffusionTask(nn.Module):
    """Latents in memory, conditions dropped at random, the loss of ``Denoiser``.

    Mean states and the covariance of the weather are fitted before the training. Targets are equilibrium states about
    the mean state of their own setting: how well the mean state of another one is known is the prior's business.
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
        self.hyperparameters = {k: getattr(config.model, k) for k in ("width", "depth", "heads")}
        self.scaler = ParameterScaler(self.latents.attrs["parameters"]).fit(self.latents.parameters[self.train_index])
        self.asked = self.scaler(torch.from_numpy(self.latents.parameters))
        self.season = season_angle(torch.from_numpy(self.latents.season)).float()
        gaussian = self._gaussian()
        torch.manual_seed(config.train.seed)  # the initial weights
        network = artefacts.new_network(self.codec, len(self.scaler.names), self.hyperparameters)
        if config.model.initial:
            with named("model.initial"):
                artefacts.load_matching(network, Path(config.model.initial), "generator", "denoiser.network.")
        self.model = Denoiser(network, gaussian.prior, gaussian.weather)
        self.bands: dict[str, list[float]] = {}
        self.seed, self.size = config.train.seed, len(self.train_index)
        self.register_buffer("device_marker", torch.zeros(()), persistent=False)

    def _select(self, splits: list[str]) -> np.ndarray:
        chosen = np.flatnonzero(np.isin(self.latents.split, splits) & self.latents.equilibrium)
        if not len(chosen):
            raise UserError(
                f"the latents hold no equilibrium states of {splits}: encode those splits, or choose others"
            )
        return chosen

    def _gaussian(self) -> Denoiser:
        """F = 0, fitted to the training settings; keeps mean state and weather (M, N, C) of every state used."""
        z, setting, i = self.latents.values, self.latents.setting, self.train_index
        fitted = Denoiser.fitted(z[i], self.asked[i], self.season[i], setting[i])
        names = np.unique(setting[i])
        unfinished = np.flatnonzero(~self.latents.equilibrium & np.isin(setting, names))
        if len(unfinished):
            earlier = Earlier(z[unfinished], self.season[unfinished])
            fitted.prior.learn_from_earlier(earlier, np.searchsorted(names, setting[unfinished]))
        else:
            warnings.warn("no unfinished states to train on: the model will know no context", stacklevel=2)
        used = np.union1d(i, self.held_out)
        self.mean, self.weather = torch.zeros_like(z), torch.zeros_like(z)
        pooled = fitted.prior.pooled
        _, self.mean[used], self.weather[used] = decompose(z[used], self.season[used], setting[used], pooled)
        return fitted

    def unexplained(self) -> float:
        """Share of the training latents' variance that regression of mean states on the parameters leaves."""
        i, prior = self.train_index, self.model.prior
        _, place = np.unique(self.latents.setting[i], return_inverse=True)
        z = self.latents.values[i]
        left = z - seasonal(prior.left_out()[place], self.season[i])
        return float(left.square().mean() / (z - z.mean(0)).square().mean())

    def batch(self, indices: list[int], positions: range) -> dict:
        """Clean latents, noise, noise levels and conditions, each from (seed, position) alone."""
        rows = [
            self._row(int(self.train_index[i]), generator(self.seed, 2, p))
            for i, p in zip(indices, positions, strict=True)
        ]
        return self._collate(rows)

    def _row(self, index: int, draw: torch.Generator) -> dict:
        z = self.mean[index] + self.weather[index]
        uniform = torch.rand(2, generator=draw)
        return {
            "z": z + self.options.latent_noise * torch.randn(z.shape, generator=draw),
            "noise": torch.randn(z.shape, generator=draw),
            "uniform": uniform[0],
            "parameters": self.asked[index],
            "season": self.season[index],
            "mean": self.mean[index],
            "has_parameters": (uniform[1] >= self.options.drop_parameters).float(),
        }

    def _collate(self, rows: list[dict]) -> dict:
        return {k: torch.stack([r[k] for r in rows]).to(self.device_marker.device) for k in rows[0]}

    def forward(self, batch: dict) -> torch.Tensor:
        """(B,) losses."""
        return self._loss(self.model, batch)

    def _loss(self, model: Denoiser, batch: dict) -> torch.Tensor:
        condition = Condition(**{k: batch[k] for k in Condition.__dataclass_fields__})
        sigma = training_sigma(batch["uniform"], self.options.curve)
        return model.loss(batch["z"], batch["noise"], sigma, condition)

    def validate(self) -> dict[str, float]:
        """Loss on held-out settings with fixed noise, spread evenly over noise levels, and that of F = 0.

        The network is of no use unless its loss is below in every band of noise levels: ``loss`` is then that of F = 0.
        """
        rows = [
            self._row(int(i), generator(self.seed, 3, draw, n)) | {"has_parameters": torch.ones(())}
            for draw in range(VALIDATION_NOISE)
            for n, i in enumerate(self.held_out)
        ]
        order = np.random.default_rng(self.seed).permutation(len(rows))  # of states over noise levels
        losses: dict[str, list[torch.Tensor]] = {"network": [], "gaussian": []}
        models = {"network": self.model, "gaussian": Denoiser(None, self.model.prior, self.model.weather)}
        for part in np.array_split(np.arange(len(rows)), VALIDATION_NOISE):
            batch = self._collate([rows[order[n]] for n in part])
            batch["uniform"] = ((torch.from_numpy(part) + 0.5) / len(rows)).to(batch["uniform"])
            for name, model in models.items():
                losses[name].append(self._loss(model, batch))
        loss = {name: torch.cat(parts) for name, parts in losses.items()}
        bands = min(BANDS, len(rows))
        self.bands = {"sigma": training_sigma(torch.arange(bands + 1) / bands, self.options.curve).tolist()}
        self.bands |= {k: [float(band.mean()) for band in v.tensor_split(bands)] for k, v in loss.items()}
        means = {name: float(v.mean()) for name, v in loss.items()}
        return {"loss": means["network" if self.earns_its_keep else "gaussian"], **means}

    @property
    def earns_its_keep(self) -> bool:
        """Whether the network was below F = 0 in every band of the last validation."""
        pairs = zip(self.bands.get("network", []), self.bands.get("gaussian", []), strict=True)
        return bool(self.bands) and all(network < gaussian for network, gaussian in pairs)

    def figures(self) -> dict:
        """Reconstruction beside one sample for the first held-out state, for each variable at the surface."""
        from ..report.quicklook import plot

        device = self.device_marker.device
        row = self._collate([self._row(int(self.held_out[0]), generator(self.seed, 4))])
        condition = Condition(**{k: row[k] for k in Condition.__dataclass_fields__})
        levels = noise_levels(STEPS, self.options.curve).to(device)
        noise = member_noise(tuple(row["z"].shape[1:]), self.seed, range(1)).to(device)
        drawn = sample(ClassifierFree(self.model, condition), noise, levels, self.model.gaussian(condition))
        fields, grid = self.codec.fields, self.codec.grid
        latents = {"reconstruction": self.latents.values[self.held_out[:1]].to(device), "sample": drawn}
        pair = {k: fields.unstack(self.codec.decode(v).cpu().numpy(), grid).isel(sample=0) for k, v in latents.items()}
        depth = float(grid["gdept"][0])
        return {f"maps/{name}": plot(pair, name, depth, grid) for name in fields.names}

    def publish(self, folder: Path) -> None:
        """Write the denoiser with its parameter scaling, and the codec it belongs to; without a network that did not
        earn its keep."""
        model, kept = self.model, self.earns_its_keep
        about = {"shape": self.hyperparameters if kept else None, "curve": self.options.curve, "validation": self.bands}
        about |= {"codec": self.codec.digest}
        about |= shared_by(np.unique(self.latents.setting[self.train_index]), self.latents.attrs)
        denoiser = model if kept else Denoiser(None, model.prior, model.weather)
        artefacts.save_generator(folder, Generator(denoiser, self.scaler, about))
        artefacts.save_codec(folder, self.codec)
