"""The published weights: a frozen fixture. What loads today must load in every later release."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.autoencoder.latents import open_latents

ROOT = Path(__file__).parent.parent
ASKED = {"rn_ztau0": 0.2, "rn_tstar_n": 5.0, "rn_avt0": 3e-5}


@pytest.fixture(scope="module")
def model() -> OceanLDM:
    return OceanLDM.from_pretrained(ROOT / "pretrained" / "dino-coarse", device="cpu")


@pytest.fixture(scope="module")
def validation():
    return open_states(ROOT / "data" / "dino-coarse", ["validation"], equilibrium=True)


def test_the_weights_are_the_published_ones(model):
    assert model.codec.digest == "26eec60bf7269e9b39251fe5c482bf2be24f83762ad84a5a64e1e3c6cbb84629"
    assert model.parameters["rn_ztau0"] == pytest.approx((0.11981, 0.288293), rel=1e-4)


def test_the_shipped_latents_are_those_of_the_shipped_autoencoder(model, validation):
    latents = open_latents(ROOT / "data" / "dino-coarse-latents.zarr", model.codec)
    own = latents.values[torch.from_numpy((latents.split == "validation") & latents.equilibrium)]
    assert torch.allclose(own[:3], model.encode(validation.isel(sample=slice(3))), atol=5e-3)


def test_held_out_states_come_back_within_the_published_error(model, validation):
    few = validation.isel(sample=slice(0, 96, 16))
    back = model.decode(model.encode(few), like=few)
    mean = model.fields.unstack(model.codec.normaliser.mean[None].numpy(), model.grid)
    volume = model.grid.volume("t")
    for name, percent in (("toce", 3.0), ("soce", 5.0)):
        error, anomaly = (np.nan_to_num((few[name] - other).values) for other in (back[name], mean[name].values[0]))
        assert 100 * (volume * error**2).sum() / (volume * anomaly**2).sum() < percent


def test_samples_are_plausible_oceans_that_follow_the_wind(model):
    weak, strong = (model.sample({**ASKED, "rn_ztau0": tau}, members=4) for tau in (0.13, 0.27))
    for states in (weak, strong):
        assert float(states.toce.min()) > -3 and float(states.toce.max()) < 33
        assert float(states.soce.min()) > 33 and float(states.soce.max()) < 39
        assert np.array_equal(np.isfinite(states.toce[0].values), model.grid["tmask"])
    channel = slice(2, 6)  # rows of the re-entrant channel
    assert float(strong.uoce[..., channel, :].mean()) > float(weak.uoce[..., channel, :].mean())
