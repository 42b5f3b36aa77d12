"""Progress of long work: a bar on a terminal, a line a minute anywhere else."""

import sys

from tqdm import tqdm


class _Lines:
    """Where a bar would be drawn over itself, its states stand one below the other."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(text.strip("\r\n") + "\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(total: float, unit: str, done: float = 0.0, what: str | None = None) -> tqdm:
    """Of ``total`` units, ``done`` of them before; ``what`` is being done. A context manager with ``update``."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        desc=what,
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.5 if terminal else 60,
        dynamic_ncols=terminal,
        ncols=None if terminal else 100,
        bar_format="{l_bar}{bar}| {n:g}/{total:g} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    )
