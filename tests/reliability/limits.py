"""Limits of the kernel for a while, so that what wants too much is seen at once."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESOURCES = {"VmSize": resource.RLIMIT_AS, "VmData": resource.RLIMIT_DATA}


def used(what: str) -> int:
    """Bytes of this process: ``VmSize`` all that is mapped, ``VmData`` without files."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in status if line.startswith(what)).split()[1])


@contextmanager
def only(spare: int, what: str = "VmSize") -> Iterator[None]:
    """No more than ``spare`` bytes beyond what is in use."""
    kind = RESOURCES[what]
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (used(what) + spare, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)
