"""The batch scripts: every process is started as it should be, and code 75 queues the job again."""

import os
import subprocess
from pathlib import Path

import pytest

from .processes import ROOT

SCRIPTS = sorted((ROOT / "docs" / "slurm").glob("*.sh"))
SRUN = """while [[ $1 == --* ]]; do shift; done
for i in $(seq 0 $((SLURM_NTASKS - 1))); do SLURM_PROCID=$i SLURM_LOCALID=$((i % 4)) "$@"; code=$?; done; exit $code"""
SCONTROL = 'if [ $1 = requeue ]; then echo "again $2" >> said; else printf "node1\\nnode2\\n"; fi'
PYTHON = 'echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $@" >> said; exit $CODE'


def submit(script: Path, folder: Path, tasks: int, code: int) -> tuple[int, list[str]]:
    """Run the script on a cluster of straw; its exit code, and what was said."""
    commands = {"srun": SRUN, "scontrol": SCONTROL, "python": PYTHON}
    for name, body in commands.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "activate").touch()
    job = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": str(tasks), "SLURM_JOB_NODELIST": "node[1-2]", "CODE": str(code)}
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
        assert [line.strip() for line in started] == ["train_vae.py run=a b"]
    else:
        assert started == [f"{i} {i % 4} 8 {address} train_vae.py run=a b" for i in range(tasks)]


def test_every_script_asks_to_be_warned_and_may_be_queued_again():
    assert [p.stem for p in SCRIPTS] == ["many-nodes", "one-gpu", "one-node"]
    for script in SCRIPTS:
        assert {"#SBATCH --signal=USR1@300", "#SBATCH --requeue"} <= {*script.read_text().splitlines()}
