"""Stage one: train the masked autoencoder.

python train_vae.py                                   # the DINO experiment, as published
python train_vae.py experiment=demo                   # small, minutes on two cores
python train_vae.py data=my-ocean.yaml run=runs/mine  # your own prepared states
accelerate launch train_vae.py experiment=dino train.lr=5e-4
"""

import sys
from pathlib import Path

from ldm_ocean.errors import DEBUG, DEBUG_HELP, exit_politely
from ldm_ocean.training import engine
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import VaeConfig, load
from ldm_ocean.training.stop import requeue_when_told


def main() -> None:
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__, "Keys and defaults: ldm_ocean/training/config.py; groups of settings: configs/", sep="\n")
        print(f"{DEBUG}: {DEBUG_HELP}")
        return
    requeue_when_told()
    config = load(VaeConfig, "vae", [a for a in sys.argv[1:] if a != DEBUG])
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


if __name__ == "__main__":
    exit_politely(main)
