"""One writer at a time: a lock on ``.<name>.lock`` beside the output, which the kernel lets go when its holder dies."""

import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ..errors import UserError
from .atomic import recover


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the output ``path``, and clear up after a writer that was killed; UserError if another one holds it."""
    path = path.resolve()
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = _held(lock, path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror or error}): choose another place") from error
    try:
        recover(path)
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: who has opened it meanwhile sees that it is another's
        file.close()


def _held(lock: Path, path: Path) -> TextIO:
    while True:
        file = lock.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(f"{path} is being written by {holder}: wait for it, or choose another name") from None
        except OSError as error:  # file systems of some clusters know no locks
            warnings.warn(f"{path} cannot be locked ({error.strerror}): start no second writer", stacklevel=3)
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == lock.stat().st_ino:
                break
        file.close()  # removed by its last holder between our opening and locking it
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file
