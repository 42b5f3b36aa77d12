"""Zarr groups that came from elsewhere, looked at before anything of the size that they claim is read.

A few hundred bytes of metadata can claim an array of petabytes. What compression explains is allowed, and no more.
"""

import math
from pathlib import Path

import zarr
from zarr.abc.store import Store

EXPANSION = 10_000  # bytes claimed for a byte stored; masks and constant metrics reach some thousands
SMALL = 1 << 20  # bytes that nobody minds


def open_group(store: Path | Store) -> zarr.Group:
    """A Zarr v3 group to read, as its files say, whatever they say that other groups hold; ValueError for a bomb."""
    group = zarr.open_group(store, mode="r", zarr_format=3, use_consolidated=False)
    for name, array in group.arrays():
        item = max(array.dtype.itemsize, 1)
        claimed = item * max(math.prod(array.shape), math.prod(array.shards or array.chunks))
        if claimed > EXPANSION * array.nbytes_stored() + SMALL:
            raise ValueError(f"{name} claims {claimed:.3g} bytes and has next to none")
    return group
