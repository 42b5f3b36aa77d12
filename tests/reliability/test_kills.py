"""kill -9 at any instant costs an interval at most."""

import os
import random
import shutil
import signal
import time

import pytest

from ldm_ocean.io import atomic
from ldm_ocean.training import checkpoint

from . import trace
from .processes import BATCH, arguments, start, train
from .small import at_every_line, in_a_child, save

SAVING = (checkpoint.__file__, atomic.__file__, shutil.__file__)


@pytest.mark.reliability("R8")
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_a_line_of_a_save_the_older_or_the_newer_checkpoint_is_whole_and_no_litter_stays(every, tmp_path):
    for samples in (1, 2):
        save(tmp_path / "before", samples)
    for line in range(1, 10_000, every):
        folder = tmp_path / str(line)
        shutil.copytree(tmp_path / "before", folder)
        left = [line]

        def count(left=left):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        def killed(folder=folder, count=count):
            with at_every_line(count, *SAVING):
                save(folder, 3)

        code = in_a_child(killed)
        assert int(checkpoint.newest(folder).name) in ((3,) if code == 0 else (2, 3))
        save(folder, 4)
        kept = {p.name for p in folder.iterdir()}
        assert len(kept) == 2 and kept <= {f"{n:010d}" for n in (2, 3, 4)}
        if code == 0:
            break
    assert 30 < line < 9_000


@pytest.mark.reliability("R11")
def test_with_one_checkpoint_kept_there_is_a_whole_one_before_every_line_of_a_save(tmp_path):
    save(tmp_path, 1, keep=1)
    seen = []

    def look():
        seen.append([p.name for p in checkpoint.complete(tmp_path) if not checkpoint.damage(p)])

    with at_every_line(look, *SAVING):
        save(tmp_path, 2, keep=1)
    assert len(seen) > 30 and all(seen)
    assert [p.name for p in tmp_path.iterdir()] == [f"{2:010d}"]


@pytest.mark.reliability("R8")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_at_random_a_run_resumes_by_itself_and_ends_where_the_unbroken_one_does(kills, road, tmp_path, verdict):
    draw = random.Random(kills)
    each = 5  # steps between kills, on average
    length = 3 * kills * each  # no child comes to the end by itself
    command = arguments(road, "diffusion", f"train.samples={length * BATCH}", f"train.checkpoint_every={2 * BATCH}")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert train("diffusion", command, whole, patience=600) == [0]
    begin, steps = 0, []

    def resumed():
        """Its steps, which begin where the last checkpoint stands, in the place of those that were lost."""
        taken = trace.take(cut)
        assert not taken or taken[0]["samples"] == begin
        return steps[: begin // BATCH] + taken if taken else steps

    for _ in range(kills):
        (child,) = start("diffusion", command, cut)
        goal = draw.randrange(2 * each)
        while child.is_alive() and lines(cut) < goal:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.05))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        steps = resumed()
        saved = checkpoint.newest(cut / "checkpoints")
        begin = int(saved.name) if saved else 0
        assert 0 <= len(steps) * BATCH - begin <= 2 * BATCH
    assert train("diffusion", command, cut, patience=600) == [0]
    verdict("mini-basin", "diffusion", f"{kills} KILLS", trace.read(whole), resumed())
    assert (cut / "log.jsonl").read_text() == (whole / "log.jsonl").read_text()
    kept, litter = (sorted(p.name for p in (cut / "checkpoints").glob(x)) for x in ("[0-9]*", ".*"))
    assert kept == [p.name for p in checkpoint.complete(whole / "checkpoints")] and not litter


def lines(run) -> int:
    """Steps that the running child has written down."""
    path = run / "trace-0.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0
