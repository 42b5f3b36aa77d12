"""The state store: Zarr v3, sharded, one chunk = one state; written as ``.<name>.part``, renamed when whole.

A writer that was killed leaves its part; the same call again goes on from the last full shard, any other begins anew.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from ..errors import UserError
from .atomic import put_in_place, remove, write_text
from .untrusted import open_group

SHARD_BYTES = 64 << 20
CALLS = "calls"  # attribute of a store: names of the calls whose states it holds
PROGRESS = "progress.json"  # in a part: the call, what it adds to, and labels of its states that are written


class StateWriter:
    """Context manager: ``append(state, labels)`` one at a time; on success the store takes its name.

    ``mesh`` is the canonical mesh with the store's attributes; ``fields`` maps each variable to (dims, shape, attrs);
    ``call`` names what is written. ``len(labels)`` states of it are there already when the writer is entered.
    An existing store is added to (``append``): its files are linked, never changed, until the new one takes its place.
    """

    def __init__(self, path: Path, mesh: xr.Dataset, fields: dict[str, tuple], append: bool, call: str = ""):
        self.path, self.mesh, self.fields, self.call = Path(path), mesh, fields, call
        self.temporary = self.path.with_name(f".{self.path.name}.part")
        self.existing = append and self.path.exists()
        if self.path.exists() and not append:
            raise UserError(f"{path} exists: choose another name, or add to it with --append")
        self.base: list = [0, []]  # how many states are in the store that is added to, and of which calls
        self.labels: list[dict] = []
        self.buffer: list[dict[str, np.ndarray]] = []

    def __enter__(self) -> "StateWriter":
        try:
            self._open()
        except OSError as error:
            raise self._failed(error) from error
        return self

    def _open(self):
        if self.existing:
            before = open_group(self.path)
            self.base = [before[next(iter(self.fields))].shape[0], before.attrs.get(CALLS, [])]
        if self._resumed():
            return
        remove(self.temporary)
        if self.existing:
            shutil.copytree(self.path, self.temporary, copy_function=_link_or_copy)
            self.group = zarr.open_group(self.temporary, mode="r+", zarr_format=3, use_consolidated=False)
            self.count = self.base[0]
            self.per_shard = self.group[next(iter(self.fields))].shards[0]
            return
        self.temporary.parent.mkdir(parents=True, exist_ok=True)
        self.group = zarr.open_group(self.temporary, mode="w", zarr_format=3)
        self.count = 0
        size = max(4 * int(np.prod(shape)) for _, shape, _ in self.fields.values())
        self.per_shard = int(np.clip(SHARD_BYTES // size, 1, 64))
        for name, variable in self.mesh.data_vars.items():
            _put(self.group, name, variable.dims, variable.values, variable.attrs)
        for name, (dims, shape, attrs) in self.fields.items():
            self.group.create_array(
                name,
                shape=(0, *shape),
                dtype="float32",
                chunks=(1, *shape),
                shards=(self.per_shard, *shape),
                fill_value=np.nan,
                dimension_names=("sample", *dims),
                attributes=attrs,
                compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"),
            )

    def _resumed(self) -> bool:
        """Whether a part of the very same call was there to go on from."""
        try:
            progress = json.loads((self.temporary / PROGRESS).read_text())
        except (OSError, ValueError):
            return False
        if (progress["call"], progress["base"]) != (self.call, self.base):
            return False
        self.group = zarr.open_group(self.temporary, mode="r+", zarr_format=3, use_consolidated=False)
        self.labels, self.count = progress["labels"], progress["count"]
        self.per_shard = self.group[next(iter(self.fields))].shards[0]
        return True

    def append(self, state: dict[str, np.ndarray], labels: dict):
        """One state: variable → float32 array on (depth, y, x) or (y, x); labels: sample coordinate → value."""
        self.buffer.append(state)
        self.labels.append(labels)
        if (self.count + len(self.buffer)) % self.per_shard == 0:
            self._flush()

    def _flush(self):
        if not self.buffer:
            return
        try:
            for name in self.fields:
                array = self.group[name]
                values = np.stack([state[name] for state in self.buffer])
                if self.count % self.per_shard:
                    _own(self.temporary / name / "c" / str(self.count // self.per_shard))
                array.resize((self.count + len(values), *array.shape[1:]))
                array[self.count :] = values
        except OSError as error:
            raise self._failed(error) from error
        self.count += len(self.buffer)
        self.buffer = []
        progress = {"call": self.call, "base": self.base, "count": self.count, "labels": self.labels}
        write_text(self.temporary / PROGRESS, json.dumps(progress))

    def _finish(self):
        self._flush()
        before = open_group(self.path) if self.existing else None
        for name in self.labels[0]:
            old = before[name][:].tolist() if before else []
            _put(self.group, name, ("sample",), np.array(old + [label[name] for label in self.labels]), {})
        calls = [*self.base[1], self.call]
        self.group.attrs.update({**self.mesh.attrs, "coordinates": " ".join(self.labels[0]), CALLS: calls})
        (self.temporary / PROGRESS).unlink()
        put_in_place(self.temporary, self.path)

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            if kind is None or issubclass(kind, Exception):  # an interrupted part waits to be completed
                remove(self.temporary)

    def _failed(self, error: OSError) -> UserError:
        remove(self.temporary)
        return UserError(f"cannot write {self.path} ({error.strerror or error}): free space or choose another place")


def _put(group: zarr.Group, name: str, dims, values: np.ndarray, attrs: dict):
    text = values.dtype.kind == "U"
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if text else values.dtype,  # text of any length: names to come may be longer
        chunks=values.shape,
        dimension_names=tuple(dims),
        attributes=dict(attrs),
        overwrite=True,
    )
    array[...] = values.astype(object) if text else values


def _link_or_copy(source: str, target: str):
    """Shards are shared with the old store; metadata, which will change, is copied."""
    if Path(source).name == "zarr.json":
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _own(folder: Path):
    """Break the links of the last, partly filled shard before it is written again."""
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        copy = path.with_name(path.name + ".own")
        shutil.copy2(path, copy)
        os.replace(copy, path)
