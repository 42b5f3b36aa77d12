"""``ldm-ocean train-diffusion`` and ``train_diffusion.py``: stage two, the conditional diffusion transformer."""

import argparse
from pathlib import Path

from . import options
from .evaluate import validation_table

EXAMPLES = """examples:
  ldm-ocean train-diffusion experiment=demo                            small, minutes on two cores
  ldm-ocean train-diffusion experiment=dino codec=dino-coarse          from the published autoencoder and its latents
  ldm-ocean train-diffusion codec=runs/vae data.latents=runs/latents.zarr model.curve=flow
  accelerate launch -m ldm_ocean train-diffusion experiment=dino       on every device there is
from a checkout:
  accelerate launch train_diffusion.py experiment=dino
  python train_diffusion.py experiment=demo
  torchrun --nproc_per_node 2 train_diffusion.py experiment=demo train.device=cpu
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean train-diffusion``."""
    options.settings(parser)


def run(args: argparse.Namespace) -> None:
    """Configuration → task → training loop."""
    from ..training import engine
    from ..training.config import DiffusionConfig, load
    from ..training.diffusion import DiffusionTask
    from ..training.stop import requeue_when_told

    requeue_when_told()
    config = load(DiffusionConfig, "diffusion", args.settings)
    task = DiffusionTask(config)

    def describe() -> str:
        weights = sum(p.numel() for p in task.model.parameters())
        return (
            f"{task.size} states of {task.codec.n_tokens} × {task.codec.channels} latents, "
            f"{weights / 1e6:.2f} M weights, {config.train.samples // config.train.global_batch_size} steps; "
            "regression on the parameters leaves "
            f"{100 * task.unexplained():.1f} % of the latent variance"
        )

    def conclude() -> str:
        return validation_table(Path(config.run), config.data)

    engine.fit(task, config.train, Path(config.run), describe, conclude)
