"""Any number of reading processes gives the same batches, also after their parent has read Zarr itself."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ldm_ocean import artefacts
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask
from ldm_ocean.training.engine import Order

from ..conftest import SMALL_DIT, SMALL_VAE

pytestmark = pytest.mark.reliability("R19")
SECONDS = 60  # a hang, not a slow machine


class Batches(Dataset):
    """Batch n of a task: positions 4n to 4n + 3 of the order."""

    def __init__(self, task, seed: int):
        self.task, self.seed = task, seed

    def __len__(self) -> int:
        return 5

    def __getitem__(self, n: int) -> dict:
        order, positions = Order(self.task.size, self.seed), range(4 * n, 4 * n + 4)
        return self.task.batch([order[p] for p in positions], positions)


@pytest.fixture(params=["autoencoder", "diffusion"])
def task(request, road):
    if request.param == "autoencoder":
        return AutoencoderTask(load(VaeConfig, "vae", [f"data.states={road['states.zarr']}", *SMALL_VAE]))
    data = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
    return DiffusionTask(load(DiffusionConfig, "diffusion", [*data, *SMALL_DIT]))


def batches(task, workers: int, context: str | None) -> list[dict]:
    wait = SECONDS if workers else 0
    loader = DataLoader(Batches(task, 3), None, num_workers=workers, multiprocessing_context=context, timeout=wait)
    return list(loader)


def same(one: list[dict], other: list[dict]) -> None:
    assert len(one) == len(other) == 5
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)


def test_batches_read_in_forked_processes_are_those_of_one_after_the_parent_has_read_zarr(task, road):
    open_latents(road["latents.zarr"], artefacts.load_codec(road["vae"]))
    own = batches(task, 0, None)
    for workers in (1, 4):
        same(own, batches(task, workers, "fork"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_batches_read_in_spawned_processes_are_those_of_one(workers, task):
    same(batches(task, 0, None), batches(task, workers, "spawn"))
