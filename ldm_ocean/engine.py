"""The training loop, on any number of processes. The only file that imports accelerate.

Everything is a function of the number of samples seen: the order of the data, the noise, the learning rate. A run that
was stopped, or moves to another number of processes, therefore goes on with the very samples it would have seen.
"""

import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from . import checkpoint
from .config import Train
from .ema import EMA
from .errors import UserError

EXIT_REQUEUE = 75  # stopped by a signal after a checkpoint: run the same command again


class Task(Protocol):
    """What a stage brings: an ``nn.Module`` whose ``forward(batch)`` gives one loss a sample."""

    size: int

    @property
    def model(self) -> nn.Module: ...
    def to(self, device: torch.device, /) -> object: ...
    def batch(self, indices: list[int], positions: range) -> dict: ...
    def __call__(self, batch: dict) -> torch.Tensor: ...
    def validate(self) -> dict[str, float]: ...
    def figures(self) -> dict: ...
    def publish(self, folder: Path) -> None: ...


class Order:
    """Which training sample stands at a position: a fresh permutation each epoch, from the seed alone."""

    def __init__(self, size: int, seed: int):
        self.size, self.seed, self.epoch = size, seed, -1
        self.permutation: list[int] = []

    def __getitem__(self, position: int) -> int:
        epoch, place = divmod(position, self.size)
        if epoch != self.epoch:
            draw = torch.Generator().manual_seed(1_000_003 * self.seed + epoch)
            self.epoch, self.permutation = epoch, torch.randperm(self.size, generator=draw).tolist()
        return self.permutation[place]


def learning_rate(samples: float, config: Train) -> float:
    """Linear warm-up, then a half cosine to 0 at the end of the run."""
    done = samples / config.samples
    if done < config.warmup:
        return config.lr * done / config.warmup
    return config.lr * 0.5 * (1 + math.cos(math.pi * (done - config.warmup) / (1 - config.warmup)))


def share_of_batch(config: Train, processes: int) -> tuple[int, int]:
    """(micro-batch per process, accumulation) for the global batch; UserError when it cannot be shared out."""
    local, rest = divmod(config.global_batch_size, processes)
    if rest or not local:
        raise UserError(f"train.global_batch_size={config.global_batch_size} is not divisible by {processes} processes")
    accumulation = -(-local // config.device_batch_size)
    while local % accumulation:
        accumulation += 1
    return local // accumulation, accumulation


class Log:
    """Losses as JSON lines, in TensorBoard and on the progress bar; on the first process only."""

    def __init__(self, accelerator: Accelerator, run: Path):
        self.accelerator, self.path = accelerator, run / "log.jsonl"

    def __call__(self, samples: int, split: str, values: dict[str, float]):
        if self.accelerator.is_main_process:
            with self.path.open("a") as f:
                f.write(json.dumps({"samples": samples, "split": split, **values}) + "\n")
        self.accelerator.log({f"{split}/{k}": v for k, v in values.items()}, step=samples)

    def figures(self, samples: int, figures: dict):
        if self.accelerator.is_main_process:
            writer = self.accelerator.get_tracker("tensorboard", unwrap=True)
            for name, figure in figures.items():
                writer.add_figure(name, figure, samples)


def fit(task: Task, config: Train, run: Path, describe: Callable[[], str] = lambda: "") -> Path:
    """Train ``task`` to ``config.samples``, resuming by itself from ``run/checkpoints``; returns ``run/best``.

    The published model is the averaged one with the lowest validation ``loss``. On SIGTERM or SIGUSR1 a checkpoint is
    written at the next step and the process exits with ``EXIT_REQUEUE``.
    """
    if config.precision not in ("no", "bf16"):
        raise UserError(f"train.precision={config.precision} is not accepted: no or bf16")
    accelerator = Accelerator(
        cpu=config.device == "cpu", mixed_precision=config.precision, log_with="tensorboard", project_dir=str(run)
    )
    micro, accumulation = share_of_batch(config, accelerator.num_processes)
    run.mkdir(parents=True, exist_ok=True)
    accelerator.init_trackers("tensorboard")
    task.to(accelerator.device)
    optimiser = torch.optim.AdamW(
        task.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.99)
    )
    ema = EMA(task.model, config.ema)
    state: checkpoint.State = {"samples": 0, "best": math.inf}
    found = checkpoint.complete(run / "checkpoints")
    if found:
        state = checkpoint.load(found[-1], task.model, ema, optimiser)
        accelerator.print(f"resuming at sample {state['samples']} of {config.samples} from {found[-1]}")
    if accelerator.is_main_process and state["samples"] == 0:
        print(describe(), file=sys.stderr)
    wrapped = accelerator.prepare(task)
    log = Log(accelerator, run)
    bar = tqdm(
        total=config.samples,
        initial=state["samples"],
        unit="sample",
        disable=None if accelerator.is_main_process else True,
    )
    order, running = Order(task.size, config.seed), []
    with _stop_flag(accelerator) as stop:
        while state["samples"] < config.samples:
            running.append(
                _step(accelerator, wrapped, task, optimiser, config, order, state["samples"], micro, accumulation)
            )
            ema.update(task.model)
            state["samples"] += config.global_batch_size
            bar.update(config.global_batch_size)
            stopping, end = stop(), state["samples"] >= config.samples
            if _due(state["samples"], config.validate_every, config) or end:
                log(
                    state["samples"],
                    "train",
                    {"loss": sum(running) / len(running), "lr": learning_rate(state["samples"], config)},
                )
                running = []
                bar.set_postfix(_validate(accelerator, task, ema, log, state, run))
            if _due(state["samples"], config.checkpoint_every, config) or end or stopping:
                if accelerator.is_main_process:
                    checkpoint.save(run / "checkpoints", task.model, ema, optimiser, state, config.keep_last)
                accelerator.wait_for_everyone()
            if stopping:
                accelerator.end_training()
                sys.exit(EXIT_REQUEUE)
    bar.close()
    accelerator.end_training()
    return run / "best"


