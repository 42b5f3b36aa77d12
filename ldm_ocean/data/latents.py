"""The latent store: what the generator trains on, once on disk.

Zarr v3, sharded by setting, one chunk = one state's packed latents (N, C). Attributes carry the hashes of the codec
and the grid, the field table and the parameter names. Unwritten chunks read as NaN and are refused, never used.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
import zarr
from tqdm import tqdm

from ..codec import Codec
from ..errors import UserError
from ..io.packed import read_array
from .states import parameters_of

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


def write_latents(path: Path, codec: Codec, states: xr.Dataset, batch: int = 32) -> Path:
    """Encode canonical ``states`` into a store at ``path`` (half precision), replacing it only when complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        _fill(temporary, codec, states, batch)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _fill(store: Path, codec: Codec, states: xr.Dataset, batch: int) -> None:
    samples = states.sizes["sample"]
    attrs: dict[str, Any] = {"codec": codec.digest, "grid": codec.grid.digest, "fields": codec.fields.records()}
    attrs |= {"parameters": list(states.attrs["parameters"]), "schema": 1}
    attrs |= {name: states[name].values.tolist() for name in NAMES}
    group = zarr.create_group(store, attributes=attrs)
    shape = (codec.n_tokens, codec.channels)
    shard = -(-samples // max(len(np.unique(states.setting.values)), 1))
    array = group.create_array(
        "latent",
        shape=(samples, *shape),
        chunks=(1, *shape),
        shards=(shard, *shape),
        dtype="float16",
        fill_value=np.nan,
    )
    for start in tqdm(range(0, samples, shard), desc="encode", unit="shard", disable=None):
        part = states.isel(sample=slice(start, start + shard))
        x = torch.from_numpy(codec.fields.stack(part, codec.grid))
        with torch.no_grad():
            z = torch.cat([codec.encode(chunk) for chunk in x.split(batch)])
        array[start : start + shard] = z.numpy()
    group.create_array("parameters", data=parameters_of(states))
    for name in NUMBERS:
        group.create_array(name, data=states[name].values)


def open_latents(path: Path, codec: Codec) -> Latents:
    """Read a store made by this very ``codec``; UserError, with both hashes, for any other."""
    if not path.exists():
        raise UserError(f"no latents at {path}: run `ldm-ocean encode` first")
    try:
        group = zarr.open_group(path, mode="r")
        attrs, values = dict(group.attrs), read_array(group, "latent").astype("float32")
        labels = {k: read_array(group, k) for k in NUMBERS} | {k: np.array(attrs.pop(k)) for k in NAMES}
        parameters = read_array(group, "parameters")
    except Exception as error:
        raise UserError(f"{path} is not a readable latent store ({error}): run `ldm-ocean encode` again") from error
    for what, own in (("codec", codec.digest), ("grid", codec.grid.digest)):
        if attrs.get(what) != own:
            raise UserError(
                f"{path} was encoded with {what} {str(attrs.get(what))[:12]}, this one is {own[:12]}: "
                "run `ldm-ocean encode` again"
            )
    broken = np.flatnonzero(~np.isfinite(values).all((1, 2)))
    if len(broken):
        raise UserError(
            f"{path} lacks {len(broken)} of {len(values)} states (first: {broken[0]}): run `ldm-ocean encode` again"
        )
    return Latents(torch.from_numpy(values), parameters, **labels, attrs=attrs)
