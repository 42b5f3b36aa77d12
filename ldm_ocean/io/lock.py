"""One writer at a time: a lock on ``.<name>.lock`` beside the output, which the kernel lets go when its holder dies."""

import errno
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import UserError
from .atomic import recover

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # as file systems of some clusters answer


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the output ``path``, and clear up after a writer that was killed; UserError if another one holds it."""
    path = path.resolve()
    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(name, blocking=False, fallback_to_soft=False)  # a soft one would outlive a holder that is killed
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = ""
        with suppress(FileNotFoundError):  # it has ended since
            holder = name.read_text()
        who = holder or "another process"
        raise UserError(f"{path} is being written by {who}: wait for it, or choose another name") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise UserError(f"cannot write {path} ({error.strerror or error}): choose another place") from error
        warnings.warn(f"{path} cannot be locked ({error.strerror}): start no second writer", stacklevel=3)
    try:
        name.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        recover(path)
        yield
    finally:
        name.unlink(missing_ok=True)  # while it is held: who has opened it meanwhile sees that it is another's
        lock.release()
