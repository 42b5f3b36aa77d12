"""Both networks can be sharded over processes (FSDP2), for those that outgrow one device."""

import multiprocessing
import os

import pytest
import torch
import torch.distributed as dist
from packaging.version import Version
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from ldm_ocean.autoencoder.masked import Block
from ldm_ocean.generative.dit import Layer
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask

from .processes import STAGES, arguments

BATCH = 4


def new_task(stage: str, command: list[str]):
    schema, task = (VaeConfig, AutoencoderTask) if stage == "vae" else (DiffusionConfig, DiffusionTask)
    task = task(load(schema, stage, command))
    for p in task.model.parameters():  # no layer at its zero start, so that every gradient is seen
        torch.nn.init.normal_(p, std=0.1)
    return task


def differences(stage: str, command: list[str], store: str, rank: int, answers) -> None:
    """Largest difference of loss and gradients between the whole batch on one and half of it on each of two."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    whole = new_task(stage, command)
    loss = whole(whole.batch(list(range(BATCH)), range(BATCH))).mean()
    loss.backward()

    shared = new_task(stage, command)
    mesh = init_device_mesh("cpu", (2,))
    for module in shared.model.modules():
        if isinstance(module, Layer | Block):
            fully_shard(module, mesh=mesh)
    fully_shard(shared.model if stage == "vae" else shared.model.network, mesh=mesh)
    mine = list(range(BATCH))[rank::2]
    positions = range(BATCH)[rank::2]
    half = shared(shared.batch(mine, positions)).mean()
    half.backward()
    total = half.detach().clone()
    dist.all_reduce(total)
    names = list(shared.model.named_parameters())
    sharded = all(isinstance(p, DTensor) for _, p in names)
    smaller = sum(p.to_local().numel() for _, p in names) < 0.75 * sum(p.numel() for _, p in names)
    gradients = {n: p.grad for n, p in whole.model.named_parameters()}
    worst = max(float((p.grad.full_tensor() - gradients[n]).abs().max() / gradients[n].abs().max()) for n, p in names)
    answers.put((sharded, smaller, abs(float(total / 2 / loss.detach()) - 1), worst))
    dist.destroy_process_group()


@pytest.mark.reliability("R6")
@pytest.mark.skipif(Version(torch.__version__) < Version("2.10"), reason="FSDP on CPUs: 2.6 fails, 2.8 has no mean")
@pytest.mark.parametrize("stage", STAGES)
def test_a_sharded_network_has_the_loss_and_gradients_of_the_whole_one(stage, road, tmp_path):
    context = multiprocessing.get_context("forkserver")
    answers = context.Queue()
    command = arguments(road, stage)
    children = [
        context.Process(target=differences, args=(stage, command, str(tmp_path / "store"), rank, answers))
        for rank in range(2)
    ]
    for child in children:
        child.start()
    found = [answers.get(timeout=120) for _ in children]
    for child in children:
        child.join(60)
    for sharded, smaller, loss, gradient in found:
        assert sharded and smaller
        assert loss < 1e-5
        assert gradient < 1e-4
