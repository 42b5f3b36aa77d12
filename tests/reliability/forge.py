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
    """``run([command, argument, …], folder, kill_at)`` gives the exit code, -9 if it was killed."""

    def __enter__(self) -> "Forge":
        command = [sys.executable, "-m", "tests.reliability.forge"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def run(self, arguments: list, folder: Path, kill_at: int = 0) -> int:
        print(json.dumps([[str(a) for a in arguments], str(folder), kill_at]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def child(arguments: list[str], folder: str, kill_at: int) -> None:
    from ldm_ocean import cli

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
    sys.addaudithook(hook)
    code = 0
    try:
        cli.main(arguments)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 70
    os._exit(code)


def main() -> None:
    import torch

    from ldm_ocean import encode, evaluate, pipeline, prepare, restart, sample  # noqa: F401 (before the forks)
    from ldm_ocean.io import store

    torch.set_num_threads(1)
    store.SHARD_BYTES = 1  # a shard holds one state
    for line in sys.stdin:
        request = json.loads(line)
        if (pid := os.fork()) == 0:
            child(*request)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
