"""Long work says how far it is, wherever it runs."""

import sys

import pytest
from tqdm import std

from ldm_ocean.bar import bar, each


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time as tqdm sees it [s]; its only element may be changed."""
    now = [1000.0]
    monkeypatch.setattr(std, "time", lambda: now[0])
    return now


def test_where_there_is_no_terminal_long_work_says_a_line_a_minute_with_loss_and_time_left(clock, capsys):
    with bar(3600, "sample", what="train") as progress:
        for second in range(3600):
            clock[0] += 0.5 if second < 1800 else 2.0  # it becomes slower
            progress.set_postfix(loss=f"{1 / (1 + second):.2g}", refresh=False)
            progress.update()
    lines = capsys.readouterr().err.splitlines()
    assert 70 <= len(lines) <= 77  # 75 minutes
    assert all(line.startswith("train: ") and "loss=" in line for line in lines)
    assert "| 120/3600 [01:00<29:00," in lines[0]


def test_short_work_says_nothing_where_there_is_no_terminal(clock, capsys):
    assert list(each(range(5), 5, "shard")) == list(range(5))
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_at_once(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with bar(5, "shard"):
        assert "0/5" in capsys.readouterr().err


def test_what_is_not_to_be_shown_is_not(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(each(range(5), 5, "shard", shown=False)) == list(range(5))
    assert capsys.readouterr().err == ""


def test_more_work_than_was_thought_moves_the_end_and_breaks_nothing(monkeypatch):
    monkeypatch.setattr("ldm_ocean.bar.MINUTE", 0.0)
    for shown in (False, True):
        with bar(2, "year", shown=shown) as progress:
            for _ in range(5):
                progress.update(0.7)
    assert progress.n == pytest.approx(3.5) and progress.total == pytest.approx(3.5)  # of the one that is shown
