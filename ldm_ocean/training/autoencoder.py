"""Stage one: train the autoencoder on states of the training settings, judged on settings it has not seen."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import artefacts
from ..autoencoder.loss import ReconstructionLoss
from ..autoencoder.normaliser import Normaliser
from ..autoencoder.vae import Autoencoder
from ..errors import UserError
from ..generative.sampling import generator
from ..io.states import open_states
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .config import AutoencoderModel, VaeConfig, named

SHAPE = ("strides", "widths", "blocks", "channels")


class AutoencoderTask(nn.Module):
    """States on disk, those of a batch in memory; random mixtures of anomalies, reconstruction loss.

    Anomalies add: any linear mixture of them is nearly a state the model could have seen under other parameters, so
    mixtures keep the autoencoder from learning the few training settings by heart.
    """

    volumes: torch.Tensor

    def __init__(self, config: VaeConfig):
        super().__init__()
        stages = {k: len(getattr(config.model, k)) for k in ("strides", "widths", "blocks")}
        if len(set(stages.values())) > 1:
            counts = [*stages.values()]
            raise UserError(f"model.strides, model.widths, model.blocks hold {counts} entries: give one for each stage")
        if any(len(stride) != 3 for stride in config.model.strides):
            raise UserError(f"model.strides={config.model.strides}: give three for each stage (levels, rows, columns)")
        with named("data.states, data.train, data.validation"):
            data = open_states(config.data.states, [*config.data.train, *config.data.validation])
            self.grid = OceanGrid.from_dataset(data)
        with named("data.variables"):
            self.fields = Fields.from_dataset(data, config.data.variables)
        split = np.isin(data.split.values, config.data.train)
        if not split.any() or split.all():
            raise UserError(
                f"{config.data.states} needs samples for training and for validation: give each run its split in "
                "`ldm-ocean prepare --split`, or see data.train, data.validation"
            )
        states, held_out = (
            self.fields.stack_on_disk(data.isel(sample=np.flatnonzero(which)), self.grid) for which in (split, ~split)
        )
        torch.manual_seed(config.train.seed)  # the initial weights
        self.model = Autoencoder(self.fields, self.grid, **{k: getattr(config.model, k) for k in SHAPE})
        volumes = self.fields.volumes(self.grid)
        self.model.normaliser.load_state_dict(Normaliser.fit(states, volumes).state_dict())
        self.states, self.held_out = torch.from_numpy(states), torch.from_numpy(held_out)
        self.criterion = ReconstructionLoss(volumes, self.model.normaliser, config.model.vertical, config.model.power)
        self.register_buffer("volumes", volumes, persistent=False)
        self.options: AutoencoderModel = config.model
        self.seed, self.size = config.train.seed, len(self.states)
        if config.model.initial:
            with named("model.initial"):
                artefacts.load_matching(self.model, Path(config.model.initial))

    def batch(self, indices: list[int], positions: range) -> dict:
        """Normalised anomalies and latent noise for these samples, each from (seed, position) alone."""
        states, noise = [], []
        for index, position in zip(indices, positions, strict=True):
            draw = generator(self.seed, 1, position)
            state = self._anomaly(index)
            if torch.rand((), generator=draw) < self.options.mixtures:
                other = self._anomaly(int(torch.randint(self.size, (), generator=draw)))
                angle = 2 * torch.pi * torch.rand((), generator=draw)
                state = angle.cos() * state + angle.sin() * other
            states.append(state)
            noise.append(torch.randn(self.options.channels, *self.model.latent_shape, generator=draw))
        return {"states": torch.stack(states), "noise": torch.stack(noise).to(self.volumes.device)}

    def _anomaly(self, index: int) -> torch.Tensor:
        """Normalised anomaly (V, D, Y, X) of a training state."""
        return self.model.normalise(self.states[index].to(self.volumes.device))

    def forward(self, batch: dict) -> torch.Tensor:
        """Loss of the batch, (1,)."""
        estimate = self.model(batch["states"], self.options.latent_noise * batch["noise"])
        return self.criterion(estimate, batch["states"])[None]

    def validate(self) -> dict[str, float]:
        """Share of the anomaly variance lost on held-out settings, by variable [%], and their mean as ``loss``."""
        lost = self.lost_variance(self.held_out)
        return {"loss": sum(lost.values()) / len(lost), **lost}

    def lost_variance(self, states: torch.Tensor) -> dict[str, float]:
        """100 Σ w (x − x̂)² / Σ w (x − x̄)² by variable, over wet cells, levels and samples."""
        error = total = self.volumes.new_zeros(len(self.fields))
        for chunk in states.split(32):
            x = self.model.normalise(chunk.to(self.volumes.device))
            weight = self.volumes * self.model.normaliser.scale[..., None, None].double() ** 2
            error = error + (weight * (self.model(x) - x).square()).sum((0, 2, 3, 4))
            total = total + (weight * x.square()).sum((0, 2, 3, 4))
        return dict(zip(self.fields.names, (100 * error / total).tolist(), strict=True))

    def figures(self) -> dict:
        """Truth beside reconstruction of one held-out state, for each variable at the surface."""
        from ..report.quicklook import plot

        state = self.held_out[:1].to(self.volumes.device)
        masks = self.model.masks
        shown = torch.where(masks, self.model.normaliser.inverse(self.model(self.model.normalise(state))), 0.0)
        tensors = {"truth": state, "reconstruction": shown}
        pair = {k: self.fields.unstack(v.cpu().numpy(), self.grid).isel(sample=0) for k, v in tensors.items()}
        depth = float(self.grid["gdept"][0])
        return {f"maps/{name}": plot(pair, name, depth, self.grid) for name in self.fields.names}

    def publish(self, folder: Path) -> None:
        """Write the autoencoder, its weights rounded to half precision, with the statistics of its training latents."""
        with torch.no_grad():
            for p in self.model.parameters():
                p.copy_(p.half())
        self.model.fit_statistics(self.states)
        artefacts.save_codec(folder, self.model)
