"""A network of a few weights with its optimiser and average, for laws about checkpoints alone."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import gettrace, settrace

import torch
from torch import nn

from ldm_ocean.training import checkpoint
from ldm_ocean.training.ema import EMA

FILES = (*checkpoint.FILES, checkpoint.SUMS)  # of a checkpoint
PARTS = [f"{name}.{suffix}" for name in ("codec", "generator") for suffix in ("json", "safetensors")]  # of a model


def parts(seed: int = 0) -> tuple[nn.Module, EMA, torch.optim.Optimizer]:
    """After three steps, so that no part is empty."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    optimiser, ema = torch.optim.AdamW(model.parameters(), lr=0.1), EMA(model, 0.9)
    for _ in range(3):
        model(torch.randn(4, 3)).square().mean().backward()
        optimiser.step()
        ema.update(model)
    return model, ema, optimiser


def save(folder: Path, samples: int, keep: int = 2) -> Path:
    """A checkpoint whose contents follow from ``samples``."""
    state = checkpoint.Standing(samples=samples, best=1.0, loss=0.0, steps=0, seed=0, processes=1)
    return checkpoint.save(folder, *parts(samples), state, keep)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def at_every_line(act: Callable[[], None], *files: str) -> Iterator[None]:
    """Within the context ``act`` is called before each line of these files is executed."""
    before = gettrace()

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            act()
        return trace

    settrace(trace)
    try:
        yield
    finally:
        settrace(before)


def in_a_child(act: Callable[[], None]) -> int:
    """Run ``act`` in a fork of this process; its exit code, negative for the signal that killed it."""
    child = os.fork()
    if not child:
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
