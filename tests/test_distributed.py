"""Two processes see the samples, and find the losses, of one."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ldm_ocean.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.tasks.autoencoder import AutoencoderTask
from ldm_ocean.tasks.diffusion import DiffusionTask

from .conftest import SHORT, SMALL_DIT, SMALL_VAE

ROOT = Path(__file__).resolve().parent.parent
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def train(script: str, arguments: list[str], run: Path, processes: int) -> list[dict]:
    """The log of a training run on this many processes."""
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_machines", "1", "--mixed_precision", "no"]
    launch += ["--dynamo_backend", "no", "--num_processes", str(processes), "--main_process_port", str(free_port())]
    command = [sys.executable, *(launch if processes > 1 else []), f"{script}.py", *arguments, f"run={run}"]
    done = subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_the_same_seed_starts_from_the_same_weights_and_another_one_does_not(road):
    def weights(seed: int) -> tuple:
        vae = load(VaeConfig, "vae", [f"data.states={road['states.zarr']}", *SMALL_VAE, f"train.seed={seed}"])
        data = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
        diffusion = load(DiffusionConfig, "diffusion", [*data, *SMALL_DIT, f"train.seed={seed}"])
        return AutoencoderTask(vae).model.stem.weight, DiffusionTask(diffusion).model.network.enter.weight

    for one, again, other in zip(weights(1), weights(1), weights(2), strict=True):
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


def assert_same(one: list[dict], two: list[dict]):
    assert len(one) == len(two)
    assert {r["split"] for r in one} == {"train", "validation"}
    for a, b in zip(one, two, strict=True):
        assert a.pop("split") == b.pop("split")
        assert b == pytest.approx(a, rel=1e-4)


def test_diffusion_on_two_processes_has_the_losses_of_one(road, tmp_path):
    data = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
    arguments = [*data, *SMALL_DIT, *SHORT]
    assert_same(*(train("train_diffusion", arguments, tmp_path / str(n), n) for n in (1, 2)))


@pytest.mark.slow
def test_the_autoencoder_on_two_processes_has_the_losses_of_one(road, tmp_path):
    arguments = [f"data.states={road['states.zarr']}", *SMALL_VAE, *SHORT]
    assert_same(*(train("train_vae", arguments, tmp_path / str(n), n) for n in (1, 2)))
