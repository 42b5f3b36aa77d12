"""Lines in the language of restart tests, and the runs that many tests compare with."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .processes import BATCH, Trouble, arguments, output, train
from .trace import first_difference


@pytest.fixture
def verdict(record_property) -> Callable:
    """``verdict(case, stage, test, one, other)``: both traces (see ``trace``) must be equal, step by step.

    Says so as ``mini-basin  vae  RESTART  passed: step 20 bit-equal``.
    """

    def judge(case: str, stage: str, test: str, one: list, other: list) -> None:
        step = first_difference(one, other)
        found = f"passed: step {len(one)} bit-equal" if step is None else f"FAILED: differs after {step} steps"
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
        """Killed at step 13, in mid-epoch, three steps after its only checkpoint."""
        killed = [Trouble(13 * BATCH + rank * BATCH // processes, "SIGKILL", rank) for rank in range(processes)]
        return self._run(stage, processes, "cut", killed)

    def _run(self, stage: str, processes: int, name: str, trouble: Sequence[Trouble] = ()) -> Path:
        run = self.folder / f"{stage}-{processes}-{name}"
        if not run.exists():
            codes = train(stage, arguments(self.road, stage), run, processes, trouble)
            assert all(map(bool, codes)) if trouble else not any(codes), output(run)
        return run


@pytest.fixture(scope="session")
def runs(road, tmp_path_factory) -> Runs:
    return Runs(road, tmp_path_factory.mktemp("runs"))
