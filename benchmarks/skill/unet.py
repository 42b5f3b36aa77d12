"""The published generator's recipe, rebuilt from its description: a DDPM in pixel space (Ho et al. 2020).

    x_t = √ᾱ_t x + √(1 − ᾱ_t) ε,    L = ‖ε − ε_θ(x_t, t, c)‖²,    t = 1 … 1000

x are normalised anomalies as an image: every level of every variable is a channel, land is 0, rows and columns are
filled up with zeros to what the strides of a 2-D U-Net need. c, scaled parameters and season, is embedded and added to
the embedding of t. Sampled by ancestral steps, on 20 of the 1000 or on all of them as published. The estimate of x is
clipped at every step, as is the custom of the recipe: at t = 1000 it is ε's error times 158, and a network of so little
training as this one has errs by a sixth. Anomalies have no bounds to clip to, so validation settings chose one.
"""

import json
import time
from pathlib import Path
from typing import NamedTuple

import diffusers
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.generative.conditions import ParameterScaler, season_angle
from ldm_ocean.generative.sampling import generator, member_noise
from ldm_ocean.io.atomic import published, write_text
from ldm_ocean.training import engine
from ldm_ocean.training.config import Train

from .cost import DEVICE, seconds, seconds_a_step

PUBLISHED, CHANNELS = (64, 64, 128, 128), 37  # widths, and the levels of all variables they were chosen for
STEPS, SAMPLING_STEPS = 1000, 20
CLIP = 6.0  # standard deviations
BATCH = 16
CHUNK = 64  # members sampled at once
PRECISION = "bf16"  # as ours is trained


class Labelled(NamedTuple):
    """States (N, V, D, Y, X) with their parameters (N, P), season (N,) and setting names (N,)."""

    states: Tensor
    parameters: np.ndarray
    season: np.ndarray
    settings: np.ndarray


