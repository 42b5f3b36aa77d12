"""From store to generated states on the small ocean: store → autoencoder → latents → generator → states."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from ldm_ocean import OceanLDM, artefacts
from ldm_ocean.autoencoder.latents import open_latents, write_latents
from ldm_ocean.errors import UserError
from ldm_ocean.generative.conditions import season_angle
from ldm_ocean.generative.prior import Earlier
from ldm_ocean.io.states import parameters_of
from ldm_ocean.metrics import EofGaussianProcess
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.ocean import adjust
from ldm_ocean.ocean.constraints import Inventory
from ldm_ocean.training import engine
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask

from .conftest import SHORT, SMALL_DIT, SMALL_VAE

ASKED = {"wind": 0.2, "mixing": 4e-5}


@pytest.fixture(scope="module")
def model(road) -> OceanLDM:
    return OceanLDM.from_pretrained(road["diffusion"])


def test_coordinates_attributes_and_dims_survive_encode_and_decode_and_land_is_nan(model, states):
    back = model.decode(model.encode(states), like=states)
    assert dict(back.sizes) == dict(states.sizes)
    for name, coordinate in states.coords.items():
        assert back.coords[name].equals(coordinate)
    for name in model.fields.names:
        assert back[name].dims == states[name].dims
        assert back[name].attrs == states[name].attrs
        assert np.array_equal(np.isnan(back[name]), np.isnan(states[name]))


def test_the_same_seed_and_member_give_the_same_state_whatever_the_batch(model):
    few, many = (model.sample(ASKED, members=m, seed=3) for m in (2, 7))
    for name in model.fields.names:
        assert np.allclose(few[name], many[name].isel(member=slice(2)), atol=1e-4, equal_nan=True)
    other = model.sample(ASKED, members=2, seed=4)
    assert not np.allclose(few.toce, other.toce, equal_nan=True)


def test_a_sample_is_a_cf_data_set_with_its_mesh_and_conditions(model):
    s = model.sample(ASKED, members=2, season=0.25)
    assert s.toce.dims == ("member", "depth", "y", "x")
    assert s.ssh.dims == ("member", "y", "x")
    assert s.toce.attrs["standard_name"] == "sea_water_potential_temperature"
    assert s.attrs["Conventions"].startswith("CF")
    assert float(s.wind) == 0.2 and float(s.season) == 0.25
    assert "tmask" in s and "e3t" in s


def test_a_context_state_changes_what_is_generated(model, states):
    plain = model.sample_latents(ASKED, members=2)
    with_context = model.sample_latents(ASKED, members=2, context=states.isel(sample=[0]))
    assert not torch.equal(plain, with_context)


def _asked_of(model, states):
    asked = model.generator.asked(ASKED).expand(states.sizes["sample"], -1)
    season = season_angle(torch.from_numpy(states.season.values).float())
    return asked, Earlier(model.encode(states), season)


def test_settled_states_keep_what_the_autoencoder_loses_of_them_and_the_season_and_are_told_by_a_seed(model, states):
    short = states.isel(sample=slice(3))
    settled, drawn, again = (model.settle(short, ASKED, seed) for seed in (None, 1, 1))
    for name in model.fields.names:
        moved = float(np.abs(settled[name] - short[name]).max())
        assert moved > 0 and np.isnan(settled[name].values).sum() == np.isnan(short[name].values).sum()
    latents = model.encode(short)
    change = model.generator.denoiser.prior.settling(*_asked_of(model, short), None)
    kept = short.toce - model.decode(latents).toce
    np.testing.assert_allclose(settled.toce - model.decode(latents + change).toce, kept, atol=1e-4)
    xr.testing.assert_equal(drawn, again)
    assert not drawn.toce.equals(settled.toce) and np.array_equal(settled.season, short.season)
    assert all((settled[k] == v).all() for k, v in ASKED.items()) and settled.attrs["parameters"] == list(ASKED)


def test_guidance_uses_the_conditions_twice_and_stays_finite(model):
    assert torch.isfinite(model.sample_latents(ASKED, members=2, guidance=2.0, steps=6)).all()


def test_an_inventory_asked_for_is_what_the_samples_hold(model):
    volume = model.fields.volumes(model.grid)[model.fields.index_of("toce")].numpy()

    def means(**options):
        drawn = model.sample(ASKED, members=4, **options).toce.fillna(0).values
        return (drawn * volume).sum((1, 2, 3)) / volume.sum()

    free = means()
    asked = free.mean() + 3 * free.std()
    guided = means(constraints=[Inventory("toce", asked, 0.1 * free.std())])
    assert np.abs(guided - asked).max() < 0.3 * np.abs(free - asked).min()


def test_what_is_out_of_reach_is_said(model):
    with pytest.warns(UserWarning, match="inventory of toce is missed by .* tolerances"):
        model.sample(ASKED, members=2, constraints=[Inventory("toce", 90.0, 0.001)])


def test_unknown_or_undifferentiable_density_is_refused_before_the_work(model, monkeypatch):
    monkeypatch.setattr(model, "sample_latents", lambda *_, **__: pytest.fail("has begun"))
    for name, message in ((None, "equation of state"), ("teos10", "teos10")):
        monkeypatch.setattr(model.codec, "grid", replace(model.grid, equation_of_state=name))
        with pytest.raises(UserError, match=message):
            model.sample(ASKED, stabilise=True)


def test_stabilised_samples_with_balanced_currents_are_those_of_the_same_seed_adjusted(model):
    free = model.sample(ASKED, members=2)
    physical = model.sample(ASKED, members=2, stabilise=True, currents="balanced")
    expected = adjust.adjusted(free.rename(member="sample"), adjust.convective, adjust.geostrophic).rename(
        sample="member"
    )
    assert physical.equals(expected) and not physical.equals(free)


def test_currents_are_generated_or_balanced(model):
    with pytest.raises(UserError, match="did you mean 'balanced'"):
        model.sample(ASKED, currents="balance")


def test_a_saved_model_loads_and_gives_the_same_states(model, tmp_path):
    again = OceanLDM.from_pretrained(model.save_pretrained(tmp_path / "copy"))
    assert torch.equal(again.sample_latents(ASKED, 2), model.sample_latents(ASKED, 2))
    assert {p.suffix for p in (tmp_path / "copy").iterdir()} == {".json", ".safetensors"}


def test_latents_on_disk_equal_encoding_on_the_fly(model, road, states):
    stored = open_latents(road["latents.zarr"], model.codec)
    assert torch.allclose(stored.values, model.encode(states), atol=4e-3)
    assert stored.attrs["codec"] == model.codec.digest
    assert stored.setting.tolist() == states.setting.values.tolist()


def test_a_stale_or_foreign_cache_is_refused_with_both_hashes(model, road, autoencoder):
    with pytest.raises(UserError) as error:
        open_latents(road["latents.zarr"], autoencoder)
    assert model.codec.digest[:12] in str(error.value)
    assert autoencoder.digest[:12] in str(error.value)


def test_a_missing_chunk_is_an_error_never_a_fill_value(model, states, tmp_path):
    path = write_latents(tmp_path / "latents.zarr", model.codec, states)
    shard = sorted((path / "latent" / "c").rglob("0"))[0]
    shard = shard if shard.is_file() else next(p for p in shard.rglob("*") if p.is_file())
    shard.unlink()
    with pytest.raises(UserError, match=r"lacks .* states"):
        open_latents(path, model.codec)


def test_an_altered_model_is_refused(model, tmp_path):
    folder = model.save_pretrained(tmp_path / "copy")
    about = json.loads((folder / "codec.json").read_text())
    (folder / "codec.json").write_text(json.dumps({**about, "digest": "0" * 64}))
    with pytest.raises(UserError, match="altered"):
        OceanLDM.from_pretrained(folder)


def test_a_generator_is_refused_beside_another_codec(model, autoencoder, tmp_path):
    folder = model.save_pretrained(tmp_path / "copy")
    artefacts.save_codec(folder, autoencoder)
    with pytest.raises(UserError) as error:
        OceanLDM.from_pretrained(folder)
    assert model.codec.digest[:12] in str(error.value) and autoencoder.digest[:12] in str(error.value)


def test_parameters_outside_the_training_range_warn_and_strict_refuses(model):
    beyond = {**ASKED, "wind": model.parameters["wind"][1] * 1.1}
    with pytest.warns(UserWarning, match="wind=.* lies outside the training range"):
        drawn = model.sample(beyond, steps=2)
    assert "wind=" in drawn.attrs["outside_training_range"]
    with pytest.raises(UserError, match="outside the training range") as error:
        model.sample_latents(beyond, strict=True)
    assert "--" not in str(error.value)  # there is no command line here
    assert "outside_training_range" not in model.sample(ASKED, steps=2).attrs


@pytest.mark.parametrize("far", [{"wind": 9.0}, {"wind": -0.3}, {"mixing": -1e-5}, {"mixing": 1.0}])
def test_parameters_beyond_the_width_of_the_training_range_need_extrapolation_and_the_states_say_so(model, far):
    with pytest.raises(UserError, match=r"by more than its width.*extrapolate"):
        model.sample(ASKED | far, steps=2)
    with pytest.warns(UserWarning, match="outside the training range"):
        drawn = model.sample(ASKED | far, steps=2, extrapolate=True)
    assert next(iter(far)) in drawn.attrs["outside_training_range"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{"guidance": 1e38}, {"parameters": {**ASKED, "wind": 1e300}, "extrapolate": True}])
def test_states_that_are_not_finite_are_refused(model, options):
    with pytest.raises(UserError, match="not finite"):
        model.sample(**{"parameters": ASKED, **options})


def test_samples_and_single_states_are_encoded_like_any(model, states):
    drawn = model.sample(ASKED, members=2, steps=2)
    both = model.encode(drawn)
    assert both.shape == (2, model.codec.n_tokens, model.codec.channels)
    assert torch.allclose(model.encode(drawn.isel(member=1)), both[1:], atol=1e-5)
    assert torch.allclose(model.encode(states.isel(sample=3)), model.encode(states)[3:4], atol=1e-5)
    assert model.sample(ASKED, context=states.isel(sample=3), steps=2).sizes["member"] == 1


def test_a_model_keeps_what_the_namelists_of_its_training_settings_share(road, states, tmp_path):
    setting = np.unique(states.setting[states.split == "train"])
    kept = {s: {"namdyn": {"rn_uv": 1.5, "rn_ztau0": 0.1 * n}} for n, s in enumerate(setting)}
    codec = artefacts.load_codec(road["vae"])
    write_latents(tmp_path / "z.zarr", codec, states.assign_attrs(namelists=json.dumps(kept)))
    arguments = [f"data.latents={tmp_path / 'z.zarr'}", f"codec={road['vae']}", *SMALL_DIT, *SHORT]
    DiffusionTask(load(DiffusionConfig, "diffusion", arguments)).publish(tmp_path / "model")
    drawn = OceanLDM.from_pretrained(tmp_path / "model").sample(ASKED, steps=1)
    assert json.loads(drawn.attrs["namelist"]) == {"namdyn": {"rn_uv": 1.5}}


def test_a_state_on_another_grid_is_refused(model, states):
    moved = states.copy(deep=True)
    moved["tmask"][0, 4, 3] = 0
    with pytest.raises(UserError, match="another grid"):
        model.encode(moved)


def test_the_latent_store_is_one_chunk_a_state(road):
    array = zarr.open_group(road["latents.zarr"], mode="r")["latent"]
    assert array.chunks[0] == 1
    assert array.shards[0] > 1


def test_a_finished_run_starts_again_and_does_nothing(road):
    arguments = [f"data.states={road['states.zarr']}", f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
    config = load(DiffusionConfig, "diffusion", [*arguments, *SMALL_DIT, *SHORT])
    before = (road["diffusion"] / "log.jsonl").read_text()
    engine.fit(DiffusionTask(config), config.train, road["diffusion"])
    assert (road["diffusion"] / "log.jsonl").read_text() == before


def test_a_warm_start_takes_what_fits(road):
    arguments = [f"data.states={road['states.zarr']}", *SMALL_VAE, "model.channels=2", f"model.initial={road['vae']}"]
    task = AutoencoderTask(load(VaeConfig, "vae", arguments))
    trained = artefacts.load_codec(road["vae"])
    assert torch.equal(task.model.stem.weight, trained.stem.weight)
    assert task.model.from_code.weight.shape != trained.from_code.weight.shape


def test_the_gaussian_process_on_the_training_states_can_be_drawn_from_instead(model, states):
    drawn = model.sample(ASKED, members=3, seed=1, season=0.5, method="gp", states=states)
    again = model.sample(ASKED, members=3, seed=1, season=0.5, method="gp", states=states)
    data = training_states(states)
    process = EofGaussianProcess(model.fields.volumes(model.grid))
    process.fit(torch.from_numpy(model.fields.stack(data, model.grid)), parameters_of(data), data.season, data.setting)
    expected = process.sample(np.array([ASKED["wind"], ASKED["mixing"]]), 0.5, 3, 1)
    np.testing.assert_array_equal(model.fields.stack(drawn.rename(member="sample"), model.grid), expected)
    assert drawn.equals(again) and "method gp" in drawn.source and float(drawn.season) == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--states"),
        ({"steps": 3}, "method gp takes no steps"),
        ({"members": 99}, "ask for fewer"),
        ({"parameters": {"wind": 0.2}}, "mixing"),
        ({"season": 2.0}, "share of the year"),
        ({"method": "gpp"}, "did you mean 'gp'"),
    ],
)
def test_what_the_gaussian_process_cannot_do_is_said(model, states, options, message):
    given = {} if not options else {"states": states}
    with pytest.raises(UserError, match=message):
        model.sample(**{"parameters": ASKED, "method": "gp", **given, **options})
