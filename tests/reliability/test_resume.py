"""Killed and resumed in new processes, a run takes every step that it would have taken."""

import shutil

import pytest

from . import trace
from .processes import BATCH, STAGES, STEPS, Trouble, arguments, train

KILLED = [-9]
BOTH = [
    pytest.param("vae", marks=pytest.mark.reliability("R1")),
    pytest.param("diffusion", marks=pytest.mark.reliability("R2")),
]


@pytest.mark.parametrize("stage", BOTH)
def test_a_run_killed_in_mid_epoch_and_resumed_equals_the_unbroken_one(stage, road, runs, tmp_path, verdict):
    whole, cut = runs.whole(stage), runs.cut(stage)
    shutil.copytree(cut, tmp_path, dirs_exist_ok=True)
    assert train(stage, arguments(road, stage), tmp_path) == [0]
    verdict("mini-basin", stage, "RESTART", trace.read(whole), trace.read(tmp_path))
    assert len(trace.read(whole)) == STEPS
    assert (tmp_path / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()


@pytest.mark.reliability("R4")
@pytest.mark.parametrize("stage", STAGES)
def test_resumed_twice_once_where_an_epoch_ends_nothing_is_lost_or_repeated(stage, road, runs, tmp_path, verdict):
    whole = trace.read(runs.whole(stage))
    size = 12 if stage == "vae" else 9  # training states: 3 settings with 4 samples, 3 of them in equilibrium
    every = arguments(road, stage, f"train.checkpoint_every={size * BATCH // 2 if stage == 'vae' else size * BATCH}")
    for at in (size * BATCH, 17 * BATCH):
        assert train(stage, every, tmp_path, trouble=[Trouble(at, "SIGKILL")]) == KILLED
    assert train(stage, every, tmp_path) == [0]
    again = trace.read(tmp_path)
    verdict("mini-basin", stage, "RESTART TWICE", whole, again)
    seen = [index for step in again for _, index, _ in step["rows"]]
    epochs = [seen[i : i + size] for i in range(0, len(seen) - size + 1, size)]
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs)


@pytest.mark.reliability("R5")
@pytest.mark.parametrize("part", ["optimiser", "average", "seed"])
@pytest.mark.parametrize("stage", ["vae", pytest.param("diffusion", marks=pytest.mark.slow)])
def test_a_checkpoint_without_one_of_its_parts_is_found_out_at_the_first_step(part, stage, road, runs, tmp_path):
    shutil.copytree(runs.cut(stage), tmp_path, dirs_exist_ok=True)
    (tmp_path / "trace-0.jsonl").unlink()
    assert train(stage, arguments(road, stage), tmp_path, forget=part) == [0]
    resumed = trace.read(tmp_path)
    assert trace.first_difference(trace.read(runs.whole(stage))[10:], resumed) == 0


@pytest.mark.parametrize("stage", [pytest.param("vae", marks=pytest.mark.reliability("R5"))])
def test_another_seed_in_the_same_run_is_refused(stage, road, runs, tmp_path):
    shutil.copytree(runs.cut(stage), tmp_path, dirs_exist_ok=True)
    assert train(stage, arguments(road, stage, "train.seed=1"), tmp_path) == [2]
