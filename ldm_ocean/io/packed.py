"""Packed states: one small file a setting, for data sets that travel with the code.

Each variable is quantised linearly per level, q = round((x − offset_k)/step_k), 2^bits levels between the setting's
own extremes on wet cells; then differences along those axes that make the file smallest, folded to unsigned (0, −1, 1,
−2 … → 0, 1, 2, 3 …), and Zstandard on split bytes. A laminar ocean hardly changes between two snapshots, a turbulent
one little between two cells. All steps but the first are exact in integers. The file is a Zarr v3 group in a zip.

Files of the first release hold the differences along time of wet cells alone.
"""

from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec
from zarr.storage import ZipStore

from .atomic import published
from .untrusted import open_group

BITS = 11
_SIZER = Blosc("zstd", clevel=1, shuffle=Blosc.SHUFFLE)
AXES = ((0,), (2, 3), (0, 2, 3))  # of (sample, depth, y, x), along which differences are tried
SUFFIX = ".zarr.zip"


def quantise(values: np.ndarray, mask: np.ndarray, bits: int = BITS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sample, depth, y, x) → integers (sample, wet), step (depth,), offset (depth,)."""
    wet = np.where(mask, values, np.nan)
    some = mask.any((-2, -1))
    low, high = np.zeros(len(mask)), np.zeros(len(mask))
    low[some], high[some] = np.nanmin(wet[:, some], (0, 2, 3)), np.nanmax(wet[:, some], (0, 2, 3))
    step = np.maximum((high - low) / (2**bits - 1), 1e-12)
    q = np.rint((values - low[:, None, None]) / step[:, None, None])
    return np.stack([frame[mask] for frame in q]).astype("int16"), step, low


def dequantise(q: np.ndarray, mask: np.ndarray, step: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Inverse of ``quantise`` to half a step, float32, NaN on land."""
    out = np.full((len(q), *mask.shape), np.nan, "float32")
    level = np.nonzero(mask)[0]
    out[:, mask] = q * step[level] + offset[level]
    return out


def write_packed(path: Path, states: xr.Dataset, mesh: xr.Dataset, bits: dict[str, int] | None = None):
    """Write the states of one setting, atomically; ``bits`` by variable, where ``BITS`` are more than it needs.

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
        q, step, offset = quantise(values, mask, (bits or {}).get(name, BITS))
        whole = _over_land(q, mask)
        coded = {axes: _folded(whole, axes) for axes in AXES}
        fields[name]["differences"], arrays[name] = min(coded.items(), key=lambda c: len(_SIZER.encode(c[1])))
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
            dims, axes = field.pop("dims"), field.pop("differences", (0,))
            mask = field_mask(mesh, field["mask"], "depth" in dims)
            folded = read_array(group, name)
            q = (folded >> 1).astype("int16") ^ -(folded & 1).astype("int16")
            for axis in axes:
                q = np.cumsum(q, axis=axis, dtype="int16")
            q = q if q.ndim == 2 else q[:, mask]
            values = dequantise(q, mask, *read_array(group, f"{name}_scale"))
            data[name] = (dims, values if "depth" in dims else values[:, 0], field)
        coords = {k.removeprefix("sample_"): ("sample", read_array(group, k)) for k in group if k.startswith("sample_")}
        return xr.Dataset(data, coords=coords, attrs=attrs)


def _over_land(q: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(sample, wet) → (sample, depth, y, x), where land repeats the last wet value, so that differences there are 0."""
    wet = mask.ravel()
    if not wet.any():
        return np.zeros((len(q), *mask.shape), q.dtype)
    return q[:, np.maximum(np.cumsum(wet) - 1, 0)].reshape(len(q), *mask.shape)


def _folded(q: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    for axis in axes:
        q = np.diff(q, axis=axis, prepend=np.zeros_like(q.take([0], axis)))
    return np.ascontiguousarray((q << 1) ^ (q >> 15)).view("uint16")


def read_array(group: zarr.Group, name: str) -> np.ndarray:
    """All of the array ``name`` of an open Zarr group."""
    return np.asarray(cast(zarr.Array, group[name])[:])


def field_mask(mesh: xr.Dataset, mask: str, deep: bool) -> np.ndarray:
    """Boolean (depth, y, x), or (1, y, x) for a variable that lives at the surface only."""
    wet = mesh[mask].values.astype(bool)
    return wet if deep else wet[:1]
