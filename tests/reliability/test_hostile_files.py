"""Files made to harm: refused in one line, within bounded memory; nothing outside the folder is read or written."""

import json
import re
import shutil
import signal
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from safetensors.torch import load_file, save_file

from ldm_ocean import artefacts, open_states
from ldm_ocean.autoencoder.latents import open_latents, write_latents
from ldm_ocean.commands import cli
from ldm_ocean.errors import UserError
from ldm_ocean.io import untrusted
from ldm_ocean.io.packed import read_packed, write_packed
from ldm_ocean.io.untrusted import open_group

from ..bad_input.place import Place
from ..conftest import CF, small_mesh, small_states
from .small import contents

ROOT = Path(__file__).resolve().parents[2]
PICKLING = re.compile(
    r"\bimport pickle|\bpickle\.|torch\.load\b|allow_pickle|\byaml\.load\((?!text, _Loader)|(?<![.\w])(eval|exec)\("
)

pytestmark = pytest.mark.usefixtures("little_memory")


@pytest.mark.reliability("R13")
def test_no_line_of_ours_can_unpickle_or_run_what_a_file_says():
    files = [*(ROOT / "ldm_ocean").rglob("*.py"), *ROOT.glob("*.py")]
    found = [f"{f.name}: {line}" for f in files for line in f.read_text().splitlines() if PICKLING.search(line)]
    assert len(files) > 100 and not found


def test_the_search_for_such_lines_finds_them():
    lines = ["import pickle", "np.load(f, allow_pickle=True)", "torch.load(f)", "yaml.load(f)", "eval(text)"]
    assert all(PICKLING.search(line) for line in lines)


# --- safetensors and their JSON


def header(**entries) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS = {
    "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10**8) + b"{}",
    "offsets beyond the file": header(a=TENSOR | {"shape": [2**40], "data_offsets": [0, 2**42]}) + bytes(8),
    "overlapping tensors": header(a=TENSOR, b=TENSOR) + bytes(8),
    "offsets backwards": header(a=TENSOR | {"data_offsets": [8, 0]}) + bytes(8),
    "a shape of NaN": header(a=TENSOR).replace(b"[2]", b"NaN") + bytes(8),
    "a negative shape": header(a=TENSOR | {"shape": [-2]}) + bytes(8),
    "a shape that overflows": header(a=TENSOR | {"shape": [2**62, 4]}) + bytes(8),
    "a shape that is not its bytes": header(a=TENSOR | {"shape": [2**30]}) + bytes(8),
    "no tensors": header(),
    "nothing": b"",
}


@pytest.fixture
def model(road, tmp_path) -> Path:
    folder = Path(shutil.copytree(road["diffusion"] / "best", tmp_path / "model"))
    for name in ("codec", "generator"):  # without the sums, which would tell at once
        change(folder / f"{name}.json", lambda about: about.pop("sha256"))
        save_file(load_file(folder / f"{name}.safetensors"), folder / f"{name}.safetensors")
    return folder


def change(path: Path, how) -> None:
    about = json.loads(path.read_text())
    how(about)
    path.write_text(json.dumps(about))


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("name", ["codec", "generator"])
def test_a_hostile_safetensors_header_is_one_line(case, name, model):
    (model / f"{name}.safetensors").write_bytes(HEADERS[case])
    with pytest.raises(UserError, match=f"no readable {name}"):
        artefacts.load_generator(model, artefacts.load_codec(model))


