"""Lines in the language of restart tests, and the runs that many tests compare with."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from . import trace
from .limits import only
from .processes import BATCH, CUT, Trouble, arguments, output, train

SPARE = 1 << 30  # bytes that refusing a file may take, at the very most


@pytest.fixture
def verdict(record_property) -> Callable:
    """``verdict(case, stage, test, one, other)``: both traces (see ``trace``) must be equal, step by step.

    Says so as ``mini-basin  vae  RESTART  passed: step 20 bit-equal``.
    """

    def judge(case: str, stage: str, test: str, one: list, other: list) -> None:
        step = trace.first_difference(one, other)
        found = (
            f"passed: step {one[-1]['samples'] // BATCH + 1} bit-equal"
            if step is None
            else f"FAILED: differs after {step} steps"
        )
        line = f"{case}  {stage}  {test}  {found}"
        record_property("report", line)
        assert step is None, line

    return judge


class Runs:
    """Folders of trainings, each made once, when first asked for: to be read, or copied and gone on with."""

    def __init__(self, road: dict, folder: Path):
        self.road, self.folder = road, folder

    def whole(self, stage: str, processes: int = 1) -> Path:
        """Never disturbed."""
        return self._run(stage, processes, "whole")

    def cut(self, stage: str, processes: int = 1) -> Path:
        """Killed at step 13, in mid-epoch, three steps after its only checkpoint, ``CUT``."""
        killed = [Trouble(13 * BATCH + rank * BATCH // processes, "SIGKILL", rank) for rank in range(processes)]
        return self._run(stage, processes, "cut", killed)

    def go_on(self, stage: str, run: Path, processes: int = 1) -> None:
        """Copy ``cut`` without its traces: what is found in ``run`` later is what the resumed run did."""
        shutil.copytree(self.cut(stage, processes), run, ignore=shutil.ignore_patterns("trace-*"), dirs_exist_ok=True)

    def rest(self, stage: str, processes: int = 1, rank: int = 0) -> list[dict]:
        """The steps of ``whole`` after the checkpoint of ``cut``: all that a resumed run may do."""
        return [step for step in trace.read(self.whole(stage, processes), rank) if step["samples"] >= CUT]

    def _run(self, stage: str, processes: int, name: str, trouble: Sequence[Trouble] = ()) -> Path:
        run = self.folder / f"{stage}-{processes}-{name}"
        if not run.exists():
            codes = train(stage, arguments(self.road, stage), run, processes, trouble)
            assert all(map(bool, codes)) if trouble else not any(codes), output(run)
        return run


@pytest.fixture(scope="session")
def runs(road, tmp_path_factory) -> Runs:
    return Runs(road, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Allocations of more than ``SPARE`` beyond what is in use fail, so that a bomb cannot go unseen."""
    with only(SPARE):
        yield
