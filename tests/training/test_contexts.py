"""What stage two makes of unfinished states."""

from dataclasses import replace

import numpy as np
import pytest

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
        options = [f"data.latents={road['latents.zarr']}", f"codec={road['vae']}"]
        return diffusion.DiffusionTask(load(DiffusionConfig, "diffusion", [*options, *SMALL_DIT]))

    return build


def test_a_model_that_never_saw_a_context_says_so_and_takes_none(task_without, states, tmp_path):
    with pytest.warns(UserWarning, match="will know no context"):
        task = task_without("s00", "s01", "s02")
    task.publish(tmp_path)
    model = OceanLDM.from_pretrained(tmp_path, device="cpu")
    asked = {"wind": float(states.wind[0]), "mixing": float(states.mixing[0])}
    assert model.sample_latents(asked, steps=1).isfinite().all()
    with pytest.raises(UserError, match="trained without unfinished states"):
        model.sample_latents(asked, steps=1, context=states.isel(sample=[0]))
