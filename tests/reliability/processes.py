"""Training runs in processes of their own, on any number of ranks, which can be killed, told to stop, or made to fail.

Children come from a clean server process that has only imported the package: they inherit no random state and start in
milliseconds.
"""

import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..conftest import SMALL_DIT, SMALL_VAE
from . import trace

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("vae", "diffusion")
STEPS, BATCH = 20, 8
CUT = 80  # samples at the checkpoint half-way: in the middle of an epoch for both stages
LOADING = -1  # Trouble.at: when the first file of the data is opened
SCHEDULE = [
    f"train.samples={STEPS * BATCH}",
    f"train.global_batch_size={BATCH}",
    f"train.checkpoint_every={CUT}",
    "train.validate_every=48",  # so a checkpoint falls between two validations
    "train.device=cpu",
]


@dataclass(frozen=True)
class Trouble:
    """What befalls process ``rank`` when it asks for the batch at position ``at``, or when it is ``LOADING``."""

    at: int
    what: str  # a signal's name, error, or full (the disk)
    rank: int = 0


def arguments(road: dict, stage: str, *more: str) -> list[str]:
    """The command line of a small training on ``road``."""
    if stage == "vae":
        return [f"data.states={road['states.zarr']}", *SMALL_VAE, *SCHEDULE, *more]
    data = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
    return [*data, *SMALL_DIT, *SCHEDULE, *more]


def train(
    stage: str,
    arguments: list[str],
    run: Path,
    processes: int = 1,
    trouble: Sequence[Trouble] = (),
    forget: str = "",
    patience: float = 120,
) -> list[int]:
    """Train until all ranks are gone; their exit codes (negative: a signal). Traces and output are left in ``run``.

    ``forget`` names a part of the checkpoint that a resuming process leaves out.
    """
    children = start(stage, arguments, run, processes, trouble, forget)
    deadline = time.monotonic() + patience
    for child in children:
        child.join(max(0.1, deadline - time.monotonic()))
    late = [child for child in children if child.is_alive()]
    for child in late:
        child.kill()
        child.join()
    assert not late, f"{len(late)} of {processes} processes were still there after {patience:.0f} s"
    return [child.exitcode for child in children]


def start(stage, arguments, run, processes=1, trouble=(), forget="") -> list:
    """The processes of a run, started; however many, each takes two micro-batches a step."""
    run.mkdir(parents=True, exist_ok=True)
    arguments = [f"train.device_batch_size={BATCH // 2 // processes}", *arguments]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [__name__, "ldm_ocean.training.autoencoder", "ldm_ocean.training.diffusion", "tensorboard"]
    )
    port = _free_port()
    children = [
        context.Process(target=_child, args=(stage, arguments, run, rank, processes, port, trouble, forget))
        for rank in range(processes)
    ]
    for child in children:
        child.start()
    return children


def output(run: Path, rank: int = 0) -> str:
    """What a process said, over all resumes."""
    return (run / f"output-{rank}.txt").read_text()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _child(stage, arguments, run, rank, processes, port, trouble, forget) -> None:
    """``python train_<stage>.py arguments run=<run>``, watched."""
    with (run / f"output-{rank}.txt").open("a") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    sys.path.insert(0, str(ROOT))
    sys.argv = [f"train_{stage}.py", *arguments, f"run={run}"]
    import importlib

    from ldm_ocean.errors import exit_politely
    from ldm_ocean.training import engine

    fit = engine.fit

    def watched(task, config, *more):
        _watch(task, config, run, rank, trouble)
        _forget(forget, task, config)
        return fit(task, config, *more)

    engine.fit = watched
    for t in trouble:
        if t.rank == rank and t.at == LOADING:
            _when_reading(lambda what=t.what: _befall(what))
    exit_politely(importlib.import_module(f"train_{stage}").main)


def _watch(task, config, run: Path, rank: int, trouble: Sequence[Trouble]) -> None:
    """Have every step of ``task`` written to the trace; pictures are left out."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from ldm_ocean.training.ema import EMA

    step: dict = {"rows": [], "losses": []}
    batch, update = task.batch, EMA.update

    def watched_batch(indices, positions):
        for t in trouble:
            if t.rank == rank and t.at in positions:
                _befall(t.what)
        out = batch(indices, positions)
        for row, (index, position) in enumerate(zip(indices, positions, strict=True)):
            step["rows"].append([position, index, trace.digest({k: v[row] for k, v in out.items()})])
        return out

    def after_forward(module, inputs, loss):
        if module.training:
            step["losses"].append(float(loss.detach().mean()))

    def after_step(optimiser, args, kwargs):
        moments = {f"{i}/{k}": v for i, s in enumerate(optimiser.state.values()) for k, v in s.items()}
        step.update(lr=optimiser.param_groups[0]["lr"], moments=trace.digest(moments))

    def after_update(ema, model):
        update(ema, model)
        samples = step["rows"][0][0] // config.global_batch_size * config.global_batch_size
        weights = {"weights": trace.digest(dict(model.named_parameters())), "average": trace.digest(ema.average)}
        trace.write(run, rank, {"samples": samples, **step, **weights})
        step.update(rows=[], losses=[])

    task.batch, task.figures, EMA.update = watched_batch, dict, after_update
    task.register_forward_hook(after_forward)
    register_optimizer_step_post_hook(after_step)


def _when_reading(call: Callable[[], None]) -> None:
    """``call()`` when a file of a store is first opened."""
    ahead = [call]

    def hook(event: str, details: tuple) -> None:
        if ahead and event == "open" and ".zarr/" in str(details[0]):
            ahead.pop()()

    sys.addaudithook(hook)


def _befall(what: str) -> None:
    if what == "error":
        raise RuntimeError("something unforeseen")
    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    else:
        os.kill(os.getpid(), getattr(signal, what))


def _forget(what: str, task, config) -> None:
    """Let ``checkpoint.load`` restore all but one part, as if it had never been saved."""
    from ldm_ocean.training import checkpoint

    load = checkpoint.load

    def forgetful(path, model, ema, optimiser):
        state = load(path, model, ema, optimiser)
        if what == "optimiser":
            optimiser.state.clear()
        elif what == "average":
            ema.average = {k: p.detach().clone() for k, p in model.named_parameters()}
        elif what == "seed":
            state["seed"] = config.seed = task.seed = config.seed + 1
        return state

    checkpoint.load = forgetful
