"""A store far larger than memory: training and encoding hold what they look at; no file stays open behind them."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ldm_ocean import open_states
from ldm_ocean.errors import UserError
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import CF, SHORT, SMALL_VAE, small_mesh, small_states
from .limits import only

pytestmark = pytest.mark.reliability("R24")

ROOT = Path(__file__).resolve().parents[2]
TRAIN = """
import sys
from pathlib import Path
from ldm_ocean.autoencoder import latents
from ldm_ocean.commands import cli
from ldm_ocean.training import engine
from ldm_ocean.training.config import VaeConfig, load
from ldm_ocean.training.autoencoder import AutoencoderTask
from tests.reliability.limits import only, used

spare, few, many, arguments = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
latents.SHARD_BYTES = 8 << 20  # the encoder holds the states of a shard
seen = []

def go(folder):
    config = load(VaeConfig, "vae", [f"data.states={folder / 's.zarr'}", *arguments])
    task = AutoencoderTask(config)
    batch = task.batch

    def watched(indices, positions):
        seen.append((used("VmData"), len(list(Path("/proc/self/fd").iterdir()))))
        return batch(indices, positions)

    task.batch = watched
    engine.fit(task, config.train, folder / "vae")
    cli.main(["encode", config.data.states, "--codec", str(folder / "vae"), "--out", str(folder / "latents.zarr")])

go(few)  # imports what the libraries import when they are first used
seen.clear()
with only(spare, "VmData"):
    go(many)
half = len(seen) // 2
print(max(m for m, _ in seen[half:]) - max(m for m, _ in seen[:half]), seen[-1][1] - seen[half][1])
"""


def large_store(path: Path, count: int, shape: tuple[int, int, int], few: int = 8) -> int:
    """``count`` states of two settings, written ``few`` at a time; bytes of them as float32."""
    states, mesh = small_states(2, 1, shape=shape), small_mesh(shape)
    states = states.drop_vars(list(mesh.data_vars))[list(CF)]
    split = np.array(["train"] * (count - 8) + ["validation"] * 8)
    rng = np.random.default_rng(0)
    for start in range(0, count, few):
        some = states.isel(sample=np.zeros(few, int)) + 0.1 * xr.DataArray(rng.standard_normal(few), dims="sample")
        some = some.assign({k: some[k].astype("float32").assign_attrs(states[k].attrs) for k in CF})
        here = slice(start, start + few)
        labels = {
            "setting": split[here],
            "split": split[here],
            "season": rng.random(few),
            "equilibrium": np.full(few, True),
        }
        labels |= {"wind": rng.random(few), "mixing": rng.random(few)}
        some = some.drop_vars(list(some.coords)).assign_coords({k: ("sample", v) for k, v in labels.items()})
        how = {"append_dim": "sample"} if start else {"mode": "w"}
        some.drop_attrs(deep=False).to_zarr(path, consolidated=False, **how)
    attrs = {**mesh.attrs, "parameters": ["wind", "mixing"]}
    mesh.assign_attrs(attrs).to_zarr(path, mode="a", consolidated=False)
    return 4 * count * len(CF) * int(np.prod(shape))


def train(folder: Path, count: int, shape: tuple[int, int, int], spare: int, samples: int) -> tuple[int, list[int]]:
    for part, number in (("few", 64), ("many", count)):
        (folder / part).mkdir()
        size = large_store(folder / part / "s.zarr", number, shape, few=64)
    arguments = [*SMALL_VAE, *SHORT, f"train.samples={samples}", "model.strides=[[5,9,9]]"]
    arguments += [f"train.checkpoint_every={samples}", f"train.validate_every={samples}"]
    command = [sys.executable, "-c", TRAIN, str(spare), str(folder / "few"), str(folder / "many"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    environment |= {"MALLOC_MMAP_THRESHOLD_": "1000000", "ZARR_THREADING__MAX_WORKERS": "1"}  # what is freed, is gone
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return size, [int(x) for x in done.stdout.split()[-2:]]


@pytest.mark.slow
def test_a_store_of_ten_times_the_memory_trains_a_thousand_steps_in_flat_memory(tmp_path, record_property):
    """Of states; statistics of the latents are taken of all of them in memory, so those are made few."""
    spare = 64 << 20
    size, (growth, files) = train(tmp_path, 12032, (10, 17, 17), spare, 8000)
    assert size > 10 * spare
    assert growth < 16 << 20 and files <= 0
    record_property(
        "report", f"{size >> 20} MiB of states within {spare >> 20} MiB: grew {growth >> 10} KiB, {files} files"
    )


def test_states_stacked_on_disk_are_those_stacked_in_memory_and_take_none(states, fields, grid):
    on_disk = fields.stack_on_disk(states, grid, batch=5)
    assert np.array_equal(on_disk, fields.stack(states, grid))


def test_a_store_larger_than_memory_is_stacked_on_disk(tmp_path):
    """45 MiB of states where 20 MiB can be had."""
    size = large_store(tmp_path / "s.zarr", 64, (10, 60, 60))
    many = open_states(tmp_path / "s.zarr")
    grid, fields = OceanGrid.from_dataset(many), Fields.from_dataset(many, list(CF))
    fields.stack(many.isel(sample=[0]), grid)  # what is imported and started once
    gc.collect()  # what is let go meanwhile would make room
    with only(20 << 20, "VmData"):
        out = fields.stack_on_disk(many, grid, batch=8)
        with pytest.raises(MemoryError):
            np.ones((3, *out.shape), "float32")  # as often as states once were in memory
    assert size == out.nbytes > 40 << 20 and np.isfinite(out).all() and out[-1].any()


def test_no_room_for_the_states_on_disk_is_one_line(states, fields, grid, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ldm_ocean.ocean.fields.os.posix_fallocate", full)
    with pytest.raises(UserError, match=r"no room for .* set TMPDIR"):
        fields.stack_on_disk(states, grid)
