"""A campaign from end to end, on an ocean so small that it can be killed and run again in every test run."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ldm_ocean import open_states

pytest.importorskip("veros")
pytestmark = pytest.mark.slow  # three campaigns, each compiles for itself

ROOT = Path(__file__).resolve().parents[2]


def begin(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.simulate.tiny", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def contents(file: Path) -> dict[str, bytes]:
    """What is in a packed file; the zip around it also tells the hour."""
    with zipfile.ZipFile(file) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "whole"
    campaign = begin(folder)
    _, complaints = campaign.communicate(timeout=400)
    assert campaign.returncode == 0, complaints[-2000:]
    return folder


def test_killed_once_it_has_begun_a_campaign_ends_with_the_same_bytes(whole, tmp_path):
    out = tmp_path / "killed"
    for mark in ("work/centre/state.npz", "centre.zarr.zip"):
        campaign, deadline = begin(out), time.time() + 300
        while not (out / mark).exists() and campaign.poll() is None and time.time() < deadline:
            time.sleep(0.01)
        os.kill(campaign.pid, signal.SIGKILL)
        campaign.communicate()
    assert not (out / "train-00.zarr.zip").exists()
    campaign = begin(out)
    assert campaign.communicate(timeout=400) and campaign.returncode == 0
    files = sorted(p.relative_to(whole) for p in whole.rglob("*.zarr.zip"))
    assert [str(f) for f in files] == [
        "centre.zarr.zip", "child-of-wild.zarr.zip", "series/train-00.zarr.zip", "train-00.zarr.zip",
    ]  # fmt: skip
    for file in files:
        assert contents(out / file) == contents(whole / file), file


def test_a_setting_that_blows_up_is_noted_and_its_child_starts_from_its_parent(whole):
    records = {r["name"]: r for r in json.loads((whole / "manifest.json").read_text())["settings"]}
    assert records["wild"]["blew_up_on_day"] > 0 and "bytes" not in records["wild"]
    assert records["child-of-wild"]["bytes"] > 0
    assert not list((whole / "work").glob("centre*"))


def test_unfinished_states_equilibrium_states_and_the_series_are_where_the_schedule_says(whole):
    states = open_states(whole)
    own = states.isel(sample=states.setting.values == "train-00")
    assert own.day.values.tolist() == [0, 1, 3, 4, 5]  # settled on day 2, recorded from the next
    assert own.equilibrium.values.tolist() == [False, False, True, True, True]
    assert (states.season == 0).all()  # an ocean without seasons
    series = open_states(whole / "series")
    assert np.unique(series.setting).tolist() == ["train-00"] and series.day.values.tolist() == [6, 7, 8]


def test_a_setting_starts_where_its_parent_ended(whole):
    states = open_states(whole)
    parent = states.isel(sample=states.setting.values == "centre").isel(sample=-1)
    child = states.isel(sample=states.setting.values == "train-00").isel(sample=0)
    for name in ("toce", "soce", "uoce", "voce", "ssh"):
        assert np.allclose(parent[name], child[name], atol=2e-3, equal_nan=True), name
