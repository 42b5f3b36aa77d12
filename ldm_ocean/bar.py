"""Progress of long work: a bar on a terminal, a line a minute anywhere else."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

MINUTE = 60.0  # [s] between two lines, and before the first
T = TypeVar("T")


class _Lines:
    """Where a bar would be drawn over itself, its states stand one below the other."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip("\r\n") + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


class _Bar(tqdm):
    """Work that turns out to be more than was thought is all there is, and ends nothing."""

    total: float

    def update(self, n: float | None = 1) -> bool | None:
        self.total = max(self.total, self.n + (n or 0))
        return super().update(n)


def bar(total: float, unit: str, done: float = 0.0, what: str | None = None, shown: bool = True) -> tqdm:
    """Of ``total`` units, ``done`` of them before; ``what`` is being done. A context manager with ``update``."""
    terminal = sys.stderr.isatty()
    return _Bar(
        total=total,
        initial=done,
        unit=unit,
        desc=what,
        disable=not shown,
        file=sys.stderr if terminal else _Lines(),
        delay=0 if terminal else MINUTE,
        mininterval=0.5 if terminal else MINUTE,
        miniters=0,  # else tqdm learns how many units a line is worth, and a thread of it adds lines every ten seconds
        dynamic_ncols=terminal,
        bar_format="{l_bar}{bar}| {n:g}/{total:g} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    )


def each(
    items: Iterable[T], total: int, unit: str, done: int = 0, what: str | None = None, shown: bool = True
) -> Iterator[T]:
    """The ``items``, one unit each, under a ``bar``."""
    with bar(total, unit, done, what, shown) as progress:
        for item in items:
            yield item
            progress.update()
