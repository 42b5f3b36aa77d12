"""Pickles in the place of whatever we load: none of them is executed."""

import contextlib
import json
import pickle
import shutil
from pathlib import Path

import numcodecs
import pytest
import torch
import xarray as xr
import zarr

from ldm_ocean import artefacts, open_states
from ldm_ocean.autoencoder.latents import open_latents, write_latents
from ldm_ocean.errors import UserError
from ldm_ocean.io.prepare import prepare
from ldm_ocean.training import checkpoint
from ldm_ocean.training.config import VaeConfig, load

from ..bad_input.place import Place
from .small import FILES, PARTS, contents, parts, save


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