def _step(accelerator, wrapped, task, optimiser, config, order, samples, micro, accumulation) -> float:
    """One optimiser step on the global batch that starts at position ``samples``; returns its mean loss."""
    total = 0.0
    first = samples + accelerator.process_index * micro * accumulation
    for i in range(accumulation):
        positions = range(first + i * micro, first + (i + 1) * micro)
        batch = task.batch([order[p] for p in positions], positions)
        last = i == accumulation - 1
        with accelerator.no_sync(wrapped) if not last else torch.enable_grad():
            loss = wrapped(batch).mean() / accumulation
            accelerator.backward(loss)
        total += loss.detach()
    total = float(accelerator.reduce(total, "mean"))
    if not math.isfinite(total):
        raise FloatingPointError(f"the loss is not finite at sample {samples}: lower train.lr or look at the data")
    torch.nn.utils.clip_grad_norm_(task.model.parameters(), config.clip)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(samples + config.global_batch_size / 2, config)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return total


def _due(samples: int, every: int, config: Train) -> bool:
    return samples // every > (samples - config.global_batch_size) // every


def _validate(accelerator, task, ema, log, state: checkpoint.State, run) -> dict[str, str]:
    """Score the averaged weights; publish them when they are the best so far."""
    scores: dict[str, float] = {}
    if accelerator.is_main_process:
        task.eval()
        with ema.applied(task.model), torch.no_grad():
            scores = task.validate()
            log.figures(state["samples"], task.figures())
            if scores["loss"] < state["best"]:
                task.publish(run / "best")
        task.train()
        state["best"] = min(state["best"], scores["loss"])
    log(state["samples"], "validation", scores)
    accelerator.wait_for_everyone()
    return {k: f"{v:.4g}" for k, v in scores.items()}


@contextmanager
def _stop_flag(accelerator: Accelerator) -> Iterator[Callable[[], bool]]:
    """A function that is true on all processes once any of them was asked to stop; later signals are as before."""
    asked = torch.zeros((), device=accelerator.device)

    def ask(*_):
        asked.fill_(1)

    before = {name: signal.signal(name, ask) for name in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield lambda: bool(accelerator.reduce(asked.clone(), "sum") > 0)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
