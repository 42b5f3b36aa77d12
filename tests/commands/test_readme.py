"""What README says about bringing an own NEMO works to the letter; only the sizes are smaller here."""

import glob
import re
import runpy
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from ldm_ocean.commands.cli import main
from ldm_ocean.training.stop import TOLD

from ..conftest import SHORT, SMALL_DIT, SMALL_VAE
from ..nemo_files import MESH, NEMO, RESTART

ROOT = Path(__file__).parents[2]
FEWER = {
    "train_vae.py": [*SMALL_VAE, "model.strides=[[6,4,4]]", *SHORT],  # few latent cells: attention is what costs
    "train_diffusion.py": [*SMALL_DIT, *SHORT],
}
LESS = {"sample": ["--members", "2", "--steps", "2"], "evaluate": ["--quick"]}


def recipe() -> list[list[str]]:
    """The commands of the section, with what a shell would make of the backslashes and the wildcards."""
    section = re.search(r"## Bring your own NEMO\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.S).group(1)
    block = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    lines = block.replace("\\\n", " ").splitlines()
    return [[w for word in shlex.split(x) for w in (sorted(glob.glob(word)) if "?" in word else [word])] for x in lines]


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A folder with the files that README speaks of; afterwards signals are as they were."""
    for run in range(1, 5):
        for point in "TUV":
            shutil.copy(NEMO / f"DINO_1m_grid_{point}.nc", tmp_path / f"run{run}_grid_{point}.nc")
    shutil.copy(MESH, tmp_path / "mesh_mask.nc")
    shutil.copy(RESTART, tmp_path / "OWN_00172800_restart.nc")
    monkeypatch.chdir(tmp_path)
    before = {name: signal.getsignal(name) for name in TOLD}
    yield tmp_path
    for name, handler in before.items():
        signal.signal(name, handler)


def test_the_commands_for_an_own_nemo_run_as_they_stand(at_home, monkeypatch, capsys):
    commands = recipe()
    assert len(commands) > 9
    for words in commands:
        script = next((w for w in words if w.endswith(".py")), None)
        if script:
            monkeypatch.setattr(sys, "argv", [script, *words[words.index(script) + 1 :], *FEWER[script]])
            runpy.run_path(str(ROOT / script), run_name="__main__")
        else:
            assert words[0] == "ldm-ocean"
            fewer = LESS.get(words[1], []) if "--model" in words or words[1] == "sample" else []
            main([*words[1:], *fewer])
    said = capsys.readouterr().out
    assert "validation: fair CRPS" in said and "test: fair CRPS" in said
    assert (at_home / "OWN_restart.nc").exists() and (at_home / "restart.json").exists()
