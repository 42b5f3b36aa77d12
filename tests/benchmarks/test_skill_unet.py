"""The published recipe, small: images keep states, training goes on where it stopped, members follow their seed."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")

from diffusers import DDPMScheduler

from benchmarks.skill import unet
from benchmarks.skill.unet import Images, Labelled, PixelDDPM, Task, UNet, widths_for
from ldm_ocean.generative.sampling import generator
from ldm_ocean.io.states import parameters_of
from ldm_ocean.metrics.generated import training_states

WIDTHS = (32, 32)


@pytest.fixture(scope="module")
def data(states, grid, fields):
    def labelled(chosen):
        tensor = torch.from_numpy(fields.stack(chosen, grid))
        return Labelled(tensor, parameters_of(chosen), chosen.season.values, chosen.setting.values)

    validation = states.isel(sample=np.flatnonzero(states.split.values == "validation"))
    return labelled(training_states(states)), labelled(validation), fields.volumes(grid)


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    train, validation, volumes = data
    run = tmp_path_factory.mktemp("unet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "PRECISION", "no")  # a process keeps the precision of its first training
        return PixelDDPM(volumes, run, 0.01, validation, WIDTHS).fit(*train)


def test_states_become_images_and_come_back_and_levels_of_land_are_no_channels(data):
    (states, *_), _, volumes = data
    images = Images(states, volumes, 8)
    x = images(states)
    assert x.shape[1] == int((volumes > 0).any((-2, -1)).sum()) < volumes.shape[0] * volumes.shape[1]
    assert x.shape[-2] % 8 == 0 and x.shape[-1] % 8 == 0
    torch.testing.assert_close(images.inverse(x), states, rtol=1e-4, atol=1e-4)
    loud = torch.where(volumes > 0, states, 1e30)
    assert torch.equal(images(loud), x)


def test_the_loss_of_the_true_noise_is_zero_and_of_none_is_one(data):
    x, condition = torch.zeros(64, 3, 8, 8), torch.zeros(64, 2)

    class Oracle(torch.nn.Module):
        def forward(self, noisy, t, condition):
            share = task.schedule.alphas_cumprod[t][:, None, None, None]
            return noisy / (1 - share).sqrt() if self.knows else torch.zeros_like(noisy)

    model = Oracle()
    task = Task(model, x, condition, x, condition)
    batch = task.batch(list(range(64)), range(64))
    model.knows = True
    torch.testing.assert_close(task(batch), torch.zeros(64), atol=1e-8, rtol=0)
    model.knows = False
    assert float(task(batch).mean()) == pytest.approx(1, abs=0.05)


def test_a_batch_depends_on_its_positions_only():
    task = Task(torch.nn.Identity(), torch.randn(9, 2, 8, 8, generator=generator(1)), torch.zeros(9, 2), None, None)
    whole, part = task.batch([3, 4, 5], range(7, 10)), task.batch([5], range(9, 10))
    assert all(torch.equal(whole[k][2:], part[k]) for k in part)


@pytest.mark.parametrize("channels, widths", [(37, (64, 64, 128, 128)), (73, (128, 128, 256, 256))])
def test_the_network_is_as_wide_beside_its_channels_as_the_published_one(channels, widths):
    assert widths_for(channels) == widths


def test_the_condition_reaches_the_network():
    net = UNet(2, (8, 8), 3, WIDTHS)
    x, t = torch.randn(1, 2, 8, 8), torch.tensor([10])
    a, b = (net(x, t, torch.full((1, 3), c)) for c in (0.0, 1.0))
    assert not torch.allclose(a, b)


def test_a_finished_run_is_not_trained_again_and_keeps_its_budget(fitted, data, monkeypatch):
    train, validation, volumes = data
    before = json.loads((fitted.run / "budget.json").read_text())
    monkeypatch.setattr(unet, "PRECISION", "no")
    monkeypatch.setattr(unet, "seconds_a_step", lambda *_: pytest.fail("measured again"))
    again = PixelDDPM(volumes, fitted.run, 99, validation, WIDTHS).fit(*train)
    after = json.loads((fitted.run / "budget.json").read_text())
    assert after["steps"] == before["steps"] and fitted.training_seconds > 0
    for a, b in zip(fitted.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("sampler", ["sample", "sample_by_all_steps"])
def test_members_follow_seed_and_number_whatever_the_batch_and_land_is_zero(fitted, data, sampler, monkeypatch):
    train, _, volumes = data
    monkeypatch.setattr(unet, "STEPS", 50)
    draw = lambda members, seed: getattr(fitted, sampler)(train.parameters[0], 0.3, members, seed)  # noqa: E731
    three, two = draw(3, 0), draw(2, 0)
    torch.testing.assert_close(three[:2], two, rtol=1e-4, atol=1e-4)
    assert not torch.equal(two, draw(2, 1)) and (three[:, volumes == 0] == 0).all()
    assert torch.isfinite(three).all() and three.shape[1:] == volumes.shape


@pytest.mark.parametrize(("sampler", "least"), [("sample", 0.75), ("sample_by_all_steps", 0.95)])
def test_both_samplers_draw_from_the_distribution_whose_noise_the_network_knows(
    fitted, data, sampler, least, monkeypatch
):
    """For normalised states that are one number ± 1 in every cell, far from zero, the noise is known. Few steps with
    the posterior's variance lose some of the spread."""
    middle, spread = 2.0, 1.0
    shares = DDPMScheduler(num_train_timesteps=unet.STEPS).alphas_cumprod

    def noise(x, t, condition):
        share = shares[t]
        return (1 - share).sqrt() * (x - share.sqrt() * middle) / (share * spread**2 + 1 - share)

    monkeypatch.setattr(fitted, "model", noise)
    monkeypatch.setattr(fitted.images, "inverse", lambda images: images)
    drawn = getattr(fitted, sampler)(data[0].parameters[0], 0.3, 4, seed=0)
    assert float(drawn.mean()) == pytest.approx(middle, abs=0.1)
    assert least < float(drawn.std()) / spread < 1.05


def test_the_pace_of_the_network_is_that_of_one_member(fitted):
    assert 0 < fitted.seconds_an_evaluation() < 0.1
