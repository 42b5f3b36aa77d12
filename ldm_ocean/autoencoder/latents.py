"""The latent store: what the generator trains on, once on disk.

Zarr v3, a shard for each setting or less of one, one chunk = one state's packed latents (N, C). Attributes carry the
hashes of the codec and the grid, the field table and the parameter names. Unwritten chunks read as NaN and are refused,
never used.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import xarray as xr
import zarr
from zarr.codecs import ZstdCodec

from ..bar import each
from ..errors import UserError
from ..io.atomic import put_in_place, remove
from ..io.namelist import ATTRIBUTE
from ..io.output import MARK, nobody_elses, result
from ..io.packed import read_array
from ..io.states import parameters_of
from ..io.store import SHARD_BYTES
from ..io.untrusted import open_group
from ..ocean.grid import OceanGrid
from ..shipped import find
from .codec import Codec

SCHEMA = 1
NUMBERS, NAMES = ("season", "equilibrium"), ("setting", "split")


@dataclass(frozen=True)
class Latents:
    """An opened store: ``values`` (M, N, C) float32, ``parameters`` (M, P) physical, labels (M,) each, ``attrs``."""

    values: torch.Tensor
    parameters: np.ndarray
    setting: np.ndarray
    split: np.ndarray
    season: np.ndarray
    equilibrium: np.ndarray
    attrs: dict


def encode(states: xr.Dataset, codec: Codec, out: str | Path, overwrite: bool = False) -> Path:
    """Write the latents of the states of a store (``open_states``) to ``out``, as ``write_latents`` does; its path.

    ``codec`` is that of a model (``OceanLDM.codec``; for latents in memory, ``OceanLDM.encode``). UserError where the
    states are on another grid or lack the labels of a store, and where ``out`` is there already; ``overwrite`` replaces
    a result of ours (see ``io.output``).
    """
    with result(Path(out), "encode", nobody_elses(), overwrite=overwrite) as mark:
        return write_latents(Path(out), codec, states, mark=mark)


def write_latents(path: Path, codec: Codec, states: xr.Dataset, batch: int = 32, mark: str = "") -> Path:
    """Encode canonical ``states`` into a store at ``path`` (half precision); it has this name only when it is whole.

    A store of the same codec and labels, whole, damaged or left in parts by a writer that was killed, is completed:
    what it holds of the very same states stays as it is. ``mark`` says who wrote it (see ``io.output``).
    """
    codec.grid.check_same(OceanGrid.from_dataset(states), "the store", "prepare its states on the codec's mesh")
    if lacking := [k for k in (*NAMES, *NUMBERS) if k not in states.coords]:
        raise UserError(f"the states lack the labels {', '.join(lacking)}: take those of a store, with open_states")
    part = path.with_name(f".{path.name}.part")
    about = _about(codec, states)
    samples, device = len(about["setting"]), codec.token_mean.device
    shape = (samples, codec.n_tokens, codec.channels)
    store = next((p for p in (part, path) if _is_of(p, about, shape)), None)
    shard = _shard(codec, states) if store is None else _array(store, "source").chunks[0]
    starts = range(0, samples, shard)
    for start in each(starts, len(starts), "shard", what="encode"):
        here = slice(start, min(start + shard, samples))
        x = codec.fields.stack(states.isel(sample=here), codec.grid)
        sources = np.array([_source(state) for state in x])
        if store is None:  # not before there is something to keep: a mistake in the first states leaves nothing
            store = _create(part, shape, shard, states, about | {MARK: mark})
        if _holds(store, here, sources):
            continue
        if store == path:  # what is not whole does not keep its name
            remove(part)
            os.rename(path, part)
            store = part
        with torch.no_grad():
            z = torch.cat([codec.encode(chunk.to(device)).cpu() for chunk in torch.from_numpy(x).split(batch)])
        remove(store / "latent" / "c" / str(start // shard))  # Zarr reads what it writes over, and may not be able to
        _array(store, "latent")[here] = z.numpy()
        _array(store, "source")[here] = sources
    if store == part:
        put_in_place(part, path)
    return path


def _about(codec: Codec, states: xr.Dataset) -> dict[str, Any]:
    """Attributes of the store: whose latents of what they are."""
    attrs: dict[str, Any] = {"codec": codec.digest, "grid": codec.grid.digest, "fields": codec.fields.records()}
    attrs |= {"parameters": list(states.attrs["parameters"]), "schema": SCHEMA}
    attrs |= {k: v for k, v in states.attrs.items() if k == ATTRIBUTE}
    labels = [parameters_of(states), *(states[name].values for name in NUMBERS)]
    attrs["labels"] = hashlib.sha256(b"".join(v.tobytes() for v in labels)).hexdigest()
    return attrs | {name: states[name].values.tolist() for name in NAMES}


def _array(store: Path, name: str) -> zarr.Array:
    return cast(zarr.Array, zarr.open_group(store, mode="r+", zarr_format=3, use_consolidated=False)[name])


def _shard(codec: Codec, states: xr.Dataset) -> int:
    """States of one shard: those of a setting, as far as memory should hold them together."""
    each = -(-states.sizes["sample"] // len(np.unique(states.setting.values)))
    return int(np.clip(each, 1, max(SHARD_BYTES // (4 * codec.masks.numel()), 1)))


def _create(store: Path, shape: tuple[int, ...], shard: int, states: xr.Dataset, about: dict) -> Path:
    """An empty store: labels, no latents."""
    remove(store)
    checked = ZstdCodec(checksum=True)  # a flipped bit is an error, not another ocean
    group = zarr.create_group(store, zarr_format=3)
    group.create_array(
        "latent",
        shape=shape,
        chunks=(1, *shape[1:]),
        shards=(shard, *shape[1:]),
        dtype="float16",
        fill_value=np.nan,
        compressors=checked,
    )
    group.create_array("source", shape=shape[:1], chunks=(shard,), dtype="uint64", compressors=checked)
    group.create_array("parameters", data=parameters_of(states), compressors=checked)
    for name in NUMBERS:
        group.create_array(name, data=states[name].values, compressors=checked)
    group.attrs.update(about)  # last: without them it is no store
    return store


def _is_of(store: Path, about: dict[str, Any], shape: tuple[int, int, int]) -> bool:
    try:
        group = open_group(store)
        return (
            {k: v for k, v in group.attrs.items() if k != MARK} == json.loads(json.dumps(about))
            and cast(zarr.Array, group["latent"]).shape == shape
            and cast(zarr.Array, group["source"]).shape == shape[:1]
        )
    except Exception:  # whatever is wrong with it, it is none
        return False


def _source(state: np.ndarray) -> np.uint64:
    """Tells one state from another."""
    return np.frombuffer(hashlib.sha256(state.tobytes()).digest()[:8], "uint64")[0]


def _holds(store: Path, here: slice, sources: np.ndarray) -> bool:
    """Whether the store has sound latents of just these states."""
    try:
        known, latents = (_array(store, name)[here] for name in ("source", "latent"))
    except Exception:  # damaged: zip, Zarr and the codec each have their own
        return False
    return np.array_equal(known, sources) and bool(np.isfinite(latents).all())


def open_latents(path: Path, codec: Codec) -> Latents:
    """Read a store made by this very ``codec``; UserError, with both hashes, for any other."""
    path = find(path)
    if not path.exists():
        raise UserError(f"no latents at {path}: run `ldm-ocean encode` first")
    try:
        group = open_group(path)
        attrs, values = dict(group.attrs), read_array(group, "latent").astype("float32")
        labels = {k: read_array(group, k) for k in NUMBERS} | {k: np.array(attrs.pop(k)) for k in NAMES}
        parameters = read_array(group, "parameters")
    except Exception as error:
        raise UserError(f"{path} is not a readable latent store ({error}): run `ldm-ocean encode` again") from error
    if attrs.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has schema {attrs.get('schema')}, this version reads {SCHEMA}: use the matching release"
        )
    for what, own in (("codec", codec.digest), ("grid", codec.grid.digest)):
        if attrs.get(what) != own:
            raise UserError(
                f"{path} was encoded with {what} {str(attrs.get(what))[:12]}, this one is {own[:12]}: "
                "run `ldm-ocean encode` again"
            )
    if values.shape != (len(labels["setting"]), codec.n_tokens, codec.channels):
        raise UserError(f"{path} is not a readable latent store (its latents are {values.shape}): encode again")
    broken = np.flatnonzero(~np.isfinite(values).all((1, 2)))
    if len(broken):
        raise UserError(
            f"{path} lacks {len(broken)} of {len(values)} states (first: {broken[0]}): run `ldm-ocean encode` again"
        )
    return Latents(torch.from_numpy(values), parameters, **labels, attrs=attrs)
