"""What stage two learns from: conditions dropped as often as asked, means of left-out settings, nothing held out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ldm_ocean import artefacts
from ldm_ocean.autoencoder.codec import IdentityCodec
from ldm_ocean.autoencoder.latents import Latents, open_latents, write_latents
from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.generative.prior import seasonal
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.training import diffusion
from ldm_ocean.training.config import DiffusionConfig, load
from ldm_ocean.training.diffusion import DiffusionTask

from ..conftest import SHORT, SMALL_DIT, small_states

ROWS = 3000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Arguments of a training on latents that are the states themselves: there is no first stage to wait for."""
    folder = tmp_path_factory.mktemp("identity")
    states = small_states(settings=8, each=6, shape=(3, 6, 5))
    grid, fields = OceanGrid.from_dataset(states), Fields.from_dataset(states)
    codec, x = IdentityCodec(fields, grid), fields.stack(states, grid)
    codec.normaliser.load_state_dict(Normaliser.fit(x, fields.volumes(grid)).state_dict())
    codec.fit_statistics(torch.from_numpy(x))
    artefacts.save_codec(folder / "vae", codec)
    write_latents(folder / "latents.zarr", artefacts.load_codec(folder / "vae"), states)
    return [f"codec={folder / 'vae'}", f"data.latents={folder / 'latents.zarr'}", *SMALL_DIT, *SHORT]


def task(place, *options: str) -> DiffusionTask:
    return DiffusionTask(load(DiffusionConfig, "diffusion", [*place, *options]))


def rows(t: DiffusionTask, count: int = ROWS) -> tuple[list[int], dict]:
    indices = [n % t.size for n in range(count)]
    return indices, t.batch(indices, range(count))


@pytest.mark.parametrize("drop", [(0.1, 0.5), (0.35, 0.2), (0.0, 1.0), (1.0, 0.0)])
def test_conditions_are_dropped_as_often_as_asked_and_one_whatever_the_other(drop, place):
    """Within five standard deviations of the binomial distribution; for shares of 0 and 1 exactly."""
    batch = rows(task(place, f"model.drop_parameters={drop[0]}", f"model.drop_context={drop[1]}"))[1]
    gone = [1 - batch[name].numpy() for name in ("has_parameters", "has_context")]
    for found, share in zip((*gone, gone[0] * gone[1]), (*drop, drop[0] * drop[1]), strict=True):
        assert abs(found.mean() - share) <= 5 * np.sqrt(share * (1 - share) / ROWS) + 1e-9


def test_beside_a_context_the_mean_is_what_other_settings_predict_and_else_the_setting_s_own(place):
    t = task(place)
    indices, batch = rows(t, 200)
    samples = t.train_index[indices]
    names = sorted(set(t.latents.setting[t.train_index]))
    own = torch.tensor([names.index(n) for n in t.latents.setting[samples]])
    left_out, years = t.model.prior.left_out(), t.model.prior.years
    given = batch["has_context"].bool()
    assert 0 < given.sum() < 200
    for chosen, b in ((given, left_out), (~given, years)):
        expected = seasonal(b[own], t.season[samples])
        torch.testing.assert_close(batch["mean"][chosen], expected[chosen], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(seasonal(left_out[own], t.season[samples]), seasonal(years[own], t.season[samples]))


def test_a_context_is_an_unfinished_state_of_the_same_setting_and_a_target_is_not(place):
    t = task(place, "model.drop_context=0")
    indices, batch = rows(t, 100)
    latents = t.latents
    assert latents.equilibrium[t.train_index].all() and (latents.split[t.train_index] == "train").all()
    for index, context in zip(t.train_index[indices], batch["context"], strict=True):
        same = (latents.values == context).flatten(1).all(1).numpy()
        assert (same & (latents.setting == latents.setting[index]) & ~latents.equilibrium).any()


def spoilt(latents: Latents, which: np.ndarray) -> Latents:
    """Other latents, parameters and seasons where ``which``."""
    values, parameters, season = latents.values.clone(), latents.parameters.copy(), latents.season.copy()
    values[torch.from_numpy(which)] = values[torch.from_numpy(which)].flip(1) * 5 + 3
    parameters[which] *= 1.7
    season[which] = (season[which] + 0.3) % 1
    return replace(latents, values=values, parameters=parameters, season=season)


@pytest.mark.parametrize("what", ["held out", "unfinished"])
def test_other_latents_of_what_is_not_trained_on_leave_the_prior_and_every_target_bit_equal(what, place, monkeypatch):
    def opened(path, codec):
        latents = open_latents(path, codec)
        return spoilt(latents, ~latents.equilibrium if what == "unfinished" else latents.split != "train")

    before = task(place, "model.drop_context=1")
    monkeypatch.setattr(diffusion, "open_latents", opened)
    after = task(place, "model.drop_context=1")
    assert not torch.equal(before.latents.values, after.latents.values)
    for part in ("model", "scaler"):
        one, two = (getattr(t, part).state_dict() for t in (before, after))
        assert all(torch.equal(one[k], two[k]) for k in one)
    assert before.prior_fit == after.prior_fit
    one, two = (rows(t, 64)[1] for t in (before, after))
    assert all(torch.equal(one[k], two[k]) for k in ("z", "mean", "parameters", "season", "noise"))


def test_a_target_is_the_mean_of_its_setting_and_weather_of_unbiased_size(place):
    """z = m + (latent − m) √(n/(n − ν)), a little farther from the mean state than the latent itself."""
    t = task(place, "model.drop_context=1")
    indices, batch = rows(t, t.size)
    latent = t.latents.values[t.train_index[indices]]
    ratio = (batch["z"] - batch["mean"]) / (latent - batch["mean"])
    settled = (latent - batch["mean"]).abs() > 1e-3
    assert float(ratio[settled].min()) > 1 and float(ratio[settled].max()) <= 2 + 1e-3
