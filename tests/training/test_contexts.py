"""What stage two is shown."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ldm_ocean import OceanLDM
from ldm_ocean.errors import UserError
from ldm_ocean.training import diffusion
from ldm_ocean.training.config import DiffusionConfig, load

from ..conftest import SMALL_DIT


@pytest.fixture
def task_without(road, monkeypatch):
    """A task on latents in which the settings named are finished throughout."""
    opened = diffusion.open_latents

    def build(*settings: str) -> diffusion.DiffusionTask:
        def latents(*arguments):
            found = opened(*arguments)
            return replace(found, equilibrium=found.equilibrium | np.isin(found.setting, settings))

        monkeypatch.setattr(diffusion, "open_latents", latents)
        options = ["model.drop_context=0", f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
        return diffusion.DiffusionTask(load(DiffusionConfig, "diffusion", [*options, *SMALL_DIT]))

    return build


def test_a_setting_without_unfinished_states_is_learnt_without_context_for_its_own_would_give_the_target_away(
    task_without,
):
    task = task_without("s00")
    own = task.latents.setting[task.train_index] == "s00"
    batch = task.batch(list(range(task.size)), range(task.size))
    assert (batch["has_context"].numpy() == ~own).all() and not batch["context"][own].any()
    assert torch.equal(batch["mean"][own], task.own[task.train_index[own]])  # as where a context was dropped
    unfinished = task.latents.values[~task.latents.equilibrium]
    assert all((unfinished == c).flatten(1).all(1).any() for c in batch["context"][~own])


def test_a_model_that_never_saw_a_context_says_so_and_takes_none(task_without, states, tmp_path):
    with pytest.warns(UserWarning, match="will know no context"):
        task = task_without("s00", "s01", "s02")
    task.publish(tmp_path)
    model = OceanLDM.from_pretrained(tmp_path, device="cpu")
    asked = {"wind": float(states.wind[0]), "mixing": float(states.mixing[0])}
    assert model.sample_latents(asked, steps=1).isfinite().all()
    with pytest.raises(UserError, match="trained without unfinished states"):
        model.sample_latents(asked, steps=1, context=states.isel(sample=[0]))
