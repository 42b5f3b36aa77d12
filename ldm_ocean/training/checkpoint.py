"""Checkpoints: complete or absent. safetensors and JSON only; nothing is ever unpickled.

Only when a checkpoint is published are older ones removed. It holds the digests of its files (``sha256sum -c
SHA256SUMS``), so that whatever happens to them later is seen before training.
"""

import hashlib
import json
import warnings
from pathlib import Path
from typing import TypedDict, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import UserError
from ..io.atomic import published, remove
from .ema import EMA

SCHEMA = 1
SUMS = "SHA256SUMS"
TENSORS = ("model", "ema", "optimiser")
STATE = "state.json"
FILES = (*(f"{name}.safetensors" for name in TENSORS), STATE)


class Standing(TypedDict):
    """Where a run stands: samples seen, lowest validation loss, training losses not logged yet, and who trained."""

    samples: int
    best: float
    loss: float
    steps: int
    seed: int
    processes: int


def save(
    folder: Path, model: nn.Module, ema: EMA, optimiser: torch.optim.Optimizer, state: Standing, keep: int
) -> Path:
    """Publish ``folder/<samples>``; keep the newest ``keep`` checkpoints. UserError when it cannot be written."""
    names: dict[torch.Tensor, str] = {p: n for n, p in model.named_parameters()}
    moments = {f"{names[p]}/{key}": value for p, entry in optimiser.state.items() for key, value in entry.items()}
    tensors = dict(zip(TENSORS, (model.state_dict(), ema.average, moments), strict=True))
    final = folder / f"{state['samples']:010d}"
    with published(final, SafetensorError) as temporary:
        temporary.mkdir()
        for name, content in tensors.items():
            content = {k: v.detach().cpu().contiguous() for k, v in content.items()}
            save_file(content, temporary / f"{name}.safetensors")
        about = {"schema": SCHEMA, **state, "ema_updates": ema.updates}
        (temporary / STATE).write_text(json.dumps(about))
        (temporary / SUMS).write_bytes(_sums(temporary))
    tidy(final, keep)
    return final


def complete(folder: Path) -> list[Path]:
    """Published checkpoints, oldest first."""
    return sorted(p for p in folder.glob("[0-9]*") if p.is_dir())


def tidy(latest: Path, keep: int) -> None:
    """Leave ``latest`` and the ``keep`` − 1 before it; newer ones are damaged: the run fell back behind them.

    What killed processes left goes too, also those of other nodes, for in this folder who holds the run writes alone.
    """
    kept = [p for p in complete(latest.parent) if p <= latest][-keep:]
    for path in {*complete(latest.parent), *latest.parent.glob(".[0-9]*")}.difference(kept):
        remove(path)


def newest(folder: Path) -> Path | None:
    """The newest undamaged checkpoint, with a warning for every newer one; None where there never was one.

    UserError when all are damaged, or one is of another schema: to begin again is for the user to decide.
    """
    found = complete(folder)
    for path in reversed(found):
        if (schema := _schema(path)) != SCHEMA:
            raise _of_another(schema, path)
        reason = damage(path)
        if not reason:
            return path
        warnings.warn(f"checkpoint {path} is damaged ({reason}): looking for an older one", stacklevel=2)
    if found:
        raise UserError(f"no checkpoint in {folder} is undamaged: restore one, or remove the folder to begin again")
    return None


def damage(path: Path) -> str:
    """What is wrong with the files of a checkpoint, or nothing."""
    try:
        written, found = (path / SUMS).read_bytes(), _sums(path)
    except FileNotFoundError as error:
        return f"{error.filename} is missing"
    if written == found:
        return ""
    differ = [name for name, line in zip(FILES, found.splitlines(), strict=True) if line not in written.splitlines()]
    return f"{', '.join(differ) or SUMS} not as written"


def load(path: Path, model: nn.Module, ema: EMA, optimiser: torch.optim.Optimizer) -> Standing:
    """Restore everything ``save`` wrote, in place; returns the state. UserError when schema or shapes differ."""
    try:
        state = dict(json.loads((path / STATE).read_bytes()))
        weights, average, moments = (load_file(path / f"{name}.safetensors") for name in TENSORS)
    except (ValueError, TypeError, SafetensorError) as error:
        raise UserError(f"checkpoint {path} holds something else than this package writes ({error})") from error
    if (schema := state.pop("schema", None)) != SCHEMA:
        raise _of_another(schema, path)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"checkpoint {path} does not fit this config ({reason}): use another `run`") from error
    for k, v in average.items():
        ema.average[k].copy_(v)
    ema.updates = state.pop("ema_updates")
    for name, p in model.named_parameters():
        entry = {k.rsplit("/", 1)[1]: v for k, v in moments.items() if k.rsplit("/", 1)[0] == name}
        if entry:
            optimiser.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in entry.items()}
    return cast(Standing, state)


def _schema(path: Path) -> object:
    """The schema that ``state.json`` names, if its sum, where there is one, agrees: other files are of no concern.

    Ours where it cannot be told: ``damage`` will find the reason.
    """
    try:
        sums = (path / SUMS).read_bytes() if (path / SUMS).exists() else b""
        known = [line for line in sums.splitlines() if line.endswith(f"  {STATE}".encode())]
        if any(line != _line(path, STATE) for line in known):
            return SCHEMA
        return dict(json.loads((path / STATE).read_bytes())).get("schema")
    except (OSError, ValueError, TypeError):
        return SCHEMA


def _of_another(schema: object, path: Path) -> UserError:
    return UserError(
        f"checkpoint {path} has schema {schema}, this version reads {SCHEMA}: go on with the release that wrote it"
    )


def _sums(path: Path) -> bytes:
    """The content of SHA256SUMS for the files that are in ``path`` now."""
    return b"".join(_line(path, name) + b"\n" for name in FILES)


def _line(path: Path, name: str) -> bytes:
    with (path / name).open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}".encode()
