"""Lines in the language of restart tests: ``mini-basin  vae  RESTART  passed: step 20 bit-equal``."""

from collections.abc import Callable

import pytest

from .trace import first_difference


@pytest.fixture
def verdict(record_property) -> Callable:
    """``verdict(case, stage, test, one, other)``: both traces (see ``trace``) must be equal, step by step."""

    def judge(case: str, stage: str, test: str, one: list, other: list) -> None:
        step = first_difference(one, other)
        found = f"passed: step {len(one)} bit-equal" if step is None else f"FAILED: differs after {step} steps"
        line = f"{case}  {stage}  {test}  {found}"
        record_property("report", line)
        assert step is None, line

    return judge
