"""Commands killed and started again finish what remains and publish nothing half; never two at once on one output."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ldm_ocean import cli, engine, open_states
from ldm_ocean.errors import UserError
from ldm_ocean.io import atomic, store
from ldm_ocean.io.lock import only_writer
from ldm_ocean.prepare import prepare

from ..bad_input.place import ASKED, Place
from ..test_engine import CONFIG, Line
from .forge import Forge

ROOT = Path(__file__).resolve().parents[2]


def contents(path: Path) -> str:
    """Hash of a file or of a folder, names and bytes."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def values(path: Path) -> str:
    """Hash of what a file of scores or restarts says; their libraries write the hour too."""
    import xarray as xr

    if path.suffix == ".json":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with xr.open_dataset(path, decode_times=False) as data:
        return hashlib.sha256(
            repr(data.attrs).encode() + b"".join(v.values.tobytes() for v in data.values())
        ).hexdigest()


@pytest.fixture(scope="module")
def forge():
    with Forge() as forge:
        yield forge


def prepare_(p: Place) -> list:
    return ["prepare", p.folder / "run.nc", "--mesh", p.folder / "mesh_mask.nc", "--out", p.folder / "new.zarr"]


def append(p: Place) -> list:
    return [*prepare_(p), "--append", "--setting", "second", "--split", "test"]


def encode(p: Place) -> list:
    return ["encode", p.states, "--codec", p.vae, "--out", p.folder / "latents.zarr"]


def sample(p: Place) -> list:
    return ["sample", p.diffusion, *ASKED, "--members", "2", "--device", "cpu", "--out", p.folder / "s.zarr"]


def evaluate(p: Place) -> list:
    return ["evaluate", p.states, "--out", p.folder / "m.json"]


def restart(p: Place) -> list:
    numbers = ["--member", "0", "--member", "1"]
    return ["restart", p.states, "--mesh", p.folder / "mesh_mask.nc", *numbers, "--out", p.folder / "a_restart.nc"]


# What a command writes, and how to read off whether two results are the same.
OUTPUTS: dict[Callable, tuple[list[str], Callable]] = {
    prepare_: (["new.zarr"], contents),
    append: (["new.zarr"], contents),
    encode: (["latents.zarr"], contents),
    sample: (["s.zarr"], contents),
    evaluate: (["m.json"], values),
    restart: (["a_m000_restart.nc", "a_m001_restart.nc"], values),
}


@pytest.fixture
def place(road, tmp_path, monkeypatch) -> Place:
    monkeypatch.setattr(store, "SHARD_BYTES", 1)  # a shard holds one state
    p = Place(road, tmp_path)
    p.output()
    p.mesh()
    return p


def attempt(command: Callable, p: Place, forge: Forge, times: list[int]) -> None:
    outputs, read = OUTPUTS[command]
    run = forge.run
    if command is append:
        assert run(prepare_(p), p.folder) == 0
    code = run(command(p), p.folder)
    assert code in (0, 1)  # 1: a restart that NEMO would stumble over
    wanted = {name: read(p.folder / name) for name in outputs}
    names = {f.name for f in p.folder.iterdir()}
    for n in times:
        for name in outputs:
            atomic.remove(p.folder / name)
        begun: dict[str, str] = {}
        if command is append:
            assert run(prepare_(p), p.folder) == 0
            begun = {name: read(p.folder / name) for name in outputs}
        if run(command(p), p.folder, kill_at=n) != -signal.SIGKILL:
            continue  # it was done by then
        for name in outputs:
            if (p.folder / name).exists():
                assert read(p.folder / name) in (wanted[name], begun.get(name)), f"half of {name} after kill {n}"
        assert run(command(p), p.folder) == code, f"after kill {n}"
        assert {name: read(p.folder / name) for name in outputs} == wanted, f"after kill {n}"
        assert {f.name for f in p.folder.iterdir()} == names, f"litter after kill {n}"


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_command_killed_anywhere_and_started_again_ends_as_if_nothing_had_been(command, place, forge):
    attempt(command, place, forge, [1, *random.Random(0).sample(range(2, 40), 3)])


@pytest.mark.slow
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_command_killed_at_fifty_places_and_started_again_ends_as_if_nothing_had_been(command, place, forge):
    attempt(command, place, forge, random.Random(1).sample(range(1, 250), 50))


