"""Told to stop: by SIGTERM, SIGUSR1 or SIGINT (Ctrl-C), or by the death of the launcher.

Training writes a checkpoint at its next step and leaves with ``EXIT_REQUEUE``. The signal only leaves a note, for an
exception raised by it could land in a callback that swallows it. A second Ctrl-C ends the process at once.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator

EXIT_REQUEUE = 75  # told to stop, and nothing is lost: run the same command again
TOLD = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
ECHO = 1.0  # [s] launchers pass on what the terminal has sent to all: a SIGINT so soon is still the first Ctrl-C
LAUNCHER = os.getppid()  # asked at import: it may be gone before the data are read

_told: list[float] = []  # when signals came that nobody has acted upon


def requeue_when_told() -> None:
    """Until training begins one of ``TOLD`` ends the process at once, with ``EXIT_REQUEUE``."""
    for name in TOLD:
        signal.signal(name, _leave)


@contextmanager
def stop_flag(accelerator: Accelerator) -> Iterator[Callable[[], bool]]:
    """A function that is true on all processes once any of them was told; later signals are as before.

    Launchers do not pass every signal on: a process whose launcher has died counts as told.
    """
    launched = {"TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"} & os.environ.keys()

    def stop() -> bool:
        told = bool(_told) or bool(launched and os.getppid() != LAUNCHER)
        return bool(accelerator.reduce(torch.tensor(float(told), device=accelerator.device), "sum") > 0)

    def note(number: int, _) -> None:
        now = time.monotonic()
        if number == signal.SIGINT and _told and now - _told[0] > ECHO:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if not _told and accelerator.is_local_main_process:
            _say(number, "a checkpoint at the next step, then the end; Ctrl-C once more ends at once")
        _told.append(now)

    before = {name: signal.signal(name, note) for name in TOLD}
    try:
        yield stop
    finally:
        _told.clear()
        for name, handler in before.items():
            signal.signal(name, handler)


def _leave(number: int, _) -> None:
    _told.append(time.monotonic())  # should a callback swallow the exit, training ends at its first step
    _say(number, "nothing is lost")
    sys.exit(EXIT_REQUEUE)


def _say(number: int, what: str) -> None:
    """One line, without the buffer of ``sys.stderr``: the signal may have come while that was written to."""
    line = f"{signal.Signals(number).name}: {what} (exit code {EXIT_REQUEUE}: the same command goes on)\n"
    os.write(2, line.encode())
