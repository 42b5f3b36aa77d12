"""What disks and people do to checkpoints, and pickles in their place."""

import contextlib
import json
import os
import pickle
import random
import resource
import shutil
from pathlib import Path

import numcodecs
import pytest
import torch
import xarray as xr
import zarr

from ldm_ocean import artefacts, checkpoint, engine, open_states
from ldm_ocean.config import VaeConfig, load
from ldm_ocean.data.latents import open_latents, write_latents
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.prepare import prepare

from ..bad_input.place import Place
from ..test_engine import CONFIG, Line
from .processes import BATCH, Trouble, arguments, output, train
from .small import contents, parts, save

FILES = (*checkpoint.FILES, checkpoint.SUMS)


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
    with disk_of(size), pytest.raises(UserError, match=f"cannot write checkpoint {tmp_path / f'{2:010d}'}"):
        save(tmp_path, 2)
    assert contents(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == [f"{1:010d}"]


@pytest.mark.reliability("R10")
def test_where_nothing_may_be_written_likewise(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 1)
    before = contents(folder)
    with read_only(folder), pytest.raises(UserError, match=f"cannot write checkpoint checkpoints/{2:010d}"):
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
        with pytest.raises(UserError, match=f"cannot write checkpoint checkpoints/{2:010d}"):
            save(Path(folder.name), 2)
    assert len(written) > files
    assert {k: v for k, v in contents(folder).items() if not k.startswith(".")} == before
    assert checkpoint.newest(folder) == folder / f"{1:010d}"
    save(folder, 2)
    assert sorted(p.name for p in folder.iterdir()) == [f"{1:010d}", f"{2:010d}"]


@pytest.mark.reliability("R10")
@pytest.mark.parametrize(("every", "what"), [(8, "checkpoint "), (1000, "")])
def test_a_training_that_cannot_save_or_publish_ends_with_one_line_and_exit_code_2(every, what, road, tmp_path):
    command = arguments(road, "diffusion", f"train.checkpoint_every={every}")
    assert train("diffusion", command, tmp_path, trouble=[Trouble(3 * BATCH, "full")]) == [2], output(tmp_path)
    last = output(tmp_path).splitlines()[-1]
    assert last.startswith(f"error: cannot write {what}{tmp_path}")
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


PARTS = [f"{name}.{suffix}" for name in ("codec", "generator") for suffix in ("json", "safetensors")]


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
    denoiser, scaler, about = artefacts.load_generator(road["diffusion"], codec)
    artefacts.save_codec(tmp_path, codec)
    artefacts.save_generator(tmp_path, denoiser, scaler, {**about, "curve": "flow"})
    assert artefacts.load_generator(tmp_path, codec)[2]["curve"] == "flow"


@pytest.mark.parametrize("publish", ["a model", "a checkpoint"])
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
    else:
        save(tmp_path, 1)
    names = [n for n, event in enumerate(events) if event[0] == "name"]
    assert len(names) == (2 if publish == "a model" else 1)
    for n in names:
        _, temporary, final = events[n]
        inside = {temporary / p.name for p in final.iterdir()} if final.is_dir() else set()
        assert {temporary} | inside <= {event[1] for event in events[:n] if event[0] == "sync"}
    assert ("sync", tmp_path) in events[names[-1] :]


class Malice:
    """Leaves ``mark`` when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(params=["pickle", "torch"])
def malice(request, tmp_path):
    """(bytes of a pickle, the mark it leaves); that the mark would be left is tried first."""
    mark, file = tmp_path / "mark", tmp_path / "malice"
    if request.param == "pickle":
        file.write_bytes(pickle.dumps(Malice(mark)))
        pickle.loads(file.read_bytes())
    else:
        torch.save(Malice(mark), file)
        torch.load(file, weights_only=False)
    mark.unlink()
    yield file.read_bytes()
    assert not mark.exists()


@pytest.mark.reliability("R13")
@pytest.mark.parametrize("file", FILES)
def test_a_pickle_in_a_checkpoint_is_refused_even_with_the_right_digests(file, malice, tmp_path):
    path = save(tmp_path / "checkpoints", 1)
    (path / file).write_bytes(malice)
    if file != checkpoint.SUMS:
        (path / checkpoint.SUMS).write_bytes(checkpoint._sums(path))
        assert checkpoint.newest(path.parent) == path
        with pytest.raises(UserError, match=str(path)):
            checkpoint.load(path, *parts())
    else:
        with pytest.warns(UserWarning), pytest.raises(UserError):
            checkpoint.newest(path.parent)


@pytest.mark.reliability("R13")
@pytest.mark.parametrize("file", PARTS)
def test_a_pickle_in_a_published_model_is_refused(file, malice, road, tmp_path):
    shutil.copytree(road["diffusion"] / "best", tmp_path / "best")
    (tmp_path / "best" / file).write_bytes(malice)
    with pytest.raises(UserError, match=str(tmp_path)):
        artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))


@pytest.mark.reliability("R13")
def test_python_in_a_configuration_is_refused(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "model.yaml").write_text(f"channels: !!python/object/apply:pathlib.Path.touch [{mark}]\n")
    with pytest.raises(UserError, match=r"model.yaml"):
        load(VaeConfig, "vae", [f"model={tmp_path / 'model.yaml'}"])
    assert not mark.exists()


FILTERS = [["pickle"], ["vlen-utf8", "pickle"]]  # Zarr itself wants an object of another codec beside the pickle


def hide_pickles(store: Path, variable: str, mark: Path, filters: list[str]) -> None:
    """Rewrite a store in Zarr's format 2, in which an array may ask for its chunks to be unpickled."""
    old = zarr.open_group(store, mode="r")
    new = zarr.create_group(store.with_suffix(".v2"), zarr_format=2, attributes=dict(old.attrs))
    for name, array in old.arrays():
        dims = array.metadata.dimension_names or ["sample"] * array.ndim
        new.create_array(name, data=array[:], attributes={**array.attrs, "_ARRAY_DIMENSIONS": list(dims)})
    shutil.rmtree(store)
    new.store.root.rename(store)
    metadata = json.loads((store / variable / ".zarray").read_text())
    metadata |= {"dtype": "|O", "filters": [{"id": f} for f in filters], "compressor": None, "fill_value": None}
    (store / variable / ".zarray").write_text(json.dumps(metadata))
    (store / variable / "0").write_bytes(pickle.dumps(Malice(mark)))


@pytest.fixture
def unpickling(monkeypatch):
    """The guard of numcodecs is down: what refuses is our own."""
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True)


