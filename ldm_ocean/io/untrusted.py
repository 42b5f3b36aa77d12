"""Zarr groups that came from elsewhere, looked at before anything of the size that they claim is read.

A few hundred bytes of metadata can claim an array of petabytes. What compression explains is allowed, or what another
array of the group explains (one of nothing but fill values has no bytes at all), and no more.
"""

import math
from pathlib import Path
from typing import Literal

import zarr
from zarr.abc.store import Store

EXPANSION = 10_000  # bytes claimed for a byte stored; masks and constant metrics reach some thousands
SMALL = 1 << 20  # bytes that nobody minds


def open_group(store: Path | Store, zarr_format: Literal[2, 3] | None = 3) -> zarr.Group:
    """A Zarr group to read, as its files say, whatever they say that other groups hold; ``zarr_format`` None is either.

    ValueError for a bomb and for arrays that want to be unpickled.
    """
    group = zarr.open_group(store, mode="r", zarr_format=zarr_format, use_consolidated=False)
    arrays = dict(group.arrays())
    for name, array in arrays.items():
        if any(getattr(codec, "codec_id", "") == "pickle" for codec in (*array.filters, *array.compressors)):
            raise ValueError(f"{name} is pickled, which could run any program: write it without")
    claimed = {name: _claimed(array) for name, array in arrays.items()}
    explained = {name: EXPANSION * array.nbytes_stored() + SMALL for name, array in arrays.items()}
    most = max((claim for name, claim in claimed.items() if claim <= explained[name]), default=0)
    for name, claim in claimed.items():
        if claim > max(explained[name], most):
            raise ValueError(f"{name} claims {claim:.3g} bytes and has next to none")
    return group


def _claimed(array: zarr.Array) -> int:
    return max(array.dtype.itemsize, 1) * max(math.prod(array.shape), math.prod(array.shards or array.chunks))
