"""Packed states: one small file a setting, for data sets that travel with the code.

Each variable is quantised linearly per level, q = round((x − offset_k)/step_k), 2^BITS levels between the setting's
own extremes, on wet cells only; then differences along time, folded to unsigned (0, −1, 1, −2 … → 0, 1, 2, 3 …), and
Zstandard on split bytes. The deep ocean hardly changes between two snapshots: this is where the bits are saved. All
steps but the first are exact in integers. The file is a Zarr v3 group in a zip.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec
from zarr.storage import ZipStore

from .atomic import published
from .untrusted import open_group

BITS = 11
SUFFIX = ".zarr.zip"


def quantise(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sample, depth, y, x) → integers (sample, wet), step (depth,), offset (depth,)."""
    wet = np.where(mask, values, np.nan)
    some = mask.any((-2, -1))
    low, high = np.zeros(len(mask)), np.zeros(len(mask))
    low[some], high[some] = np.nanmin(wet[:, some], (0, 2, 3)), np.nanmax(wet[:, some], (0, 2, 3))
    step = np.maximum((high - low) / (2**BITS - 1), 1e-12)
    q = np.rint((values - low[:, None, None]) / step[:, None, None])
    return np.stack([frame[mask] for frame in q]).astype("int16"), step, low


def dequantise(q: np.ndarray, mask: np.ndarray, step: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Inverse of ``quantise`` to half a step, float32, NaN on land."""
    out = np.full((len(q), *mask.shape), np.nan, "float32")
    level = np.nonzero(mask)[0]
    out[:, mask] = q * step[level] + offset[level]
    return out


def write_packed(path: Path, states: xr.Dataset, mesh: xr.Dataset):
    """Write the states of one setting, atomically.

    Variables are (sample, [depth,] y, x) and name their mask in the attribute ``mask``; coordinates on ``sample`` and
    the data set's attributes (JSON) travel along.
    """
    codec = BloscCodec(cname="zstd", clevel=9, shuffle="shuffle")
    fields = {str(k): {**v.attrs, "dims": list(v.dims)} for k, v in states.data_vars.items()}
    arrays: dict[str, np.ndarray] = {}
    errors = {}
    for k, array in states.data_vars.items():
        name, mask = str(k), field_mask(mesh, array.attrs["mask"], "depth" in array.dims)
        values = array.values.reshape(-1, *mask.shape)
        if not np.isfinite(values[:, mask]).all():  # an integer cannot say so
            raise ValueError(f"{name} is not finite at a wet cell: nothing written to {path}")
        q, step, offset = quantise(values, mask)
        deltas = np.diff(q, axis=0, prepend=np.zeros_like(q[:1]))
        arrays[name] = ((deltas << 1) ^ (deltas >> 15)).view("uint16")
        arrays[f"{name}_scale"] = np.stack([step, offset])
        errors[name] = float(f"{step.max() / 2:.2g}")
    arrays |= {f"sample_{name}": coordinate.values for name, coordinate in states.coords.items()}
    attrs = {**states.attrs, "fields": fields, "largest_rounding_error": errors}
    with published(path) as temporary, ZipStore(temporary, mode="w") as store:
        group = zarr.create_group(store, attributes=attrs)
        for name, values in arrays.items():
            group.create_array(name, data=values, chunks=values.shape, compressors=codec)


def read_packed(path: Path, mesh: xr.Dataset) -> xr.Dataset:
    """One packed setting as canonical states, without their mesh."""
    with ZipStore(path, mode="r") as store:
        group = open_group(store)
        attrs: dict[str, Any] = dict(group.attrs)
        data = {}
        for name, field in attrs.pop("fields").items():
            dims = field.pop("dims")
            mask = field_mask(mesh, field["mask"], "depth" in dims)
            folded = read_array(group, name)
            deltas = (folded >> 1).astype("int16") ^ -(folded & 1).astype("int16")
            q = np.cumsum(deltas, axis=0, dtype="int16")
            values = dequantise(q, mask, *read_array(group, f"{name}_scale"))
            data[name] = (dims, values if "depth" in dims else values[:, 0], field)
        coords = {k.removeprefix("sample_"): ("sample", read_array(group, k)) for k in group if k.startswith("sample_")}
        return xr.Dataset(data, coords=coords, attrs=attrs)


def read_array(group: zarr.Group, name: str) -> np.ndarray:
    """All of the array ``name`` of an open Zarr group."""
    return np.asarray(cast(zarr.Array, group[name])[:])


def field_mask(mesh: xr.Dataset, mask: str, deep: bool) -> np.ndarray:
    """Boolean (depth, y, x), or (1, y, x) for a variable that lives at the surface only."""
    wet = mesh[mask].values.astype(bool)
    return wet if deep else wet[:1]
