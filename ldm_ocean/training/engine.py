"""The training loop, on any number of processes. The only file that imports accelerate.

Everything is a function of the number of samples seen: the order of the data, the noise, the learning rate. A run that
was stopped, or moves to another number of processes, therefore goes on with the very samples it would have seen.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast
from torch import nn

from ..bar import bar
from ..errors import UserError
from ..io.atomic import write_text
from ..io.output import work_folder
from . import checkpoint
from .config import Train
from .ema import EMA
from .stop import EXIT_REQUEUE, stop_flag

SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
MEASURED = 4  # steps by which the time of all is estimated


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
    """Losses as JSON lines and in TensorBoard; on the first process only.

    What was logged after the checkpoint that the run resumes from will come again, and is dropped.
    """

    def __init__(self, accelerator: Accelerator, run: Path, samples: int):
        self.accelerator, self.path = accelerator, run / "log.jsonl"
        if accelerator.is_main_process and self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            write_text(self.path, "".join(x for x in lines if x.endswith("\n") and json.loads(x)["samples"] <= samples))

    def __call__(self, samples: int, split: str, values: dict[str, float]):
        if self.accelerator.is_main_process:
            try:
                with self.path.open("a") as f:
                    f.write(json.dumps({"samples": samples, "split": split, **values}) + "\n")
            except OSError as error:
                raise UserError(f"cannot write {self.path} ({error.strerror}): free disk space, start again") from error
        self.accelerator.log({f"{split}/{k}": v for k, v in values.items()}, step=samples)

    def figures(self, samples: int, figures: dict):
        if self.accelerator.is_main_process:
            writer = self.accelerator.get_tracker("tensorboard", unwrap=True)
            for name, figure in figures.items():
                writer.add_figure(name, figure, samples)


class Estimate:
    """Called after every step, says once how long all ``steps`` will take; the first is not counted, it prepares."""

    def __init__(self, steps: int, shown: bool):
        self.steps, self.shown, self.taken, self.began = steps, shown, 0, 0.0

    def __call__(self) -> None:
        self.taken += 1
        if self.taken == 1:
            self.began = time.monotonic()
        if self.taken == MEASURED + 1 and self.shown:
            each = (time.monotonic() - self.began) / MEASURED
            minutes = self.steps * each / 60
            print(f"{self.steps} steps of {each:.2g} s: {minutes:.3g} minutes, and validation", file=sys.stderr)


def fit(
    task: Task,
    config: Train,
    run: Path,
    describe: Callable[[], str] = lambda: "",
    conclude: Callable[[], str] = lambda: "",
) -> Path:
    """Train ``task`` to ``config.samples``, resuming by itself from ``run/checkpoints``; returns ``run/best``.

    What ``describe`` says is printed before a new training, what ``conclude`` says once ``run/best`` is final.

    The published model is the averaged one with the lowest validation ``loss``. On SIGTERM, SIGUSR1 or SIGINT a
    checkpoint is written at the next step and the process exits with ``EXIT_REQUEUE``. UserError if another training
    holds ``run``.
    """
    if config.precision not in ("no", "bf16"):
        raise UserError(f"train.precision={config.precision} is not accepted: no or bf16")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device=cuda: there is no GPU here, use auto or cpu")
    # Accelerate would take whatever else there is, such as Apple's GPU, which knows no double precision.
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    accelerator = Accelerator(cpu=cpu, mixed_precision=config.precision, log_with="tensorboard", project_dir=str(run))
    if accelerator.distributed_type in SHARDED:
        raise UserError(f"{accelerator.distributed_type.value} is not accepted: every process holds the whole network")
    share = share_of_batch(config, accelerator.num_processes)  # refused before anything is written
    with work_folder(run, "train", _may_hold_a_run) if accelerator.is_main_process else nullcontext():
        _train(accelerator, share, task, config, run, describe)
    if accelerator.is_main_process and (last := conclude()):
        print(last)
    return run / "best"


def _may_hold_a_run(folder: Path) -> bool:
    """Of a folder without a mark, which may have the logs of a batch system: whether it is a run of the first release,
    or has nothing that a run would replace or prune."""
    names = {p.name for p in folder.iterdir()}
    if names & {"zarr.json", "manifest.json", "codec.json", "generator.json"}:
        return False
    checkpoints = [*(folder / "checkpoints").glob("*/")]
    return not checkpoints or any((c / checkpoint.STATE).exists() for c in checkpoints)


def _train(accelerator, share: tuple[int, int], task: Task, config: Train, run: Path, describe) -> None:
    """The loop itself, from the newest checkpoint to the end; ``share`` of the batch is that of this process."""
    micro, accumulation = share
    run.mkdir(parents=True, exist_ok=True)
    accelerator.init_trackers("tensorboard")
    task.to(accelerator.device)
    optimiser = torch.optim.AdamW(
        task.model.parameters(), lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.99)
    )
    ema = EMA(task.model, config.ema)
    state = _resume(accelerator, run / "checkpoints", task, ema, optimiser, config)
    if accelerator.is_main_process and state["samples"] == 0:
        print(describe(), file=sys.stderr)
    wrapped = accelerator.prepare(task)
    log = Log(accelerator, run, state["samples"])
    order, main = Order(task.size, config.seed), accelerator.is_main_process
    progress = bar(config.samples, "sample", state["samples"], shown=main)
    scores: dict[str, str] = {}
    estimate = Estimate((config.samples - state["samples"]) // config.global_batch_size, shown=main)
    with progress, stop_flag(accelerator) as stop:
        while state["samples"] < config.samples:
            loss = _step(accelerator, wrapped, task, optimiser, config, order, state["samples"], micro, accumulation)
            ema.update(task.model)
            state["loss"] += loss
            state["steps"] += 1
            state["samples"] += config.global_batch_size
            progress.set_postfix(loss=f"{loss:.4g}", **scores, refresh=False)
            progress.update(config.global_batch_size)
            estimate()
            stopping, end = stop(), state["samples"] >= config.samples
            if _due(state["samples"], config.validate_every, config) or end:
                lr = learning_rate(state["samples"], config)
                log(state["samples"], "train", {"loss": state["loss"] / state["steps"], "lr": lr})
                state["loss"], state["steps"] = 0.0, 0
                scores = _validate(accelerator, task, ema, log, state, run)
            if _due(state["samples"], config.checkpoint_every, config) or end or stopping:
                if main:
                    checkpoint.save(run / "checkpoints", task.model, ema, optimiser, state, config.keep_last)
                accelerator.wait_for_everyone()
            if stopping:
                accelerator.end_training()
                sys.exit(EXIT_REQUEUE)
    accelerator.end_training()
    if accelerator.is_main_process and not math.isfinite(state["best"]):
        raise UserError(f"no validation loss was finite, {run / 'best'} was not published: look at data.validation")


def _resume(accelerator, folder: Path, task, ema, optimiser, config) -> checkpoint.Standing:
    """Take up the newest undamaged checkpoint, the same one on every process; a new state where there is none."""
    processes = accelerator.num_processes
    choice = torch.zeros((), dtype=torch.long, device=accelerator.device)
    if accelerator.is_main_process:
        newest = checkpoint.newest(folder)
        if newest:
            checkpoint.tidy(newest, config.keep_last)
            choice.fill_(int(newest.name))
    samples = int(broadcast(choice))
    if not samples:
        return checkpoint.Standing(samples=0, best=math.inf, loss=0.0, steps=0, seed=config.seed, processes=processes)
    path = folder / f"{samples:010d}"
    state = checkpoint.load(path, task.model, ema, optimiser)
    if state["seed"] != config.seed:
        raise UserError(f"{path} was trained with train.seed={state['seed']}, not {config.seed}: use another `run`")
    moved = f", on {processes} processes instead of {state['processes']}" if processes != state["processes"] else ""
    accelerator.print(f"resuming at sample {samples} of {config.samples} from {path}{moved}")
    return {**state, "processes": processes}


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
        raise UserError(f"the loss is not finite at sample {samples}: lower train.lr={config.lr:g}, look at the data")
    size = torch.nn.utils.clip_grad_norm_(task.model.parameters(), config.clip)
    if not torch.isfinite(size):
        raise UserError(f"gradients are not finite at sample {samples}: lower train.lr={config.lr:g}, look at the data")
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(samples + config.global_batch_size / 2, config)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return total


def _due(samples: int, every: int, config: Train) -> bool:
    return samples // every > (samples - config.global_batch_size) // every


def _validate(accelerator, task, ema, log, state: checkpoint.Standing, run) -> dict[str, str]:
    """Score the averaged weights; publish them when they are the best so far. What the bar shows of it."""
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
    return {"validation": f"{scores['loss']:.4g}"} if scores else {}
