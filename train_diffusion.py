"""Stage two: train the conditional diffusion transformer on encoded states.

accelerate launch train_diffusion.py                  # the DINO experiment, on every device there is
python train_diffusion.py experiment=demo             # small, minutes on two cores
torchrun --nproc_per_node 2 train_diffusion.py experiment=demo train.device=cpu
python train_diffusion.py codec=runs/vae data.latents=runs/latents.zarr model.curve=flow
"""

import sys
from pathlib import Path

from ldm_ocean.commands.evaluate import validation_table
from ldm_ocean.errors import DEBUG, DEBUG_HELP, exit_politely
from ldm_ocean.training import engine
from ldm_ocean.training.config import DiffusionConfig, load
from ldm_ocean.training.diffusion import DiffusionTask
from ldm_ocean.training.stop import requeue_when_told


def main() -> None:
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__, "Keys and defaults: ldm_ocean/training/config.py; groups of settings: configs/", sep="\n")
        print(f"{DEBUG}: {DEBUG_HELP}")
        return
    requeue_when_told()
    config = load(DiffusionConfig, "diffusion", [a for a in sys.argv[1:] if a != DEBUG])
    task = DiffusionTask(config)

    def describe() -> str:
        weights = sum(p.numel() for p in task.model.network.parameters())
        return (
            f"{task.size} states of {task.codec.n_tokens} × {task.codec.channels} latents, "
            f"{weights / 1e6:.2f} M weights, {config.train.samples // config.train.global_batch_size} steps; "
            "regression on the parameters leaves "
            f"{100 * task.prior_fit['held_out_variance']:.1f} % of the latent variance"
        )

    def conclude() -> str:
        return validation_table(Path(config.run), config.data)

    engine.fit(task, config.train, Path(config.run), describe, conclude)


if __name__ == "__main__":
    exit_politely(main)
