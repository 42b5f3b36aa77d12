"""One writer at a time on one output; what killed ones leave is cleared up, what living ones write is left alone."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ldm_ocean.errors import UserError
from ldm_ocean.io import atomic
from ldm_ocean.io.atomic import published
from ldm_ocean.io.lock import only_writer
from ldm_ocean.training import engine

from ..training.test_engine import CONFIG, Line

pytestmark = pytest.mark.reliability("R18")

ROOT = Path(__file__).resolve().parents[2]


def test_the_second_of_two_trainings_in_one_run_is_refused_before_the_first_step(tmp_path):
    task, run = Line(), tmp_path / "run"
    with only_writer(run), pytest.raises(UserError, match=f"{run} is being written by process {os.getpid()}"):
        engine.fit(task, CONFIG, run)
    assert not task.seen and not run.exists()
    engine.fit(task, CONFIG, run)


def test_who_writes_one_output_leaves_alone_what_others_are_writing(tmp_path):
    others = [tmp_path / "run.zarr", tmp_path / "run" / "samples.zarr"]
    (tmp_path / "run").mkdir()
    for other in others:
        with published(other) as half:
            half.write_text("begun")
            with only_writer(tmp_path / "run"):
                assert half.exists()
        assert other.read_text() == "begun"


HOLD = """
import sys, time
from pathlib import Path
from ldm_ocean.io.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path):
    out = tmp_path / "out.zarr"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {holder.pid} "), only_writer(out):
        pass
    holder.kill()
    holder.wait()
    with only_writer(out):
        pass
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_want_an_output_at_once_one_at_a_time_has_it(tmp_path):
    """Each that gets it writes a mark and looks whether it is alone; the lock file comes and goes all the while."""
    children = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            code, end = 0, time.monotonic() + 1.0
            while time.monotonic() < end and code == 0:
                try:
                    with only_writer(tmp_path / "out"):
                        mark = tmp_path / "mark"
                        try:
                            mark.touch(exist_ok=False)
                            time.sleep(0.001)
                            mark.unlink()
                        except OSError:
                            code = 1
                except UserError as refused:
                    code = 0 if "is being written by" in str(refused) else 2
            os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_the_file_system_knows_no_locks_one_is_warned_and_may_write(number, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="cannot be locked .*: start no second writer"), only_writer(tmp_path / "out"):
        (tmp_path / "out").write_text("written")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_leavings_of_dead_writers_of_this_node_go_and_everything_else_stays(tmp_path):
    dead, living = f"{atomic.HOST}.9999999.tmp", f"{atomic.HOST}.{os.getppid()}.tmp"
    other = "another-node.9999999.tmp"
    keep = ["out.zarr2", f".other.nc.{dead}", "out.notes", ".out.hidden", f".out.{other}", f".out.{living}"]
    for name in keep:
        (tmp_path / name).write_text("mine")
    for name in (f".out.{dead}", f"out.{dead}.npz"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".out.{atomic.HOST}.8888888.tmp").mkdir()
    (tmp_path / "out" / "work").mkdir(parents=True)
    for name in (dead, living, other):
        (tmp_path / "out" / "work" / f".a.npz.{name}").write_text("half")
    with only_writer(tmp_path / "out"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*keep, "out"])
    left = {p.name for p in (tmp_path / "out" / "work").iterdir()}
    assert left == {f".a.npz.{living}", f".a.npz.{other}"}


def test_a_folder_that_had_stepped_aside_when_its_writer_died_comes_back(tmp_path, monkeypatch):
    old, new = tmp_path / "s.zarr", tmp_path / "whole"
    for folder in (old, new):
        folder.mkdir()
        (folder / "name").write_text(folder.name)

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        atomic.put_in_place(new, old)
    assert not old.exists()
    monkeypatch.undo()
    atomic.recover(old)
    assert (old / "name").read_text() == "s.zarr"
    shutil.rmtree(new)
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
