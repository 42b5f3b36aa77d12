"""Parts of different runs never meet in silence: whatever differs between two stages, both hashes are shown."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ldm_ocean import OceanLDM, artefacts
from ldm_ocean.autoencoder.codec import Codec
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.commands import cli
from ldm_ocean.errors import UserError
from ldm_ocean.ocean.fields import Fields

from ..bad_input.place import Place, sample
from ..conftest import small_states

pytestmark = pytest.mark.reliability("R17")


def mesh_with(name: str, change: Callable) -> Callable[[Codec], Codec]:
    """A codec that differs in one array of the mesh."""

    def build(codec: Codec) -> Codec:
        mesh = {**codec.grid.mesh, name: change(codec.grid.mesh[name].copy())}
        return rebuilt(codec, grid=replace(codec.grid, mesh=mesh))

    return build


def rebuilt(codec: Codec, **parts) -> Codec:
    other = Autoencoder(parts.get("fields", codec.fields), parts.get("grid", codec.grid), **codec.hyperparameters)
    own = {k: v for k, v in codec.state_dict().items() if other.state_dict()[k].shape == v.shape}
    other.load_state_dict({**other.state_dict(), **own})
    return other.eval()


def with_buffer(name: str) -> Callable[[Codec], Codec]:
    """A codec that differs in one number of one buffer or weight."""

    def build(codec: Codec) -> Codec:
        other = copy.deepcopy(codec)
        tensor = other.state_dict()[name]
        tensor.view(-1)[-1] += 1e-3 * (1 + tensor.abs().max())
        return other

    return build


def drowned(mask: np.ndarray) -> np.ndarray:
    mask[0, 6, 6] = ~mask[0, 6, 6]
    return mask


def moved(values: np.ndarray) -> np.ndarray:
    return values * 1.001


def order(codec: Codec) -> Codec:
    return rebuilt(codec, fields=Fields(reversed(codec.fields)))


def without_one(codec: Codec) -> Codec:
    return rebuilt(codec, fields=Fields(codec.fields[:-1]))


def closed(codec: Codec) -> Codec:
    return rebuilt(codec, grid=replace(codec.grid, periodic_x=False))


DIFFERENT: dict[str, Callable[[Codec], Codec]] = {
    "tmask": mesh_with("tmask", drowned),
    "umask": mesh_with("umask", drowned),
    "vmask": mesh_with("vmask", drowned),
    "latitudes": mesh_with("nav_lat", moved),
    "longitudes": mesh_with("nav_lon", moved),
    "depths": mesh_with("gdept", moved),
    "thickness": mesh_with("e3t", moved),
    "width of cells": mesh_with("e1v", moved),
    "whether x is periodic": closed,
    "order of the variables": order,
    "number of the variables": without_one,
    "mean state": with_buffer("normaliser.mean"),
    "scale of the anomalies": with_buffer("normaliser.scale"),
    "scale of their steps": with_buffer("normaliser.step_scale"),
    "mean of the latents": with_buffer("token_mean"),
    "scale of the latents": with_buffer("channel_scale"),
    "one weight": with_buffer("head.weight"),
}


@pytest.fixture(scope="module")
def codec(road) -> Codec:
    return artefacts.load_codec(road["diffusion"])


def test_there_is_something_to_change(codec):
    assert set(codec.state_dict()) >= {"normaliser.mean", "normaliser.scale", "token_mean", "head.weight"}


@pytest.mark.parametrize("what", DIFFERENT)
def test_latents_and_generator_refuse_a_codec_that_differs_with_both_hashes(what, codec, road, tmp_path):
    other = DIFFERENT[what](codec)
    assert other.digest != codec.digest
    folder = shutil.copytree(road["diffusion"] / "best", tmp_path / "model")
    artefacts.save_codec(folder, other)
    for meet in (lambda: open_latents(road["latents.zarr"], other), lambda: OceanLDM.from_pretrained(folder)):
        with pytest.raises(UserError) as refused:
            meet()
        assert other.digest[:12] in str(refused.value) and codec.digest[:12] in str(refused.value)


GRIDS = {k: v for k, v in DIFFERENT.items() if k in [*DIFFERENT][:9]}


@pytest.mark.parametrize("command", ["encode", "evaluate", "context"])
@pytest.mark.parametrize("what", GRIDS)
def test_every_command_refuses_states_on_another_grid_with_both_hashes(what, command, codec, road, tmp_path, capsys):
    theirs = GRIDS[what](codec).grid
    states = small_states()
    mesh = theirs.to_dataset()
    states.assign(mesh.data_vars).assign_attrs(mesh.attrs).to_zarr(tmp_path / "s.zarr", consolidated=False)
    p = Place(road, tmp_path)
    arguments = {
        "encode": ["encode", tmp_path / "s.zarr", "--codec", p.vae, "--out", tmp_path / "l.zarr"],
        "evaluate": ["evaluate", tmp_path / "s.zarr", "--model", p.diffusion, "--out", tmp_path / "m.json"],
        "context": [
            *sample(p)[:-4],
            "--out",
            tmp_path / "drawn.zarr",
            "--device",
            "cpu",
            "--context",
            tmp_path / "s.zarr",
        ],
    }[command]
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert theirs.digest[:12] in line and codec.grid.digest[:12] in line
    assert [f.name for f in tmp_path.iterdir()] == ["s.zarr"]


def test_the_digest_does_not_depend_on_anything_else(codec):
    again, x = rebuilt(codec), torch.zeros(1, *codec.masks.shape)
    assert again.digest == codec.digest
    assert torch.equal(again.encode(x), codec.encode(x))
