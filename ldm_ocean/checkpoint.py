"""Checkpoints: complete or absent. safetensors and JSON only; nothing is ever unpickled.

A checkpoint is written under a temporary name, flushed to disk, renamed, and only then are older ones removed.
"""

import json
import os
import shutil
from pathlib import Path
from typing import TypedDict

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from .ema import EMA
from .errors import UserError


class State(TypedDict):
    """Where a run stands: samples seen, lowest validation loss."""

    samples: int
    best: float


def save(folder: Path, model: nn.Module, ema: EMA, optimiser: torch.optim.Optimizer, state: State, keep: int) -> Path:
    """Publish ``folder/<samples>``; keep the newest ``keep`` checkpoints."""
    names: dict[torch.Tensor, str] = {p: n for n, p in model.named_parameters()}
    moments = {
        f"{names[p]}/{key}": value.detach().cpu()
        for p, entry in optimiser.state.items()
        for key, value in entry.items()
    }
    tensors = {
        "model": {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()},
        "ema": {k: v.detach().cpu().contiguous() for k, v in ema.average.items()},
        "optimiser": moments,
    }
    final = folder / f"{state['samples']:010d}"
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, content in tensors.items():
        save_file(content, temporary / f"{name}.safetensors")
    (temporary / "state.json").write_text(json.dumps({**state, "ema_updates": ema.updates}))
    for file in temporary.iterdir():
        _flush(file)
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)
    _flush(folder)
    for old in complete(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def complete(folder: Path) -> list[Path]:
    """Published checkpoints, oldest first."""
    return sorted(p for p in folder.glob("[0-9]*") if (p / "state.json").exists())


def load(path: Path, model: nn.Module, ema: EMA, optimiser: torch.optim.Optimizer) -> State:
    """Restore everything ``save`` wrote, in place; returns the state. UserError when the shapes differ."""
    state = json.loads((path / "state.json").read_text())
    try:
        model.load_state_dict(load_file(path / "model.safetensors"))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"checkpoint {path} does not fit this config ({reason}): use another `run`") from error
    for k, v in load_file(path / "ema.safetensors").items():
        ema.average[k].copy_(v)
    ema.updates = state.pop("ema_updates")
    moments = load_file(path / "optimiser.safetensors")
    for name, p in model.named_parameters():
        entry = {k.rsplit("/", 1)[1]: v for k, v in moments.items() if k.rsplit("/", 1)[0] == name}
        if entry:
            optimiser.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in entry.items()}
    return state


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
