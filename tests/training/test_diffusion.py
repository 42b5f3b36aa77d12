"""What stage two learns from: conditions dropped as often as asked, means of left-out settings, nothing held out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ldm_ocean import artefacts
from ldm_ocean.autoencoder.codec import IdentityCodec
from ldm_ocean.autoencoder.latents import Latents, open_latents, write_latents
from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.generative.conditions import Condition
from ldm_ocean.generative.denoiser import training_sigma
from ldm_ocean.generative.years import decompose, seasonal
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


@pytest.mark.parametrize("share", [0.1, 0.35, 0.0, 1.0])
def test_parameters_are_dropped_as_often_as_asked(share, place):
    """Within five standard deviations of the binomial distribution; for shares of 0 and 1 exactly."""
    batch = rows(task(place, f"model.drop_parameters={share}"))[1]
    gone = 1 - batch["has_parameters"].numpy()
    assert abs(gone.mean() - share) <= 5 * np.sqrt(share * (1 - share) / ROWS) + 1e-9


def test_the_mean_is_the_setting_s_own_and_targets_are_finished_states_of_training(place):
    t = task(place)
    indices, batch = rows(t, t.size)
    samples, latents = t.train_index[indices], t.latents
    assert latents.equilibrium[samples].all() and (latents.split[samples] == "train").all()
    names = sorted(set(latents.setting[samples]))
    own = torch.tensor([names.index(n) for n in latents.setting[samples]])
    years, _, _ = decompose(latents.values[samples], t.season[samples], latents.setting[samples], t.model.prior.pooled)
    torch.testing.assert_close(batch["mean"], seasonal(years[own], t.season[samples]), atol=1e-5, rtol=1e-5)


def spoilt(latents: Latents, which: np.ndarray) -> Latents:
    """Other latents, parameters and seasons where ``which``."""
    values, parameters, season = latents.values.clone(), latents.parameters.copy(), latents.season.copy()
    values[torch.from_numpy(which)] = values[torch.from_numpy(which)].flip(1) * 5 + 3
    parameters[which] *= 1.7
    season[which] = (season[which] + 0.3) % 1
    return replace(latents, values=values, parameters=parameters, season=season)


def test_other_latents_of_what_is_not_trained_on_leave_the_statistics_and_every_target_bit_equal(place, monkeypatch):
    def opened(path, codec):
        latents = open_latents(path, codec)
        return spoilt(latents, latents.split != "train")

    before = task(place)
    monkeypatch.setattr(diffusion, "open_latents", opened)
    after = task(place)
    assert not torch.equal(before.latents.values, after.latents.values)
    for part in ("model", "scaler"):
        one, two = (getattr(t, part).state_dict() for t in (before, after))
        assert all(torch.equal(one[k], two[k]) for k in one)
    one, two = (rows(t, 64)[1] for t in (before, after))
    assert all(torch.equal(one[k], two[k]) for k in ("z", "mean", "parameters", "season", "noise"))


def test_other_unfinished_states_change_what_they_tell_of_the_mean_state_and_nothing_else(place, monkeypatch):
    def opened(path, codec):
        latents = open_latents(path, codec)
        return spoilt(latents, ~latents.equilibrium)

    before = task(place).model.state_dict()
    monkeypatch.setattr(diffusion, "open_latents", opened)
    after = task(place).model.state_dict()
    assert {k for k in before if not torch.equal(before[k], after[k])} == {"prior.gain", "prior.doubt"}


class Wrong(torch.nn.Module):
    """A network that is wrong by ``size`` in noise beyond ``beyond`` only; for ``size`` 0, F = 0 itself."""

    def __init__(self, size: float, beyond: float):
        super().__init__()
        self.size, self.beyond = size, beyond

    def forward(self, x, level, condition):
        here = x[..., : x.shape[-1] // 2]
        return self.size * (4 * level > np.log(self.beyond))[:, None, None] * torch.ones_like(here)


@pytest.mark.parametrize("beyond", [0.0001, 1.0, 2.0])
def test_a_network_that_is_above_the_gaussian_in_one_band_of_noise_is_not_published(beyond, place, tmp_path):
    t = task(place)
    t.model.network = Wrong(1.0, beyond)
    with torch.no_grad():
        scores = t.validate()
    assert scores["loss"] == scores["gaussian"] < scores["network"] and not t.earns_its_keep
    t.publish(tmp_path)
    published = artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))
    assert published.denoiser.network is None and published.about["shape"] is None
    assert published.about["validation"]["network"][-1] > published.about["validation"]["gaussian"][-1]
    c = Condition(t.asked[:2], t.season[:2], t.mean[:2], torch.ones(2))
    z, sigma = torch.randn_like(t.mean[:2]), torch.tensor([0.3, 3.0])
    torch.testing.assert_close(published.denoiser(z, sigma, c), t.model.gaussian(c).estimate(z, sigma))


@pytest.mark.parametrize("worse_beyond", [2.0, np.inf])
def test_a_network_is_published_that_is_below_the_gaussian_in_every_band_and_not_in_all_but_one(
    worse_beyond, place, tmp_path
):
    """One whose loss is lower by a tenth, or by a half but higher by a tenth in much noise."""
    t = task(place)
    told = DiffusionTask._loss

    def judged(self, model, batch):
        sigma = training_sigma(batch["uniform"], "edm")
        factor = torch.where(sigma > worse_beyond, 1.1, 0.5)
        return told(self, model, batch) * (factor if model.network is not None else 1.0)

    t._loss = judged.__get__(t)
    with torch.no_grad():
        scores = t.validate()
    everywhere = worse_beyond == np.inf
    assert scores["network"] < scores["gaussian"]
    assert scores["loss"] == scores["network" if everywhere else "gaussian"]
    t.publish(tmp_path)
    published = artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))
    assert (published.denoiser.network is not None) == everywhere


def test_the_network_is_judged_at_noise_levels_from_the_least_to_the_largest(place):
    t = task(place)
    with torch.no_grad():
        t.validate()
    sigma = t.bands["sigma"]
    assert sigma == sorted(sigma) and sigma[0] < 0.05 and sigma[-1] > 10 and len(sigma) == 9


def test_a_target_is_the_mean_of_its_setting_and_weather_of_unbiased_size(place):
    """z = m + (latent − m) √(n/(n − ν)), a little farther from the mean state than the latent itself."""
    t = task(place)
    indices, batch = rows(t, t.size)
    latent = t.latents.values[t.train_index[indices]]
    ratio = (batch["z"] - batch["mean"]) / (latent - batch["mean"])
    settled = (latent - batch["mean"]).abs() > 1e-3
    assert float(ratio[settled].min()) > 1 and float(ratio[settled].max()) <= 2 + 1e-3
