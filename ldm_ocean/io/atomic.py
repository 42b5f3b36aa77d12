"""Files and folders that appear under their name only when they are whole.

What is not whole yet stands beside, as ``.<name>.<host>.<process>.tmp``; a folder that makes way for its successor, as
``.<name>.old``. A process that is killed leaves such names behind; ``recover`` clears up after those of its own host:
whether processes of others live, nobody here knows.
"""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError

HOST = re.sub(r"\W", "-", socket.gethostname())
LITTER = re.compile(rf"\.{HOST}\.(\d+)\.tmp(\.\w+)?$")


@contextmanager
def published(path: Path, *failures: type[Exception]) -> Iterator[Path]:
    """A name to write a file or a folder under: it becomes ``path`` when the block ends well and vanishes otherwise.

    UserError where the disk is full or the folder may not be written: libraries say so by OSError or by ``failures``,
    NetCDF by RuntimeError; h5netcdf, on a full disk, crashes as the interpreter ends: write with netCDF4.
    """
    temporary = path.with_name(f".{path.name}.{HOST}.{os.getpid()}.tmp")
    known: tuple[type[Exception], ...] = (OSError, *failures)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)
        try:
            yield temporary
            put_in_place(temporary, path)
        finally:
            remove(temporary)
    except known as error:
        reason = getattr(error, "strerror", None) or error
        mend = "free disk space, make the folder writable, or choose another place; then start again"
        raise UserError(f"cannot write {path} ({reason}): {mend}") from error


def put_in_place(whole: Path, path: Path) -> None:
    """``whole`` takes the name ``path`` once it is on the disk, so that a loss of power leaves the old or the new one.

    A folder of that name steps aside, for no system call swaps two folders.
    """
    for part in (*whole.rglob("*"), whole):
        _flush(part)
    aside = _aside(path)
    if path.is_dir():
        remove(aside)
        os.rename(path, aside)
    os.replace(whole, path)
    _flush(path.parent)
    remove(aside)


def recover(path: Path) -> None:
    """After a writer of ``path`` that was killed: bring back a folder that had stepped aside, remove what is not whole.

    Only for those who hold ``path`` (see ``lock``), for what a living writer has begun would go too.
    """
    aside = _aside(path)
    if aside.exists() and not path.exists():
        os.rename(aside, path)
    remove(aside)
    own = re.compile(rf"\.?{re.escape(path.name)}{LITTER.pattern}")
    beside = [p for p in path.parent.iterdir() if own.fullmatch(p.name)]
    inside = [] if (path / "zarr.json").exists() or not path.is_dir() else [*path.rglob("*.tmp*")]
    for found in filter(_left, beside + inside):
        remove(found)
    for found in path.with_name(f".{path.name}.part").rglob("*.partial"):  # files that Zarr had not named yet
        remove(found)


def _left(path: Path) -> bool:
    """Whether this is litter, and not what another process is writing: folders within may have their own writers."""
    found = LITTER.search(path.name)
    return found is not None and not _lives(int(found[1]))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8): a reader sees the old file or the new one, never half."""
    with published(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