def test_prepare_goes_on_behind_the_states_that_it_has_written(place, monkeypatch):
    from ldm_ocean.io.source import Source

    sources, mesh = [place.folder / "run.nc"], place.folder / "mesh_mask.nc"
    prepare(sources, place.folder / "whole.zarr", mesh)
    read, steps = Source.read, []

    class Killed(BaseException):
        pass

    def read_until_the_second(self, name, step):
        if step == 1 and steps.count(1) == 0:
            steps.append(1)
            raise Killed
        steps.append(step)
        return read(self, name, step)

    monkeypatch.setattr(Source, "read", read_until_the_second)
    with pytest.raises(Killed):
        prepare(sources, place.folder / "parts.zarr", mesh)
    first = len(steps)
    prepare(sources, place.folder / "parts.zarr", mesh)
    assert steps[first:].count(0) <= 1  # of five variables: to see whether columns repeat, not to write it again
    assert open_states(place.folder / "parts.zarr").equals(open_states(place.folder / "whole.zarr"))


def test_the_same_prepare_again_adds_nothing_twice(place):
    for command in (prepare_, append, append):
        cli.main([str(a) for a in command(place)])
    states = open_states(place.folder / "new.zarr")
    assert states.setting.values.tolist() == ["run", "run", "second", "second"]
    before = contents(place.folder / "new.zarr")
    cli.main([str(a) for a in prepare_(place)])
    assert contents(place.folder / "new.zarr") == before


# --- two at once


def simulate(p: Place) -> list:
    return ["simulate", p.folder / "campaign", "--train", "1"]


def spinup(p: Place) -> list:
    model, states = ROOT / "pretrained/dino-coarse", ROOT / "data/dino-coarse"
    return ["spinup", model, states, "rn_ztau0=0.2", "rn_tstar_n=5", "rn_avt0=3e-5", "--out", p.folder / "loop"]


def demo(p: Place) -> list:
    return ["demo", "--out", p.folder / "demo"]


@pytest.mark.parametrize("command", [*OUTPUTS, simulate, spinup, demo])
def test_the_second_of_two_on_one_output_is_refused_in_one_line_before_the_work(command, place, capsys):
    if command in (simulate, spinup):
        pytest.importorskip("veros")
    arguments = [str(a) for a in command(place)]
    out = arguments[1] if command is simulate else arguments[arguments.index("--out") + 1]
    before = sorted(p.name for p in place.folder.iterdir())
    with only_writer(Path(out)), pytest.raises(SystemExit) as end:
        cli.main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and f"is being written by process {os.getpid()}" in line
    assert sorted(p.name for p in place.folder.iterdir()) == before


def test_the_second_of_two_trainings_in_one_run_is_refused_before_the_first_step(tmp_path):
    task, run = Line(), tmp_path / "run"
    with only_writer(run), pytest.raises(UserError, match=f"{run} is being written by process {os.getpid()}"):
        engine.fit(task, CONFIG, run)
    assert not task.seen and not run.exists()
    engine.fit(task, CONFIG, run)


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
                except UserError:
                    pass
            os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 6
    assert list(tmp_path.iterdir()) == []


# --- what killed writers leave


def test_leavings_of_dead_writers_go_and_everything_else_stays(tmp_path):
    keep = ["out.zarr2", ".other.nc.12.tmp", "out.notes", ".out.hidden"]
    for name in keep:
        (tmp_path / name).write_text("mine")
    for name in (".out.12.tmp", "out.12.tmp.npz"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".out.34.tmp").mkdir()
    (tmp_path / "out" / "work").mkdir(parents=True)
    (tmp_path / "out" / "work" / ".a.npz.7.tmp").write_text("half")
    with only_writer(tmp_path / "out"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*keep, "out"])
    assert not list((tmp_path / "out" / "work").iterdir())


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


def test_a_failed_command_leaves_its_old_output_as_it_was(place, monkeypatch):
    cli.main([str(a) for a in evaluate(place)])
    before = contents(place.folder / "m.json")
    monkeypatch.setattr("ldm_ocean.evaluate.score_states", lambda *_: {"wind": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        cli.main([str(a) for a in evaluate(place)])
    assert contents(place.folder / "m.json") == before and json.loads((place.folder / "m.json").read_text())
