"""Killed and resumed in new processes, a run takes every step that it would have taken."""

import pytest

from ldm_ocean.training import checkpoint
from ldm_ocean.training.stop import EXIT_REQUEUE

from . import trace
from .processes import BATCH, CUT, LOADING, STAGES, STEPS, Trouble, arguments, train

KILLED = [-9]
BOTH = [
    pytest.param("vae", marks=pytest.mark.reliability("R1")),
    pytest.param("diffusion", marks=pytest.mark.reliability("R2")),
]


@pytest.mark.parametrize("stage", BOTH)
def test_a_run_killed_in_mid_epoch_and_resumed_equals_the_unbroken_one(stage, road, runs, tmp_path, verdict):
    runs.go_on(stage, tmp_path)
    assert train(stage, arguments(road, stage), tmp_path) == [0]
    resumed = trace.read(tmp_path)
    verdict("mini-basin", stage, "RESTART", runs.rest(stage), resumed)
    assert [step["samples"] for step in resumed] == [*range(CUT, STEPS * BATCH, BATCH)]
    assert (tmp_path / "log.jsonl").read_text() == (runs.whole(stage) / "log.jsonl").read_text()


@pytest.mark.reliability("R2")
def test_so_does_one_in_bf16(road, tmp_path, verdict):
    rounded = arguments(road, "diffusion", "train.precision=bf16")
    assert train("diffusion", rounded, tmp_path / "whole") == [0]
    assert train("diffusion", rounded, tmp_path / "cut", trouble=[Trouble(CUT + BATCH, "SIGKILL")]) == KILLED
    (tmp_path / "cut" / "trace-0.jsonl").unlink()
    assert train("diffusion", rounded, tmp_path / "cut") == [0]
    whole = trace.read(tmp_path / "whole")
    verdict("mini-basin", "diffusion", "RESTART bf16", whole[CUT // BATCH :], trace.read(tmp_path / "cut"))


@pytest.mark.reliability("R9")
@pytest.mark.parametrize(("stage", "name"), [("vae", "SIGTERM"), ("diffusion", "SIGUSR1"), ("diffusion", "SIGINT")])
def test_told_to_stop_while_it_reads_its_data_a_run_asks_to_be_queued_again(stage, name, road, tmp_path):
    assert train(stage, arguments(road, stage), tmp_path, trouble=[Trouble(LOADING, name)]) == [EXIT_REQUEUE]
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "trace-0.jsonl").exists()


@pytest.mark.reliability("R4")
@pytest.mark.parametrize("stage", STAGES)
def test_resumed_twice_once_where_an_epoch_ends_nothing_is_lost_or_repeated(stage, road, runs, tmp_path, verdict):
    whole = trace.read(runs.whole(stage))
    size = 12 if stage == "vae" else 9  # training states: 3 settings with 4 samples, 3 of them in equilibrium
    every = arguments(road, stage, f"train.checkpoint_every={size * BATCH // 2 if stage == 'vae' else size * BATCH}")
    begin, steps = 0, []
    for trouble, code in (
        ([Trouble(size * BATCH, "SIGKILL")], KILLED),
        ([Trouble(17 * BATCH, "SIGKILL")], KILLED),
        ([], [0]),
    ):
        assert train(stage, every, tmp_path, trouble=trouble) == code
        taken = trace.take(tmp_path)
        assert taken[0]["samples"] == begin
        steps = steps[: begin // BATCH] + taken
        begin = int(checkpoint.newest(tmp_path / "checkpoints").name)
    verdict("mini-basin", stage, "RESTART TWICE", whole, steps)
    seen = [index for step in steps for _, index, _ in step["rows"]]
    epochs = [seen[i : i + size] for i in range(0, len(seen) - size + 1, size)]
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs)


@pytest.mark.reliability("R5")
@pytest.mark.parametrize("part", ["", "optimiser", "average", "seed"])
@pytest.mark.parametrize("stage", ["vae", pytest.param("diffusion", marks=pytest.mark.slow)])
def test_a_checkpoint_without_one_of_its_parts_is_found_out_at_the_first_step(part, stage, road, runs, tmp_path):
    runs.go_on(stage, tmp_path)
    assert train(stage, arguments(road, stage), tmp_path, forget=part) == [0]
    resumed = trace.read(tmp_path)
    assert resumed[0]["samples"] == CUT
    assert trace.first_difference(runs.rest(stage), resumed) == (0 if part else None)


@pytest.mark.parametrize("stage", [pytest.param("vae", marks=pytest.mark.reliability("R5"))])
def test_another_seed_in_the_same_run_is_refused(stage, road, runs, tmp_path):
    runs.go_on(stage, tmp_path)
    assert train(stage, arguments(road, stage, "train.seed=1"), tmp_path) == [2]
