"""Both stages and what is made of them, on another device than the CPU."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import state as accelerate_state

from ldm_ocean import OceanLDM
from ldm_ocean.ocean.constraints import Inventory
from ldm_ocean.training import engine
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask

from ..conftest import SHORT, SMALL_DIT, SMALL_VAE
from ..second_device import DEVICE, second_device
from .test_engine import CONFIG, Line


def vae(road, *more: str) -> tuple[AutoencoderTask, VaeConfig]:
    config = load(VaeConfig, "vae", [f"data.states={road['states.zarr']}", *SMALL_VAE, *SHORT, *more])
    return AutoencoderTask(config), config


def diffusion(road, *more: str) -> tuple[DiffusionTask, DiffusionConfig]:
    data = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
    config = load(DiffusionConfig, "diffusion", [*data, *SMALL_DIT, *SHORT, *more])
    return DiffusionTask(config), config


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", [vae, diffusion])
def test_a_stage_trains_validates_draws_and_publishes_on_another_device_what_it_does_on_the_cpu(
    stage, road, tmp_path, monkeypatch
):
    task, config = stage(road)
    drawn, figures = [], task.figures
    task.figures = lambda: drawn.append(next(task.model.parameters()).device) or figures()
    monkeypatch.setattr(engine.Accelerator, "device", property(lambda self: DEVICE))
    with second_device():
        best = engine.fit(task, config.train, tmp_path)
    assert drawn == [DEVICE] * 2
    assert losses(tmp_path) == pytest.approx(losses(road[stage.__name__]), rel=1e-4)
    assert {p.name for p in best.iterdir()} == {p.name for p in (road[stage.__name__] / "best").iterdir()}


@pytest.mark.parametrize("options", [{}, {"guidance": 2.0, "constraints": [Inventory("toce", 10.0, 0.1)]}])
def test_states_are_encoded_drawn_and_decoded_on_another_device_as_on_the_cpu(options, road, states):
    model = OceanLDM.from_pretrained(road["diffusion"], "cpu")

    def draw() -> list[np.ndarray]:
        ask, context = {"wind": 0.2, "mixing": 4e-5}, states.isel(sample=[0])
        drawn = [model.sample(ask, members=2, **options), model.sample(ask, context=context, **options)]
        return [x[name].values for x in drawn for name in model.fields.names]

    here = draw()
    with second_device():
        model.codec.to(DEVICE)
        model.generator.denoiser.to(DEVICE)
        for a, b in zip(draw(), here, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_auto_takes_the_cpu_where_the_only_other_device_knows_no_double_precision(tmp_path, monkeypatch):
    monkeypatch.setattr(accelerate_state, "is_mps_available", lambda *_: True)
    accelerate_state.AcceleratorState._reset_state(reset_partial_state=True)
    task = Line()
    engine.fit(task, replace(CONFIG, device="auto"), tmp_path)
    assert next(task.parameters()).device == torch.device("cpu")


@pytest.mark.parametrize("option", ["model.blocks=[0]", "model.blocks=[1]", "model.vertical=0", "model.latent_noise=0"])
def test_every_weight_of_the_autoencoder_gets_a_gradient_as_several_processes_need_it(option, road):
    task, _ = vae(road, option)
    task(task.batch([0, 1], range(2))).mean().backward()
    assert [name for name, p in task.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("option", ["model.drop_parameters=1", "model.drop_parameters=0"])
def test_every_weight_of_the_transformer_gets_a_gradient_as_several_processes_need_it(option, road):
    task, _ = diffusion(road, option)
    task(task.batch([0, 1], range(2))).mean().backward()
    assert [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None] == []
