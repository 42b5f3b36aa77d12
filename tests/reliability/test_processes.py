"""The number of processes changes nothing but speed; what befalls one of them ends all of them in good order."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from ldm_ocean.training import checkpoint
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask
from ldm_ocean.training.stop import EXIT_REQUEUE

from ..conftest import SMALL_DIT, SMALL_VAE
from . import trace
from .processes import BATCH, CUT, ROOT, Trouble, arguments, output, train

SLOW_VAE = [pytest.param("vae", marks=pytest.mark.slow), "diffusion"]


@pytest.mark.reliability("R3")
@pytest.mark.parametrize("stage", SLOW_VAE)
def test_killed_and_resumed_on_two_processes_every_one_equals_the_unbroken_run(stage, road, runs, tmp_path, verdict):
    runs.go_on(stage, tmp_path, 2)
    assert train(stage, arguments(road, stage), tmp_path, processes=2) == [0, 0]
    for rank in range(2):
        resumed = trace.read(tmp_path, rank)
        assert resumed[0]["samples"] == CUT
        verdict("mini-basin", stage, f"RESTART process {rank} of 2", runs.rest(stage, 2, rank), resumed)


@pytest.mark.reliability("R6")
def test_the_same_seed_starts_from_the_same_weights_and_another_one_does_not(road):
    def weights(seed: int) -> tuple:
        vae = load(VaeConfig, "vae", [f"data.states={road['states.zarr']}", *SMALL_VAE, f"train.seed={seed}"])
        data = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
        diffusion = load(DiffusionConfig, "diffusion", [*data, *SMALL_DIT, f"train.seed={seed}"])
        return AutoencoderTask(vae).model.stem.weight, DiffusionTask(diffusion).model.network.enter.weight

    for one, again, other in zip(weights(1), weights(1), weights(2), strict=True):
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


@pytest.mark.reliability("R6")
def test_an_autoencoder_without_blocks_trains_on_several_processes(road, tmp_path):
    assert train("vae", arguments(road, "vae", "model.blocks=[0]", f"train.samples={CUT}"), tmp_path, 2) == [0, 0]


@pytest.mark.reliability("R6")
@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("stage", SLOW_VAE)
def test_several_processes_see_the_samples_noise_and_learning_rate_of_one_and_find_its_losses(
    stage, processes, runs, record_property
):
    one = trace.joined(runs.whole(stage), 1)
    several = trace.joined(runs.whole(stage, processes), processes)
    for name in ("rows", "lr"):
        assert [step[name] for step in several] == [step[name] for step in one]
    worst = max(abs(a["loss"] / b["loss"] - 1) for a, b in zip(several, one, strict=True))
    record_property("report", f"mini-basin  {stage}  {processes} PROCESSES  losses within {worst:.0e} of those of one")
    assert worst < 1e-5


@pytest.mark.reliability("R7")
@pytest.mark.parametrize("stage", SLOW_VAE)
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_another_number_of_processes_in_the_same_order(stage, before, after, road, runs, tmp_path):
    runs.go_on(stage, tmp_path, before)
    assert train(stage, arguments(road, stage), tmp_path, processes=after) == [0] * after
    assert f"on {after} processes instead of {before}" in output(tmp_path)
    rest = trace.joined(runs.whole(stage), 1)[CUT // BATCH :]
    resumed = trace.joined(tmp_path, after)
    for name in ("rows", "lr"):
        assert [step[name] for step in resumed] == [step[name] for step in rest]
    assert [s["loss"] for s in resumed] == pytest.approx([s["loss"] for s in rest], rel=1e-5)


@pytest.mark.reliability("R9")
@pytest.mark.parametrize(
    ("name", "rank"), [("SIGUSR1", 1), ("SIGINT", 0), pytest.param("SIGTERM", 0, marks=pytest.mark.slow)]
)
def test_a_signal_to_one_process_leaves_a_checkpoint_and_ends_all_with_the_code_for_requeueing(
    name, rank, road, tmp_path
):
    told = [Trouble(5 * BATCH + rank * BATCH // 2, name, rank)]
    codes = train("diffusion", arguments(road, "diffusion"), tmp_path, processes=2, trouble=told, patience=30)
    assert codes == [EXIT_REQUEUE] * 2
    assert checkpoint.newest(tmp_path / "checkpoints").name == f"{6 * BATCH:010d}"


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_an_exception_on_one_process_ends_all_of_them(rank, road, tmp_path):
    fault = [Trouble(5 * BATCH + rank * BATCH // 2, "error", rank)]
    codes = train("diffusion", arguments(road, "diffusion"), tmp_path, processes=2, trouble=fault, patience=60)
    assert all(codes)
    assert "something unforeseen" in output(tmp_path, rank)


def launch(road: dict, run: Path, processes: int, *more: str) -> subprocess.Popen:
    """``accelerate launch train_diffusion.py``; its output closes when the last process of it is gone."""
    options = ["--cpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    if processes > 1:
        options = ["--config_file", str(ROOT / "configs" / "accelerate" / "one-node.yaml"), "--main_process_port", "0"]
    options += ["--num_processes", str(processes)]
    command = [sys.executable, "-m", "accelerate.commands.launch", *options, "train_diffusion.py"]
    return subprocess.Popen(
        [*command, *arguments(road, "diffusion", *more), f"run={run}"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def trained_on(run: Path) -> int:
    """How many processes wrote the newest checkpoint: a launcher may start fewer than it is told, and not say so."""
    return json.loads((checkpoint.newest(run / "checkpoints") / "state.json").read_text())["processes"]


@pytest.mark.reliability("R6")
@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_accelerate_launch_starts_as_many_processes_as_it_is_told(processes, road, runs, tmp_path):
    launched = launch(road, tmp_path, processes)
    said = launched.communicate(timeout=300)[0]
    assert launched.returncode == 0, said
    assert trained_on(tmp_path) == processes
    one, several = (
        [float(x.split('"loss": ')[1].split(",")[0].rstrip("}")) for x in (run / "log.jsonl").read_text().splitlines()]
        for run in (runs.whole("diffusion"), tmp_path)
    )
    assert several == pytest.approx(one, rel=1e-5)


@pytest.mark.reliability("R9")
@pytest.mark.parametrize(
    ("processes", "told", "name", "code"),
    [
        (1, "launcher", "SIGTERM", -signal.SIGTERM),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (1, "launcher", "SIGUSR1", -signal.SIGUSR1),
                (2, "launcher", "SIGTERM", 1),
                (2, "launcher", "SIGUSR1", -signal.SIGUSR1),
                (1, "process", "SIGUSR1", 1),
                (2, "process", "SIGUSR1", 1),
            )
        ),
    ],
)
def test_a_signal_to_the_launcher_or_below_it_leaves_a_checkpoint_and_no_process(
    processes, told, name, code, road, tmp_path
):
    launched = launch(road, tmp_path, processes, "train.samples=1000000", "train.checkpoint_every=1000000")
    deadline = time.monotonic() + 200
    while not (tmp_path / "log.jsonl").exists():
        assert launched.poll() is None and time.monotonic() < deadline, launched.communicate()[0]
        time.sleep(0.1)
    below = psutil.Process(launched.pid).children(recursive=True)
    training = [child for child in below if "train_diffusion.py" in child.cmdline()]
    (launched if told == "launcher" else training[-1]).send_signal(getattr(signal, name))
    try:
        launched.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(launched.pid, signal.SIGKILL)  # what the launcher left behind
        raise
    assert launched.returncode == code
    assert trained_on(tmp_path) == processes
