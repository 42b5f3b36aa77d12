"""What training and a network evaluation cost on the machine at hand."""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask
from ldm_ocean.training.engine import Task

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
REPEATS = 3
EXPERIMENT = "experiment=dino"  # that of the published model


def seconds(work: Callable[[], object]) -> float:
    """Mean wall time of ``work``, after a first time that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return sum(times[1:]) / REPEATS


def seconds_a_step(task: Task, batch_size: int, precision: str) -> float:
    """Wall time of a training step of a copy of ``task``."""
    task = copy.deepcopy(task)
    task.to(torch.device(DEVICE))
    optimiser = torch.optim.AdamW(task.model.parameters())
    batch = task.batch([i % task.size for i in range(batch_size)], range(batch_size))

    def step():
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bf16"):
            loss = task(batch).mean()
        loss.backward()
        optimiser.step()

    return seconds(step)


def training_seconds(model: Path) -> dict[str, float]:
    """Of each stage whose log lies with a published model: the steps it took times the time of a step measured here.

    The logs keep no time; validation and checkpoints are not counted.
    """
    stages = {
        "vae": lambda: (AutoencoderTask, load(VaeConfig, "vae", [EXPERIMENT])),
        "diffusion": lambda: (DiffusionTask, load(DiffusionConfig, "diffusion", [EXPERIMENT, f"codec={model}"])),
    }
    out = {}
    for stage, configured in stages.items():
        log = model / stage / "log.jsonl"
        if log.exists():
            kind, config = configured()
            samples, batch_size = (
                json.loads(log.read_text().splitlines()[-1])["samples"],
                config.train.global_batch_size,
            )
            out[stage] = samples / batch_size * seconds_a_step(kind(config), batch_size, config.train.precision)
    return out
