"""Commands killed and started again finish what remains and publish nothing half; never two at once on one output."""

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ldm_ocean import open_states
from ldm_ocean.commands import cli
from ldm_ocean.io import atomic, store
from ldm_ocean.io.atomic import published
from ldm_ocean.io.lock import only_writer
from ldm_ocean.io.prepare import prepare
from ldm_ocean.io.source import Source

from ..bad_input.place import ASKED, Place
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


def attempt(command: Callable, p: Place, forge: Forge, kills: int, draw: random.Random) -> None:
    """Killed at so many of the times it touches the folder, and as often at any time; each time started again."""
    outputs, read = OUTPUTS[command]
    run = forge.run
    if command is append:
        assert run(prepare_(p), p.folder) == 0
    began = time.monotonic()
    code = run(command(p), p.folder)
    lasts, touches = time.monotonic() - began, forge.touches
    assert code in (0, 1)  # 1: a restart that NEMO would stumble over
    wanted = {name: read(p.folder / name) for name in outputs}
    names = {f.name for f in p.folder.iterdir()}
    places = [touches, *draw.sample(range(1, touches), min(kills, touches) - 1)]
    for kill in [*({"kill_at": n} for n in places), *({"kill_after": draw.uniform(0, lasts)} for _ in range(kills))]:
        for name in outputs:
            atomic.remove(p.folder / name)
        begun: dict[str, str] = {}
        if command is append:
            assert run(prepare_(p), p.folder) == 0
            begun = {name: read(p.folder / name) for name in outputs}
        killed = run(command(p), p.folder, **kill)
        assert killed == -signal.SIGKILL if "kill_at" in kill else killed in (-signal.SIGALRM, code), kill
        for name in outputs:
            if (p.folder / name).exists():
                assert read(p.folder / name) in (wanted[name], begun.get(name)), f"half of {name} after {kill}"
        assert run(command(p), p.folder) == code, kill
        assert {name: read(p.folder / name) for name in outputs} == wanted, kill
        assert {f.name for f in p.folder.iterdir()} == names, f"litter after {kill}"


@pytest.mark.reliability("R18")
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_command_killed_anywhere_and_started_again_ends_as_if_nothing_had_been(command, place, forge):
    attempt(command, place, forge, 2, random.Random(0))


@pytest.mark.slow
@pytest.mark.reliability("R18")
@pytest.mark.parametrize("command", OUTPUTS)
def test_a_command_killed_fifty_times_and_started_again_ends_as_if_nothing_had_been(command, place, forge):
    attempt(command, place, forge, 25, random.Random(1))


class Killed(BaseException):
    pass


def killed_at_the_second_state(monkeypatch, act: Callable) -> list[int]:
    """Steps that are read, from here on; ``act`` ends when it first comes to the second."""
    read, steps = Source.read, []

    def read_until_the_second(self, name, step):
        if step == 1 and -1 not in steps:
            steps.append(-1)
            raise Killed
        steps.append(step)
        return read(self, name, step)

    monkeypatch.setattr(Source, "read", read_until_the_second)
    with pytest.raises(Killed):
        act()
    return steps


def test_prepare_goes_on_behind_the_states_that_it_has_written(place, monkeypatch):
    sources, mesh = [place.folder / "run.nc"], place.folder / "mesh_mask.nc"
    prepare(sources, place.folder / "whole.zarr", mesh)
    steps = killed_at_the_second_state(monkeypatch, lambda: prepare(sources, place.folder / "parts.zarr", mesh))
    first = len(steps)
    prepare(sources, place.folder / "parts.zarr", mesh)
    assert steps[first:].count(0) <= 1  # of five variables: to see whether columns repeat, not to write it again
    assert open_states(place.folder / "parts.zarr").equals(open_states(place.folder / "whole.zarr"))


@pytest.mark.parametrize("before", [True, False])
def test_a_part_is_not_gone_on_with_when_what_it_was_to_add_to_has_come_or_gone(before, place, monkeypatch):
    out, mesh = place.folder / "new.zarr", place.folder / "mesh_mask.nc"
    first = partial(prepare, [place.folder / "run.nc"], out, mesh, setting="first")
    second = partial(first, setting="second", split="test", append=True)
    if before:
        first()
    killed_at_the_second_state(monkeypatch, second)
    if before:
        atomic.remove(out)
    else:
        with published(place.folder / "elsewhere") as other:  # the part stays where it is
            prepare([place.folder / "run.nc"], other, mesh, setting="first")
        os.rename(place.folder / "elsewhere", out)
    second()
    assert open_states(out).setting.values.tolist() == ["first", "first"] * (not before) + ["second", "second"]


def test_the_same_prepare_again_adds_nothing_twice(place):
    for command in (prepare_, append, append):
        cli.main([str(a) for a in command(place)])
    states = open_states(place.folder / "new.zarr")
    assert states.setting.values.tolist() == ["run", "run", "second", "second"]
    before = contents(place.folder / "new.zarr")
    cli.main([str(a) for a in prepare_(place)])
    assert contents(place.folder / "new.zarr") == before


def simulate(p: Place) -> list:
    return ["simulate", p.folder / "campaign", "--train", "1"]


def spinup(p: Place) -> list:
    model, states = ROOT / "pretrained/dino-coarse", ROOT / "data/dino-coarse"
    return ["spinup", model, states, "rn_ztau0=0.2", "rn_tstar_n=5", "rn_avt0=3e-5", "--out", p.folder / "loop"]


def demo(p: Place) -> list:
    return ["demo", "--out", p.folder / "demo"]


@pytest.mark.reliability("R18")
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


def test_a_failed_command_leaves_its_old_output_as_it_was(place, monkeypatch):
    cli.main([str(a) for a in evaluate(place)])
    before = contents(place.folder / "m.json")
    monkeypatch.setattr("ldm_ocean.metrics.evaluation.score_states", lambda *_: {"wind": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        cli.main([str(a) for a in evaluate(place)])
    assert contents(place.folder / "m.json") == before and json.loads((place.folder / "m.json").read_text())
