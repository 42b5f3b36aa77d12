"""What disks and people do to checkpoints and models."""

import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ldm_ocean import artefacts
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.generative.generator import Generator
from ldm_ocean.io.atomic import write_text
from ldm_ocean.training import checkpoint, engine

from ..training.test_engine import CONFIG, Line
from .processes import BATCH, ROOT, Trouble, arguments, output, train
from .small import FILES, PARTS, contents, save


@contextlib.contextmanager
def disk_of(size: int):
    """No file may grow beyond ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(folder: Path):
    """Nothing may be written in ``folder``, by root neither; the working directory is the folder above."""
    here, user = Path.cwd(), os.geteuid()
    folder.parent.chmod(0o755)
    folder.chmod(0o555)
    os.chdir(folder.parent)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        os.chdir(here)
        folder.chmod(0o755)


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("size", [0, 100, 200, 400, 600])
def test_on_a_full_disk_one_error_names_the_path_and_the_older_checkpoint_is_as_it_was(size, tmp_path):
    save(tmp_path, 1)
    before = contents(tmp_path)
    with disk_of(size), pytest.raises(UserError, match=f"cannot write {tmp_path / f'{2:010d}'}"):
        save(tmp_path, 2)
    assert contents(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == [f"{1:010d}"]


@pytest.mark.reliability("R10")
def test_where_nothing_may_be_written_likewise(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 1)
    before = contents(folder)
    with read_only(folder), pytest.raises(UserError, match=f"cannot write checkpoints/{2:010d}"):
        save(Path(folder.name), 2)
    assert contents(folder) == before


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("files", [1, 2])
def test_where_nothing_may_be_written_any_more_in_mid_save_likewise(files, tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    save(folder, 1)
    before, written, save_file = contents(folder), [], checkpoint.save_file
    with contextlib.ExitStack() as until_then:

        def save_some(tensors, path):
            if len(written) == files:
                until_then.enter_context(read_only(folder))
            written.append(path)
            save_file(tensors, path)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(checkpoint, "save_file", save_some)
        with pytest.raises(UserError, match=f"cannot write checkpoints/{2:010d}"):
            save(Path(folder.name), 2)
    assert len(written) > files
    assert {k: v for k, v in contents(folder).items() if not k.startswith(".")} == before
    assert checkpoint.newest(folder) == folder / f"{1:010d}"
    save(folder, 2)
    assert sorted(p.name for p in folder.iterdir()) == [f"{1:010d}", f"{2:010d}"]


@pytest.mark.reliability("R10")
@pytest.mark.parametrize(("every", "what"), [(8, "checkpoints"), (1000, "best")])
def test_a_training_that_cannot_save_or_publish_ends_with_one_line_and_exit_code_2(every, what, road, tmp_path):
    command = arguments(road, "diffusion", f"train.checkpoint_every={every}")
    assert train("diffusion", command, tmp_path, trouble=[Trouble(3 * BATCH, "full")]) == [2], output(tmp_path)
    last = output(tmp_path).splitlines()[-1]
    assert last.startswith(f"error: cannot write {tmp_path / what}")
    assert "Traceback" not in output(tmp_path)


@pytest.mark.reliability("R10")
def test_a_log_that_cannot_be_written_ends_the_training_with_its_path(tmp_path):
    task = Line()

    def validate():
        (tmp_path / "log.jsonl").unlink()
        (tmp_path / "log.jsonl").symlink_to("/dev/full")
        return Line.validate(task)

    task.validate = validate
    with pytest.raises(UserError, match=rf"cannot write {tmp_path / 'log.jsonl'} \(No space left on device\): free"):
        engine.fit(task, CONFIG, tmp_path)


@pytest.mark.reliability("R10")
def test_a_full_disk_is_one_line_wherever_it_is_met(tmp_path, capsys):
    def fill():
        (tmp_path / "out").write_text("longer than the disk")

    with disk_of(4), pytest.raises(SystemExit) as end:
        exit_politely(fill)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith("error: cannot write the output (File too large): free disk space")


@pytest.mark.reliability("R10")
@pytest.mark.parametrize("what", ["write_states(states, out)", "write_restart(out, states.isel(sample=[0]), grid)"])
@pytest.mark.parametrize("size", [0, 100, 10_000])
def test_a_disk_that_is_full_while_netcdf_is_written_is_one_line_and_exit_code_2(what, size, tmp_path):
    """In a process of its own: libraries may crash as the interpreter ends."""
    lines = [
        "import resource, signal, sys",
        "from pathlib import Path",
        "from ldm_ocean.errors import exit_politely",
        "from ldm_ocean.io.nemo import write_restart",
        "from ldm_ocean.io.states import write_states",
        "from ldm_ocean.ocean.grid import OceanGrid",
        "from tests.conftest import small_states",
        "states, out = small_states(), Path(sys.argv[1])",
        "grid = OceanGrid.from_dataset(states)",
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))",
        f"exit_politely(lambda: {what})",
    ]
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(lines), tmp_path / "a_restart.nc"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith(f"error: cannot write {tmp_path / 'a_restart.nc'} ("), line
    assert not list(tmp_path.iterdir())


def damaged(file: Path, how: str, where: int) -> None:
    """Flip bit number ``where``, cut off all but ``where`` bytes, or delete."""
    content = bytearray(file.read_bytes())
    if how == "flip":
        content[where // 8] ^= 1 << where % 8
        file.write_bytes(content)
    elif how == "truncate":
        file.write_bytes(content[:where])
    else:
        file.unlink()


def places(file: Path, how: str, times: int) -> list[int]:
    """So many different places to damage a file at, for ever the same; there is one way only to delete it."""
    ways = {"flip": 8 * file.stat().st_size, "truncate": file.stat().st_size, "delete": 1}[how]
    return random.Random(f"{file.name} {how}").sample(range(ways), min(times, ways))


HOW = pytest.mark.parametrize("how", ["flip", "truncate", "delete"])
MANY = 20  # 5 files of a checkpoint x (20 flips + 20 truncations + 1 deletion) = 205 cases, no two the same


@pytest.mark.reliability("R12")
@pytest.mark.parametrize("times", [1, pytest.param(MANY, marks=pytest.mark.slow)])
@HOW
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning_that_names_the_file(file, how, times, tmp_path):
    older, newer = (save(tmp_path, samples) for samples in (1, 2))
    sound = contents(newer)
    for where in places(newer / file, how, times):
        damaged(newer / file, how, where)
        with pytest.warns(UserWarning, match=f"{newer} is damaged"):
            assert checkpoint.newest(tmp_path) == older
        if file != checkpoint.SUMS:
            assert file in checkpoint.damage(newer)
        for name, content in sound.items():
            (newer / name).write_bytes(content)
        assert checkpoint.newest(tmp_path) == newer


@pytest.mark.reliability("R12")
def test_there_are_two_hundred_different_cases(tmp_path):
    path = save(tmp_path, 1)
    cases = {(file, how, n) for file in FILES for how in ("flip", "truncate") for n in places(path / file, how, MANY)}
    assert len(cases) + len(FILES) >= 200


@pytest.mark.reliability("R12")
def test_when_none_is_undamaged_the_run_stops_and_leaves_them_alone(tmp_path):
    for samples in (1, 2):
        damaged(save(tmp_path, samples) / "model.safetensors", "flip", 1000)
    before = contents(tmp_path)
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(UserError, match=f"no checkpoint in {tmp_path}"):
        checkpoint.newest(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.reliability("R12")
def test_a_run_that_falls_back_ends_as_if_nothing_had_happened_and_replaces_what_was_damaged(tmp_path):
    whole, again = Line(), Line()
    engine.fit(whole, CONFIG, tmp_path)
    last = tmp_path / "checkpoints" / f"{CONFIG.samples:010d}"
    before = contents(tmp_path / "checkpoints")
    damaged(last / "optimiser.safetensors", "flip", 1000)
    with pytest.warns(UserWarning, match="optimiser.safetensors not as written"):
        engine.fit(again, CONFIG, tmp_path)
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert contents(tmp_path / "checkpoints") == before


@pytest.mark.reliability("R12")
@pytest.mark.parametrize("times", [1, pytest.param(MANY, marks=pytest.mark.slow)])
@HOW
@pytest.mark.parametrize("file", PARTS)
def test_a_damaged_model_is_refused_where_its_path_is_named(file, how, times, road, tmp_path):
    for where in places(road["diffusion"] / "best" / file, how, times):
        shutil.copytree(road["diffusion"] / "best", tmp_path, dirs_exist_ok=True)
        damaged(tmp_path / file, how, where)
        with pytest.raises(UserError, match=str(tmp_path)):
            artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))


EDITS = {
    "another curve": ("generator", lambda about: about.update(curve="flow")),
    "parameters in another order": ("generator", lambda about: about["parameters"].reverse()),
    "a parameter of another name": ("generator", lambda about: about["parameters"].__setitem__(0, "another")),
    "another equation of state": ("codec", lambda about: about.update(equation_of_state="another")),
    "the sum of the tensors by another name": ("codec", lambda about: about.update(sha257=about.pop("sha256"))),
    "a word more": ("codec", lambda about: about.update(note="")),
}


@pytest.mark.reliability("R12")
@pytest.mark.parametrize("case", EDITS)
def test_a_model_whose_json_was_edited_is_refused_by_the_name_of_the_file(case, road, tmp_path):
    name, edit = EDITS[case]
    shutil.copytree(road["diffusion"] / "best", tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"{name}.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about, indent=3))  # the same, said otherwise
    artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))
    edit(about)
    path.write_text(json.dumps(about, indent=1))
    with pytest.raises(UserError, match=f"{path} was altered: copy or train it again"):
        artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))


@pytest.mark.reliability("R12")
def test_a_model_that_is_published_again_has_sums_of_its_own(road, tmp_path):
    codec = artefacts.load_codec(road["diffusion"])
    old = artefacts.load_generator(road["diffusion"], codec)
    artefacts.save_codec(tmp_path, codec)
    artefacts.save_generator(tmp_path, Generator(old.denoiser, old.scaler, {**old.about, "curve": "flow"}))
    assert artefacts.load_generator(tmp_path, codec).about["curve"] == "flow"


@pytest.mark.parametrize("publish", ["a model", "a checkpoint", "a text"])
def test_what_is_published_is_on_the_disk_before_it_has_its_name_and_the_name_before_the_end(
    publish, road, tmp_path, monkeypatch
):
    codec, events = artefacts.load_codec(road["vae"]), []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append(("name", Path(a), Path(b))), replace(a, b)))
    monkeypatch.setattr(
        os, "fsync", lambda d: (events.append(("sync", Path(f"/proc/self/fd/{d}").readlink())), fsync(d))
    )
    if publish == "a model":
        artefacts.save_codec(tmp_path, codec)
    elif publish == "a checkpoint":
        save(tmp_path, 1)
    else:
        write_text(tmp_path / "scores.json", "{}")
    names = [n for n, event in enumerate(events) if event[0] == "name"]
    assert len(names) == (2 if publish == "a model" else 1)
    for n in names:
        _, temporary, final = events[n]
        inside = {temporary / p.name for p in final.iterdir()} if final.is_dir() else set()
        assert {temporary} | inside <= {event[1] for event in events[:n] if event[0] == "sync"}
    assert ("sync", tmp_path) in events[names[-1] :]
