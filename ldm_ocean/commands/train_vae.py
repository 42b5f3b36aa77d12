"""``ldm-ocean train-vae`` and ``train_vae.py``: stage one, the masked autoencoder."""

import argparse
from pathlib import Path

from . import options

EXAMPLES = """examples:
  ldm-ocean train-vae experiment=dino                                  the DINO experiment, as published
  ldm-ocean train-vae experiment=demo                                  small, minutes on two cores
  ldm-ocean train-vae data.states=states.zarr run=runs/mine            your own prepared states
  accelerate launch -m ldm_ocean train-vae experiment=dino train.lr=5e-4
from a checkout:
  python train_vae.py experiment=demo
  accelerate launch train_vae.py experiment=dino train.lr=5e-4
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean train-vae``."""
    options.settings(parser)


def run(args: argparse.Namespace) -> None:
    """Configuration → task → training loop."""
    from ..training import engine
    from ..training.autoencoder import AutoencoderTask
    from ..training.config import VaeConfig, load
    from ..training.stop import requeue_when_told

    requeue_when_told()
    config = load(VaeConfig, "vae", args.settings)
    task = AutoencoderTask(config)
    model = task.model

    def describe() -> str:
        weights = sum(p.numel() for p in model.parameters())
        return (
            f"{task.size} states of {tuple(model.masks.shape)}, {model.compression:.1f} wet values to one of "
            f"{model.n_tokens} × {model.channels} latents, {weights / 1e6:.2f} M weights, "
            f"{config.train.samples // config.train.global_batch_size} steps"
        )

    engine.fit(task, config.train, Path(config.run), describe)
