"""Mistakes a user can mend: one line saying what is wrong, where, and how to mend it; exit code 2."""

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches

LESS = "take smaller model.widths, model.width or train.device_batch_size, or a machine with more"
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")  # as libraries say it
DEBUG, DEBUG_HELP = "--debug", "show the whole traceback of an error"
DEBUG_VARIABLE = "LDM_OCEAN_DEBUG"  # reaches the processes that a command starts
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


class UserError(ValueError):
    """Bad input. The message is one line: what, where, how to mend."""


def nearest(word: str, known) -> str:
    """``' (did you mean X?)'`` for the closest of ``known``, or the list of them."""
    known = [str(k) for k in known]
    close = get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(known)})"


def exit_politely(main: Callable[[], None], arguments: list[str] | None = None) -> None:
    """Run ``main``; a UserError, or a full disk or memory, becomes one line on stderr and exit code 2.

    With ``--debug`` among the ``arguments`` (of this process, by default) the traceback stands before the line. A
    reader of our output that has seen enough (``| head``) ends the command without a word; what a terminal cannot print
    becomes ``?``.
    """
    if DEBUG in (sys.argv if arguments is None else arguments):
        os.environ[DEBUG_VARIABLE] = "1"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        try:
            main()
        finally:
            sys.stdout.flush()  # here and not after us, where its failure would be a traceback
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to be printed goes nowhere
        sys.exit(128 + signal.SIGPIPE)
    except UserError as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = error.filename or "the output"
        _end(f"cannot write {place} ({error.strerror}): free disk space, or choose another place, then start again")
    except (MemoryError, RuntimeError) as error:  # torch has either
        if not isinstance(error, MemoryError) and not any(words in str(error).lower() for words in OUT_OF_MEMORY):
            raise
        _end(f"not enough memory ({str(error).splitlines()[0] if str(error) else 'none left'}): {LESS}")
    except KeyboardInterrupt:
        sys.exit(130)


def _end(message: str) -> None:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
