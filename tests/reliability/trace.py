"""What a training run did, step by step, so that two runs can be compared.

A trace is a list with one record a step: the samples it saw and their noise, digests of weights, average and optimiser
state, the learning rate and the loss. Every process writes its own as it trains, one JSON line a step.
"""

import hashlib
import json
from pathlib import Path

import torch


def first_difference(one: list, other: list) -> int | None:
    """How many steps two traces have in common, or None when they are equal to the end."""
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return None if same == len(one) == len(other) else same


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """One hash of names and every bit of the values."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def read(folder: Path, rank: int = 0) -> list[dict]:
    """The steps that one process wrote down, as it took them."""
    return [json.loads(line) for line in (folder / f"trace-{rank}.jsonl").read_text().splitlines()]


def take(folder: Path) -> list[dict]:
    """The steps of one process since the last call, if any; the next start leaves its own."""
    path = folder / "trace-0.jsonl"
    steps = read(folder) if path.exists() else []
    path.unlink(missing_ok=True)
    return steps


def write(folder: Path, rank: int, record: dict) -> None:
    """Add one step."""
    with (folder / f"trace-{rank}.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def joined(folder: Path, processes: int) -> list[dict]:
    """The global steps of a run: rows of all processes by position, mean loss, learning rate."""
    steps = []
    for records in zip(*(read(folder, rank) for rank in range(processes)), strict=True):
        rows = sorted(row for record in records for row in record["rows"])
        losses = [loss for record in records for loss in record["losses"]]
        steps.append({"rows": rows, "loss": sum(losses) / len(losses), "lr": records[0]["lr"]})
    return steps
