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
def published(path: Path) -> Iterator[Path]:
    """A name to write a file or a folder under: it becomes ``path`` when the block ends well and vanishes otherwise."""
    temporary = path.with_name(f".{path.name}.{HOST}.{os.getpid()}.tmp")
    remove(temporary)
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        remove(temporary)


@contextmanager
def published_netcdf(path: Path) -> Iterator[Path]:
    """``published`` for the NetCDF library, which has OSError or RuntimeError for a full disk: UserError.

    Not for h5netcdf: a file that it cannot close, it tries to close again as the interpreter ends, and crashes.
    """
    try:
        with published(path) as temporary:
            yield temporary
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot write {path} ({error}): free space or choose another place") from error


def put_in_place(whole: Path, path: Path) -> None:
    """``whole`` takes the name ``path``; a folder of that name steps aside, for no system call swaps two folders."""
    aside = _aside(path)
    if path.is_dir():
        remove(aside)
        os.rename(path, aside)
    os.replace(whole, path)
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


def flush(path: Path) -> None:
    """Past this, what the file holds, or which names the folder has, outlives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")
