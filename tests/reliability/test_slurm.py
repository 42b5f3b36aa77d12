"""The batch scripts: every process is started as it should be, and code 75 queues the job again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .processes import ROOT

SCRIPTS = sorted((ROOT / "docs" / "slurm").glob("*.sh"))
# All processes at once, as SLURM keeps them: the first code that is not 0 may end the others, and so may the wait after
# the first to leave; its own code is the highest. A second lasts 40 ms.
SRUN = """
import os, subprocess, sys, time
options = dict(x[2:].split("=") for x in sys.argv[1:] if x.startswith("--"))
command = [x for x in sys.argv[1:] if not x.startswith("--")]
places = [{"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i % 4)} for i in range(int(os.environ["SLURM_NTASKS"]))]
tasks = [subprocess.Popen(command, env={**os.environ, **place}, start_new_session=True) for place in places]
end = None
while None in (codes := [task.poll() for task in tasks]):
    gone = [code for code in codes if code is not None]
    if gone and end is None and "wait" in options:
        end = time.monotonic() + 0.04 * int(options["wait"])
    if any(gone) and options.get("kill-on-bad-exit", "1") == "1" or end and time.monotonic() > end:
        for task in tasks:
            if task.poll() is None:
                os.killpg(task.pid, 9)
    time.sleep(0.002)
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = 'if [ $1 = requeue ]; then echo "again $2" >> said; else printf "node1\\nnode2\\n"; fi'
# The first process leaves at once, the others leave later.
PYTHON = """echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $SRUN_CPUS_PER_TASK $@" >> said
if [ ${RANK:-0} -gt 0 ]; then sleep $LATE; fi
exit $CODE"""


def submit(script: Path, folder: Path, tasks: int, code: int, late: float = 0.2) -> tuple[int, list[str]]:
    """Run the script on a cluster of straw; its exit code, and what was said. ``late`` [s] all but the first leave."""
    commands = {"srun": (sys.executable, SRUN), "scontrol": ("/bin/bash", SCONTROL), "python": ("/bin/bash", PYTHON)}
    for name, (shell, body) in commands.items():
        (folder / name).write_text(f"#!{shell}\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").touch()
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": str(tasks), "SLURM_JOB_NODELIST": "node[1-2]"}
    job |= {"SLURM_CPUS_PER_TASK": "3", "CODE": str(code), "LATE": str(late)}
    environment = {**os.environ, **job, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", script, "train_vae.py", "run=a b"], cwd=folder, env=environment, timeout=30)
    return done.returncode, (folder / "said").read_text().splitlines()


@pytest.mark.reliability("R9")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
@pytest.mark.parametrize("code", [0, 1, 75])
def test_every_process_knows_its_place_and_only_code_75_queues_the_job_again(script, code, tmp_path):
    tasks = 1 if script.stem == "one-gpu" else 8
    returned, said = submit(script, tmp_path, tasks, code)
    assert returned == code
    assert [line for line in said if line.startswith("again")] == (["again 7"] if code == 75 else [])
    started = [line for line in said if not line.startswith("again")]
    address = {"one-gpu": "", "one-node": "localhost", "many-nodes": "node1"}[script.stem]
    if script.stem == "one-gpu":
        assert [line.strip() for line in started] == ["3 train_vae.py run=a b"]
    else:
        assert sorted(started) == [f"{i} {i % 4} 8 {address} 3 train_vae.py run=a b" for i in range(tasks)]


@pytest.mark.reliability("R26")
@pytest.mark.parametrize("script", [p for p in SCRIPTS if p.stem != "one-gpu"], ids=lambda p: p.stem)
def test_who_is_there_a_minute_after_the_first_has_left_is_ended_and_the_job_not_queued_again(script, tmp_path):
    returned, said = submit(script, tmp_path, 2, 1, late=25)
    assert returned == 128 + signal.SIGKILL
    assert not [line for line in said if line.startswith("again")]


def test_every_script_asks_to_be_warned_and_may_be_queued_again():
    assert [p.stem for p in SCRIPTS] == ["many-nodes", "one-gpu", "one-node"]
    for script in SCRIPTS:
        assert {"#SBATCH --signal=USR1@300", "#SBATCH --requeue"} <= {*script.read_text().splitlines()}
