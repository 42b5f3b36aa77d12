"""A pytest plugin that writes docs/reliability.md: each promise, the tests that hold it to account, what they found.

python -m pytest -m "slow or not slow" -p tests.reliability.page
"""

from collections import defaultdict
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

PROMISES = {
    "R1": "An autoencoder's training, killed in mid-epoch and resumed by a new process, equals the unbroken one",
    "R2": "So is a transformer's, from cached latents",
    "R3": "So are both on several processes, on every one of them",
    "R4": "Stopping at the end of an epoch, or twice, changes nothing; an epoch shows each sample once",
    "R5": "That comparison can fail: a checkpoint without its optimiser, average or seed is found out",
    "R6": "1, 2 or 4 processes see the same samples, noise and learning rate; their losses agree to 1e-5",
    "R7": "A run goes on with another number of processes, in the same order, and says so",
    "R8": "Killed at any instant, saving or not: it resumes by itself, loses one interval at most, leaves no litter",
    "R9": "A signal to a process: a checkpoint, all gone in 30 s, code 75; to a launcher too, its code 1, 138 or 143",
    "R10": "A full disk or a folder that may not be written: one error with the path; the older checkpoint stays good",
    "R11": "With keep_last=1 there is a good checkpoint at every instant once the first is written",
    "R12": "A byte flipped, an end cut off, a file gone: seen before training; an older checkpoint serves, or an error",
    "R13": "A pickle in the place of any file that we load is never executed",
    "R14": "Averaged weights follow their closed form to 1e-6, also resumed; failing validation leaves raw ones alone",
    "R15": "What stands on land, NaN, infinity, 1e30 or noise, changes no loss, gradient or latent",
    "R16": "NaN in the water, a loss not finite: stopped before the update, its place named; checkpoint still good",
    "R17": "Parts of different runs (mask, statistics, variables, grid) are refused as a pair, both hashes shown",
    "R18": "Holes in a latent store are an error to its reader; encoding again fills them, to the same digest",
    "R19": "Any number of reading threads or processes gives the same batches, also after the parent has read",
    "R20": "Scores count every sample once, however unevenly the last batch falls on 1, 2 or 3 processes",
    "R21": "bf16 stays finite and near fp32 at extreme inputs; fp16 is refused for the autoencoder",
    "R22": "Any configuration runs, or is refused in one line that names the key, with exit code 2",
    "R23": "The same ocean in another guise (order, packing, precision, odd sizes, dry levels): the same, or a reason",
    "R24": "A store far larger than memory: memory stays flat, no file is left open",
    "R25": "What the previous release wrote is read, or refused by the number of its schema",
    "R26": "An exception on one process: all are gone within 60 s",
}

HEAD = """# What a run survives

Written by `make test-all` (`python -m pytest -m "slow or not slow" -p tests.reliability.page`); do not edit.

| | promise | tests | result | seconds |
|---|---|---|---|---|
"""

_promises: dict[str, list[str]] = {}
_outcomes: dict[str, str] = {}
_seconds: dict[str, float] = defaultdict(float)
_lines: dict[str, list[str]] = defaultdict(list)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = [name for mark in item.iter_markers("reliability") for name in mark.args]
        unknown = set(names) - set(PROMISES)
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} is marked {unknown}: not among page.PROMISES")
        if names:
            _promises[item.nodeid] = names


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.nodeid not in _promises:
        return
    _seconds[report.nodeid] += report.duration
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome
    if report.when == "teardown":
        _lines[report.nodeid] += [str(value) for key, value in report.user_properties if key == "report"]


def pytest_sessionfinish() -> None:
    reported = [line for node in _promises for line in _lines[node]]
    rows = "\n".join(_row(name) for name in PROMISES)
    PAGE.write_text(f"{HEAD}{rows}\n\n```\n" + "\n".join(reported) + "\n```\n" if reported else f"{HEAD}{rows}\n")


def _row(name: str) -> str:
    nodes = [node for node, names in _promises.items() if name in names and node in _outcomes]
    files = dict.fromkeys(Path(node.split("::")[0]).name for node in nodes)
    outcomes = [_outcomes[node] for node in nodes]
    result = (
        ", ".join(f"{outcomes.count(o)} {o}" for o in ("passed", "failed", "skipped") if o in outcomes) or "no test"
    )
    tests = ", ".join(files)
    return f"| {name} | {PROMISES[name]} | {tests} | {result} | {sum(_seconds[n] for n in nodes):.0f} |"
