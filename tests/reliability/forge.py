"""Runs commands in processes that can be killed at their n-th touch of a folder.

Python and its libraries take seconds to start; a process that has imported them and read nothing (one that has
holds threads that a fork does not copy) forks one child a command.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOUCHES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "shutil.rmtree"}


class Forge:
    """``run([command, argument, …], folder)`` gives the exit code; ``touches``: how often it touched the folder.

    ``kill_at`` n: killed (-9) at the n-th touch. ``kill_after`` t: killed (-14) after t seconds, wherever it is.
    """

    def __enter__(self) -> "Forge":
        command = [sys.executable, "-m", "tests.reliability.forge"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def run(self, arguments: list, folder: Path, kill_at: int = 0, kill_after: float = 0) -> int:
        request = [[str(a) for a in arguments], str(folder), kill_at, kill_after]
        print(json.dumps(request), file=self.process.stdin, flush=True)
        code, self.touches = json.loads(self.process.stdout.readline())
        return code


def child(arguments: list[str], folder: str, kill_at: int, kill_after: float, answer: int) -> None:
    from ldm_ocean.commands import cli

    touched = 0

    def hook(event, details):
        nonlocal touched
        if event not in TOUCHES or not str(details[0]).startswith(folder):
            return
        if event == "open" and details[1] in ("r", "rb"):
            return
        touched += 1
        if touched == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    os.chdir(folder)
    os.dup2(2, 1)
    signal.setitimer(signal.ITIMER_REAL, kill_after)  # a signal that nobody handles kills within C code too
    sys.addaudithook(hook)
    code = 0
    try:
        cli.main(arguments)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 70
    os.write(answer, str(touched).encode())
    os._exit(code)


def main() -> None:
    import torch

    from ldm_ocean import pipeline  # noqa: F401 (before the forks)
    from ldm_ocean.io import store

    torch.set_num_threads(1)
    store.SHARD_BYTES = 1  # a shard holds one state
    for line in sys.stdin:
        request = json.loads(line)
        here, there = os.pipe()
        if (pid := os.fork()) == 0:
            child(*request, there)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(there)
        with os.fdopen(here) as answer:
            print(json.dumps([code, int(answer.read() or 0)]), flush=True)


if __name__ == "__main__":
    main()