NETWORKS = {
    "wide": {"widths": [10**7]},
    "deep": {"blocks": [10**7]},
    "wide latents": {"channels": 10**9},
    "huge strides": {"strides": [[10**6, 10**6, 10**6]]},
    "negative": {"widths": [-8]},
    "no number": {"widths": "many"},
    "other names": {"wodths": [8]},
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_model_that_claims_a_network_without_the_weights_for_it_is_one_line(case, model):
    change(model / "codec.json", lambda about: about["shape"].update(NETWORKS[case]))
    with pytest.raises(UserError, match="no readable codec"):
        artefacts.load_codec(model)


@pytest.mark.parametrize("claim", [{"shape": {"width": 2**20, "depth": 1, "heads": 2}}, {"shape": 7}])
def test_so_is_a_generator(claim, model):
    change(model / "generator.json", lambda about: about.update(claim))
    with pytest.raises(UserError, match="no readable generator"):
        artefacts.load_generator(model, artefacts.load_codec(model))


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", '{"schema": 1}', "[" * 100_000, '{"schema": NaN}'])
def test_json_of_another_form_is_one_line(text, model):
    (model / "codec.json").write_text(text)
    with pytest.raises(UserError, match="codec"):
        artefacts.load_codec(model)


# --- Zarr


def bomb(store: Path, name: str, **claims) -> None:
    change(store / name / "zarr.json", lambda about: about.update(claims))


def grid_of(*shape) -> dict:
    return {"name": "regular", "configuration": {"chunk_shape": shape}}


BOMBS = {
    "a huge shape": {"shape": [10**12]},
    "a shape that overflows": {"shape": [2**62]},
    "a huge chunk": {"chunk_grid": grid_of(10**12)},
    "a negative shape": {"shape": [-1]},
    "a shape of NaN": {"shape": [float("nan")]},
    "more axes": {"shape": [10**6, 10**6], "chunk_grid": grid_of(10**6, 10**6)},
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_latent_store_that_claims_what_it_has_not_is_one_line(case, road, tmp_path):
    store = Path(shutil.copytree(road["latents.zarr"], tmp_path / "l.zarr"))
    bomb(store, "season", **BOMBS[case])
    with pytest.raises(UserError, match="not a readable latent store"):
        open_latents(store, artefacts.load_codec(road["vae"]))


@pytest.mark.parametrize("name", ["season", "toce", "tmask"])
@pytest.mark.parametrize("case", BOMBS)
def test_a_state_store_likewise(case, name, road, tmp_path):
    store = Path(shutil.copytree(road["states.zarr"], tmp_path / "s.zarr"))
    bomb(store, name, **BOMBS[case])
    with pytest.raises(UserError, match="not a state store"):
        open_states(store)


@pytest.fixture
def soon():
    """Still at work after 20 seconds: failed, for a file of kilobytes."""

    def late(*_):
        pytest.fail("still at work")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["season", "source", "latent"])
@pytest.mark.parametrize("case", BOMBS)
def test_to_encode_onto_such_a_store_begins_anew(case, name, road, tmp_path, soon):
    store = Path(shutil.copytree(road["latents.zarr"], tmp_path / "l.zarr"))
    bomb(store, name, **BOMBS[case])
    write_latents(store, artefacts.load_codec(road["vae"]), open_states(road["states.zarr"]))
    assert contents(store) == contents(road["latents.zarr"])


def foreign(p: Place, zarr_format: int) -> Path:
    """Ocean model output in Zarr."""
    with xr.open_dataset(p.output(), decode_times=False) as data:
        data.to_zarr(p.folder / "run.zarr", zarr_format=zarr_format, consolidated=False)
    return p.folder / "run.zarr"


def long(store: Path, names: set[str], size: int) -> Path:
    """The first axis of these arrays claims ``size`` entries."""
    files = [f for name in names for f in (store / name / "zarr.json", store / name / ".zarray") if f.exists()]
    assert len(files) == len(names)
    for file in files:
        change(file, lambda about: about.update(shape=[size, *about["shape"][1:]]))
    return store


def refused(arguments: list, capsys) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    return line


@pytest.mark.parametrize("command", ["prepare", "mesh", "evaluate"])
@pytest.mark.parametrize("size", [10**5, 6 * 10**7, 10**12])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_output_of_a_model_in_zarr_that_claims_what_it_has_not_is_one_line(
    zarr_format, size, command, road, tmp_path, capsys, soon
):
    p = Place(road, tmp_path)
    store = foreign(p, zarr_format)
    long(store, {"time", *CF} if size > 10**6 else {*CF}, size)
    arguments = {
        "prepare": ["prepare", store, "--mesh", p.mesh(), "--out", p.folder / "s.zarr"],
        "mesh": ["prepare", p.output(), "--mesh", store, "--out", p.folder / "s.zarr"],
        "evaluate": ["evaluate", store, "--mesh", p.mesh(), "--out", p.folder / "m.json"],
    }[command]
    line = refused(arguments, capsys)
    assert line.startswith(f"error: {store} is neither") and re.search(
        r"\(\w+ claims .* bytes and has next to none", line
    )
    assert not (p.folder / "s.zarr").exists()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_without_bytes_is_read_where_another_explains_its_size(zarr_format, road, tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "EXPANSION", 1)
    monkeypatch.setattr(untrusted, "SMALL", 0)
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    noise = np.random.default_rng(0).normal(size=4000)
    for name, values in {"noise": noise, "nothing": np.zeros(4000)}.items():
        group.create_array(name, data=values, compressors=None)
    assert not [f for f in (tmp_path / "a.zarr" / "nothing").rglob("*") if f.is_file() and f.stat().st_size > 2000]
    assert set(open_group(tmp_path / "a.zarr", zarr_format=None)) == {"noise", "nothing"}
    group.create_array("more", shape=4001, dtype="float64", chunks=4001)
    with pytest.raises(ValueError, match="more claims"):
        open_group(tmp_path / "a.zarr", zarr_format=None)


def test_metadata_that_names_arrays_elsewhere_is_not_followed(road, tmp_path):
    store = Path(shutil.copytree(road["states.zarr"], tmp_path / "s.zarr"))
    shutil.move(store / "toce", tmp_path / "toce")
    about = json.loads((tmp_path / "toce" / "zarr.json").read_text())
    inline = {"kind": "inline", "must_understand": False, "metadata": {"../toce": about, "toce": about}}
    change(store / "zarr.json", lambda d: d.update(consolidated_metadata=inline))
    assert "toce" not in set(open_group(store).array_keys()) | set(open_states(store).data_vars)


def packed_bomb(path: Path) -> None:
    """A zip whose array of zeros claims a terabyte."""
    states = small_states(1)[["toce"]].reset_coords(drop=True)
    write_packed(path, states.drop_vars(list(states.coords)), small_mesh())
    content = {}
    with zipfile.ZipFile(path) as old:
        content = {n: old.read(n) for n in old.namelist()}
    about = json.loads(content["toce/zarr.json"])
    about |= {"shape": [10**12, 1], "chunk_grid": grid_of(10**12, 1)}
    content["toce/zarr.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(path, "w") as new:
        for name, data in content.items():
            new.writestr(name, data)


def test_a_packed_file_likewise(tmp_path):
    packed_bomb(tmp_path / "a.zarr.zip")
    with pytest.raises(ValueError, match="toce claims"):
        read_packed(tmp_path / "a.zarr.zip", small_mesh())


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", "..", ""])
def test_a_setting_whose_name_leads_elsewhere_is_refused_from_every_source(name, tmp_path, road):
    (tmp_path / "packed").mkdir()
    about = {"settings": [{"name": name, "split": "train"}], "days_per_year": 360, "ranges": {}, "model": ""}
    (tmp_path / "packed" / "manifest.json").write_text(json.dumps(about))
    states = small_states().drop_vars("setting").assign_coords(setting=("sample", np.full(24, name)))
    states.to_zarr(tmp_path / "s.zarr", consolidated=False)
    for path in (tmp_path / "packed", tmp_path / "s.zarr"):
        with pytest.raises(UserError, match="without slashes"):
            open_states(path)
    p = Place(road, tmp_path)
    asked = ["prepare", p.output(), "--mesh", p.mesh(), "--out", p.folder / "n.zarr", f"--setting={name}"]
    if name:  # an empty one is the file's own
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in asked])
        assert end.value.code == 2 and not (p.folder / "n.zarr").exists()