@pytest.mark.reliability("R13")
def test_such_a_pickle_would_be_executed(road, tmp_path, unpickling):
    mark, store = tmp_path / "mark", tmp_path / "latents.zarr"
    shutil.copytree(road["latents.zarr"], store)
    hide_pickles(store, "season", mark, FILTERS[1])
    with contextlib.suppress(Exception):
        zarr.open_group(store, mode="r")["season"][:]
    assert mark.exists()


@pytest.mark.reliability("R13")
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("name", ["latents.zarr", "states.zarr"])
def test_an_array_of_pickles_in_a_store_is_refused(name, filters, road, tmp_path, unpickling):
    mark, store = tmp_path / "mark", tmp_path / name
    shutil.copytree(road[name], store)
    hide_pickles(store, "season", mark, filters)
    with pytest.raises(UserError, match=str(store)):
        if name == "states.zarr":
            open_states(store, ["train"])
        else:
            open_latents(store, artefacts.load_codec(road["vae"]))
    assert not mark.exists()


@pytest.mark.reliability("R13")
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("name", ["source", "season"])
def test_to_encode_onto_such_a_store_begins_anew(name, filters, road, tmp_path, unpickling):
    mark, store = tmp_path / "mark", tmp_path / "latents.zarr"
    shutil.copytree(road["latents.zarr"], store)
    hide_pickles(store, name, mark, filters)
    write_latents(store, artefacts.load_codec(road["vae"]), open_states(road["states.zarr"]))
    assert contents(store) == contents(road["latents.zarr"]) and not mark.exists()


@pytest.mark.reliability("R13")
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("slot", ["output", "mesh"])
def test_an_array_of_pickles_in_a_model_s_output_is_refused_by_name(slot, filters, road, tmp_path, unpickling):
    p, mark, store = Place(road, tmp_path), tmp_path / "mark", tmp_path / "run.zarr"
    with xr.open_dataset(p.output(), decode_times=False) as data:
        data.to_zarr(store, consolidated=False)
    hide_pickles(store, "time", mark, filters)
    source, mesh = (store, p.mesh()) if slot == "output" else (p.output(), store)
    with pytest.raises(UserError, match=rf"{store} .*{'time is pickled' if len(filters) > 1 else ''}"):
        prepare([source], tmp_path / "s.zarr", mesh=mesh)
    assert not mark.exists() and not (tmp_path / "s.zarr").exists()
