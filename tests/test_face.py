"""What a notebook calls: a function for each command, which does what the command does."""

import inspect
import json

import numpy as np
import pytest
import torch
import xarray as xr

import ldm_ocean
from ldm_ocean import OceanLDM, encode, evaluate, open_states, plot, restart
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.commands.cli import main
from ldm_ocean.errors import UserError
from ldm_ocean.io.states import members_as_samples
from ldm_ocean.metrics.config import EvaluateConfig

from .conftest import small_mesh
from .nemo_files import save_mesh
from .test_pipeline import ASKED


@pytest.fixture(scope="module")
def model(road) -> OceanLDM:
    return OceanLDM.from_pretrained(road["diffusion"], "cpu")


@pytest.mark.parametrize("name", [n for n in ldm_ocean.__all__ if n != "__version__"])
def test_every_public_name_is_found_and_says_what_it_is(name):
    assert inspect.getdoc(getattr(ldm_ocean, name))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'encoder'"):
        ldm_ocean.encoder  # noqa: B018


@pytest.mark.parametrize("function", [OceanLDM.sample, OceanLDM.sample_latents])
def test_every_argument_of_sampling_has_a_name(function):
    kinds = {p.kind for p in inspect.signature(function).parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_encode_writes_what_the_command_writes(model, road, states, tmp_path):
    encode(states, model.codec, tmp_path / "z.zarr")
    own, of_command = (open_latents(path, model.codec) for path in (tmp_path / "z.zarr", road["latents.zarr"]))
    assert torch.equal(own.values, of_command.values) and own.setting.tolist() == of_command.setting.tolist()
    moved = states.copy(deep=True)
    moved["tmask"][0, 4, 3] = 0
    with pytest.raises(UserError, match="another grid"):
        encode(moved, model.codec, tmp_path / "other.zarr")
    with pytest.raises(UserError, match="add --overwrite"):
        encode(states.isel(sample=slice(4)), model.codec, tmp_path / "z.zarr")
    with pytest.raises(UserError, match="lack the labels split"):
        encode(
            members_as_samples(model.sample(ASKED, members=2, steps=1), "drawn"), model.codec, tmp_path / "other.zarr"
        )
    assert len(open_latents(tmp_path / "z.zarr", model.codec).values) == states.sizes["sample"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="did not write it"):
        encode(states, model.codec, tmp_path / "mine", overwrite=True)
    assert not (tmp_path / "other.zarr").exists() and (tmp_path / "mine").is_dir()


def test_evaluate_gives_what_the_command_writes(model, road, states, tmp_path):
    main(["evaluate", str(road["states.zarr"]), "--out", str(tmp_path / "m.json")])
    written = json.loads((tmp_path / "m.json").read_text())
    described = evaluate(open_states(road["states.zarr"]))
    assert described == {k: v for k, v in written.items() if k in described}
    assert len(described["settings"]) == 6
    drawn = model.sample({k: float(states[k].values[-1]) for k in ASKED}, members=3, steps=2, extrapolate=True)
    scores = evaluate(drawn, reference=states, config=EvaluateConfig(splits=["edge"], members=3))
    assert scores["splits"]["edge"]["scores"]["truth"]["model"]["toce"]["crps"] > 0


@pytest.mark.parametrize("wrong", [{"sample": True}, {"model": "both", "reference": xr.Dataset()}])
def test_evaluate_refuses_what_has_no_meaning(states, wrong):
    with pytest.raises(UserError):
        evaluate(states, **wrong)


def test_plot_draws_the_first_members_with_their_mesh_and_sections_without_a_depth(model):
    drawn = model.sample(ASKED, members=6, steps=1)
    panels = [a.get_title() for a in plot(drawn).axes if "|" in a.get_label()]
    assert panels == ["member 0", "member 1", "member 2", "member 3"]
    section = plot(drawn.isel(member=0), "soce", depth=None).axes[0]
    assert section.get_ylim()[0] > section.get_ylim()[1] == 0  # depth points downwards
    shown = section.collections[0].get_array()
    width, wet = model.grid["e1t"], model.grid["tmask"]
    mean = (drawn.soce[0].fillna(0) * width * wet).sum("x") / (wet * width).sum(-1).clip(1e-9)
    assert np.allclose(np.ma.filled(shown, 0).reshape(mean.shape), mean, atol=1e-4)
    with pytest.raises(UserError, match="did you mean 'toce'"):
        plot(drawn, "tocee")
    for wrong in ({}, {"two": drawn.isel(member=slice(2))}):
        with pytest.raises(UserError, match="one state for each name"):
            plot(wrong)


def test_restart_writes_one_file_a_state_and_never_another_state_over_it(model, states, tmp_path):
    save_mesh(small_mesh(), tmp_path / "mesh_mask.nc")
    drawn = model.sample(ASKED, members=2, steps=1).assign_attrs(equation_of_state="vallis")
    out = tmp_path / "a_restart.nc"
    (one,) = restart(drawn, out, tmp_path / "mesh_mask.nc", members=1, time_step=3600)
    assert one.path == out and one.number == 1 and "nn_it000" in one.namelist
    before = out.read_bytes()
    with pytest.raises(UserError, match="add --overwrite"):
        restart(drawn.isel(member=0), out, tmp_path / "mesh_mask.nc", time_step=3600)
    assert out.read_bytes() == before
    restart(drawn.isel(member=0), out, tmp_path / "mesh_mask.nc", time_step=3600, overwrite=True)
    assert out.read_bytes() != before
    both = restart(drawn, tmp_path / "b_restart.nc", tmp_path / "mesh_mask.nc", time_step=3600)
    assert [s.path.name for s in both] == ["b_m000_restart.nc", "b_m001_restart.nc"]
