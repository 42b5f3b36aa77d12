"""What a command may write over: its own unfinished or identical work, and what it is told to, if it wrote that itself.

Results carry a mark, the command and the name of the call that made them: an attribute of NetCDF, HDF5 and Zarr, a key
of JSON, a comment in a namelist. Folders that a command works in hold it as a file. What has no mark is somebody else's
and stays.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from uuid import uuid4

from ..errors import UserError
from .atomic import remove, write_text
from .lock import only_writer

MARK = "ldm_ocean"
FILE = ".ldm_ocean.json"
MEND = "choose another name"
OVERWRITE = "replace another result of ours; never an input, nor what ldm-ocean did not write"


@contextmanager
def result(
    path: Path, command: str, asked: object, inputs: Iterable[Path] = (), overwrite: bool = False
) -> Iterator[str]:
    """The right to write the file or store ``path``, as long as the block lasts; gives the mark to put into it.

    ``asked`` and the ``inputs`` name the call: a result of the same call is written again. UserError where ``path`` is
    an input, holds one, is a link, or is anything but a result of ours; with ``overwrite`` any result of ours goes.
    """
    inputs = [Path(p) for p in inputs]
    call = name_of_call((command, asked), inputs)
    check_free(path, inputs, call, overwrite)
    with only_writer(path):
        check_free(path, inputs, call, overwrite)  # a killed writer may have left the old one aside
        yield mark(command, call)


@contextmanager
def work_folder(path: Path, command: str, known: Callable[[Path], bool], inputs: Iterable[Path] = ()) -> Iterator[None]:
    """The right to work in the folder ``path``: a new or an empty one, one in which ``command`` has worked before, or,
    without a mark, one that is ``known`` to be of an earlier release. UserError for any other, an input or a link.
    """
    check_apart(path, inputs)
    if path.exists() and not _is_of(path, command, known):
        raise UserError(f"{path} holds what ldm-ocean did not write: choose a new or an empty folder")
    with only_writer(path):
        new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if not (path / FILE).exists():
            write_text(path / FILE, json.dumps({"command": command}))
        try:
            yield
        finally:
            if new and [p.name for p in path.iterdir()] == [FILE]:  # refused before anything was done
                remove(path)


def mark(command: str, call: str) -> str:
    """What is put into a result."""
    return json.dumps({"command": command, "call": call})


def in_comment(mark: str) -> str:
    """A line that carries the ``mark`` in a Fortran namelist."""
    return f"! {MARK} {mark}\n"


def check_free(path: Path, inputs: Iterable[Path], call: str, overwrite: bool) -> None:
    """UserError unless the call of this name may write ``path`` (see ``result``)."""
    check_apart(path, inputs)
    if not path.exists():
        return
    found = mark_of(path)
    if found is None:
        raise UserError(f"{path} is there already, and ldm-ocean did not write it: {MEND}")
    if found["call"] != call and not overwrite:
        raise UserError(f"{path} holds another result of `ldm-ocean {found['command']}`: {MEND}, or add --overwrite")


def check_apart(path: Path, inputs: Iterable[Path]) -> None:
    """UserError where ``path`` is a link, one of the ``inputs``, a folder that holds one, or that we stand in."""
    if path.is_symlink():
        raise UserError(f"{path} is a link: {MEND}, or name what it points to")
    own = path.resolve()
    for given in map(Path, inputs):
        if given.resolve() == own:
            raise UserError(f"{path} is one of the files to read: {MEND} with --out")
        if own in given.resolve().parents:
            raise UserError(f"{path} holds {given}, which is to be read: {MEND} with --out")
    if own in Path.cwd().parents or own == Path.cwd():
        raise UserError(f"{path} is the folder you are in, or above it: {MEND}")


def _is_of(folder: Path, command: str, known: Callable[[Path], bool]) -> bool:
    if not folder.is_dir():
        return False
    try:
        if (folder / FILE).exists():
            return json.loads((folder / FILE).read_text())["command"] == command
        return not any(folder.iterdir()) or known(folder)
    except (OSError, ValueError, KeyError, TypeError):  # its files are not what ours would be
        return False


def mark_of(path: Path) -> dict | None:
    """The mark in a result of ours; None where there is none that can be read."""
    try:
        found = json.loads(_read(path))
        return found if {"command", "call"} <= found.keys() else None
    except Exception:  # whatever it is instead, it is not ours
        return None


def _read(path: Path) -> str:
    import h5py  # not above: `--help` needs what stands there, and none of the libraries
    import netCDF4

    if path.is_dir():
        attributes = json.loads((path / "zarr.json").read_text())["attributes"]
        if {"codec", "labels", "schema"} <= attributes.keys():  # latents of the first release, which had no marks
            attributes.setdefault(MARK, json.dumps({"command": "encode", "call": ""}))
        return attributes[MARK]
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            return file.attrs[MARK]
    with path.open("rb") as file:
        classic = file.read(3) == b"CDF"
    if classic:  # netCDF-3, as some templates are
        with netCDF4.Dataset(path) as data:
            return data.getncattr(MARK)
    text = path.read_text(encoding="utf-8")
    first = text.split("\n", 1)[0]
    return first.removeprefix(in_comment("").rstrip("\n")) if first.startswith("!") else json.loads(text)[MARK]


def nobody_elses() -> str:
    """What is asked for by a call from Python, whose arguments cannot be told from another's: like no other call."""
    return uuid4().hex


def name_of_call(asked: object, files: Iterable[Path]) -> str:
    """SHA-256 of what was asked for and of the files' names, sizes and times of change."""
    h = hashlib.sha256(repr(asked).encode())
    for path in map(Path, files):
        for part in chain([path], sorted(path.rglob("*")) if path.is_dir() else []):
            about = part.stat() if part.exists() else None  # what is missing, the reader will say
            h.update(repr((str(part.resolve()), about and (about.st_size, about.st_mtime_ns))).encode())
    return h.hexdigest()