def widths_for(channels: int) -> tuple[int, ...]:
    """The published widths, times what keeps them as wide beside the channels: fewer features cannot carry the noise.

    73 channels through 64 features leave 9/73 of it unknown at every step, and 20 steps of that are no ocean at all.
    """
    return tuple(-(-channels // CHANNELS) * w for w in PUBLISHED)


class UNet(nn.Module):
    """ε_θ on images (B, C, Y, X) for a condition (B, P + 2): scaled parameters, cosine and sine of the season."""

    def __init__(self, channels: int, size: tuple[int, int], n_conditions: int, widths: tuple[int, ...]):
        super().__init__()
        self.network = diffusers.UNet2DModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=widths,
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            class_embed_type="identity",
        )
        width = 4 * widths[0]
        self.embed = nn.Sequential(nn.Linear(n_conditions, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return self.network(x, t, class_labels=self.embed(condition)).sample


class Images:
    """States (N, V, D, Y, X) ↔ images (N, C, Y', X') of normalised anomalies; levels of land only are no channels."""

    def __init__(self, states: Tensor, volumes: Tensor, stride: int):
        self.normaliser = Normaliser.fit(states.numpy(), volumes)
        self.masks = volumes > 0
        self.wet = self.masks.any((-2, -1))
        self.size = tuple(-(-n // stride) * stride for n in volumes.shape[-2:])

    def __call__(self, states: Tensor) -> Tensor:
        x = torch.where(self.masks, self.normaliser(states), 0.0)[:, self.wet]
        return nn.functional.pad(x, (0, self.size[1] - x.shape[-1], 0, self.size[0] - x.shape[-2]))

    def inverse(self, images: Tensor) -> Tensor:
        x = torch.zeros(len(images), *self.masks.shape)
        x[:, self.wet] = images[..., : x.shape[-2], : x.shape[-1]]
        return torch.where(self.masks, self.normaliser.inverse(x), 0.0)


class Task(nn.Module):
    """What ``engine.fit`` trains: images and conditions in memory, noise from (seed, position) alone."""

    place: Tensor

    def __init__(self, model: UNet, images: Tensor, conditions: Tensor, held_out: Tensor, held_out_conditions: Tensor):
        super().__init__()
        self.model, self.size = model, len(images)
        self.images, self.conditions = images, conditions
        self.held_out, self.held_out_conditions = held_out, held_out_conditions
        self.schedule = diffusers.DDPMScheduler(num_train_timesteps=STEPS)
        self.register_buffer("place", torch.zeros(()), persistent=False)

    def batch(self, indices: list[int], positions: range) -> dict:
        draws = [generator(0, 2, p) for p in positions]
        t = torch.cat([torch.randint(STEPS, (1,), generator=draw) for draw in draws])
        return self._noised(self.images[indices], self.conditions[indices], t, draws)

    def _noised(self, x: Tensor, condition: Tensor, t: Tensor, draws: list[torch.Generator]) -> dict:
        noise = torch.stack([torch.randn(x.shape[1:], generator=draw) for draw in draws])
        out = {"x": self.schedule.add_noise(x, noise, t), "t": t, "condition": condition, "noise": noise}
        return {k: v.to(self.place.device) for k, v in out.items()}

    def forward(self, batch: dict) -> Tensor:
        estimate = self.model(batch["x"], batch["t"], batch["condition"])
        return (estimate - batch["noise"]).square().mean((1, 2, 3))

    def validate(self) -> dict[str, float]:
        """Loss on held-out settings, with the noise and the steps of every time before."""
        losses = []
        for own in torch.arange(len(self.held_out)).split(BATCH):
            t = own * STEPS // len(self.held_out)
            x, condition = self.held_out[own], self.held_out_conditions[own]
            losses.append(self(self._noised(x, condition, t, [generator(0, 3, n) for n in own.tolist()])))
        return {"loss": float(torch.cat(losses).mean())}

    def figures(self) -> dict:
        return {}

    def publish(self, folder: Path) -> None:
        with published(folder / "unet.safetensors") as file:
            save_file({k: v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}, file)


class PixelDDPM:
    """``fit`` for about ``minutes`` in the folder ``run``, going on where it was stopped; then ``sample``."""

    def __init__(
        self, volumes: Tensor, run: Path, minutes: float, held_out: Labelled, widths: tuple[int, ...] | None = None
    ):
        """``held_out``: validation states, which choose among the stages of training, as ours are chosen."""
        self.volumes, self.run, self.minutes, self.held_out = volumes, run, minutes, held_out
        self.widths = widths or widths_for(int((volumes > 0).any((-2, -1)).sum()))

    def fit(self, states: Tensor, parameters: np.ndarray, season: np.ndarray, settings: np.ndarray) -> "PixelDDPM":
        self.images = Images(states, self.volumes, 2 ** (len(self.widths) - 1))
        self.scaler = ParameterScaler([f"p{i}" for i in range(parameters.shape[1])]).fit(parameters)
        torch.manual_seed(0)  # the initial weights
        x, condition = self.images(states), self._condition(parameters, season)
        self.model = UNet(x.shape[1], self.images.size, condition.shape[1], self.widths)
        held_out = self.images(self.held_out.states), self._condition(self.held_out.parameters, self.held_out.season)
        self._train(Task(self.model, x, condition, *held_out))
        self.model.load_state_dict(load_file(self.run / "best" / "unet.safetensors"))
        self.model.requires_grad_(False).eval().cpu()
        return self

    def _train(self, task: Task) -> None:
        """The number of steps follows from the time of the first few, once: a run that goes on keeps it."""
        self.run.mkdir(parents=True, exist_ok=True)
        path = self.run / "budget.json"
        if not path.exists():
            steps = max(2, round(60 * self.minutes / seconds_a_step(task, BATCH, PRECISION)))
            write_text(path, json.dumps({"minutes": self.minutes, "steps": steps, "seconds": 0.0}))
        budget = json.loads(path.read_text())
        samples = BATCH * budget["steps"]
        every = max(BATCH, samples // 10)
        pace = {"samples": samples, "validate_every": every, "checkpoint_every": every}
        config = Train(lr=4e-4, ema=0.995, device=DEVICE, precision=PRECISION, **pace)
        start = time.perf_counter()
        try:
            engine.fit(task, config, self.run)
        finally:
            budget["seconds"] += time.perf_counter() - start
            write_text(path, json.dumps(budget))
        self.training_seconds = budget["seconds"]

    def _condition(self, parameters: np.ndarray, season: np.ndarray) -> Tensor:
        angle = season_angle(torch.as_tensor(season, dtype=torch.float64)).float()
        return torch.cat([self.scaler(torch.as_tensor(parameters)), angle], 1)

    def sample(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        """By ``SAMPLING_STEPS`` of the steps, evenly spaced from the last one down."""
        return self._draw(SAMPLING_STEPS, parameters, season, members, seed)

    def sample_by_all_steps(self, parameters: np.ndarray, season: float, members: int, seed: int) -> Tensor:
        """As published (Ho et al. 2020)."""
        return self._draw(STEPS, parameters, season, members, seed)

    @torch.no_grad()
    def _draw(self, steps: int, parameters, season, members: int, seed: int) -> Tensor:
        condition = self._condition(np.asarray(parameters)[None], np.array([season]))
        drawn = []
        for own in torch.arange(members).split(CHUNK):
            x = member_noise(
                (int(self.images.wet.sum()), *self.images.size), seed, range(int(own[0]), int(own[-1]) + 1)
            )
            noise = [generator(seed, 4, m) for m in own.tolist()]
            solver = diffusers.DDPMScheduler(
                num_train_timesteps=STEPS, clip_sample=True, clip_sample_range=CLIP, timestep_spacing="trailing"
            )
            solver.set_timesteps(steps)
            for t in solver.timesteps:
                x = solver.step(self._noise(x, t, condition.expand(len(x), -1)), t, x, generator=noise).prev_sample
            drawn.append(self.images.inverse(x))
        return torch.cat(drawn)

    def _noise(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """ε_θ, in the precision of the training."""
        with torch.autocast("cpu", torch.bfloat16, enabled=PRECISION == "bf16"):
            return self.model(x, t, condition).float()

    @torch.no_grad()
    def seconds_an_evaluation(self) -> float:
        """Wall time of one evaluation of the network for one of a batch of members."""
        x = torch.zeros(BATCH, int(self.images.wet.sum()), *self.images.size)
        condition = torch.zeros(BATCH, self.model.embed[0].in_features)
        return seconds(lambda: self._noise(x, torch.tensor(0), condition)) / BATCH
