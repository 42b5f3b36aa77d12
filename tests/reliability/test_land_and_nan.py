"""What stands on land changes nothing; what is not finite in the water stops a run before it learns from it."""

import math
import shutil

import numpy as np
import pytest
import torch
import zarr

from ldm_ocean import artefacts, open_states
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.autoencoder.loss import ReconstructionLoss
from ldm_ocean.errors import UserError
from ldm_ocean.training import checkpoint, engine
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import VaeConfig, load

from ..conftest import SMALL_VAE, small_mesh, small_states
from ..training.test_engine import CONFIG, Line
from .small import contents

JUNK = {"nan": np.nan, "infinity": np.inf, "1e30": 1e30, "-1e30": -1e30, "seven": 7.0, "noise": None}


def junk_like(x: torch.Tensor, name: str) -> torch.Tensor:
    noise = 1e6 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return noise if JUNK[name] is None else torch.full_like(x, JUNK[name])


@pytest.mark.reliability("R15")
@pytest.mark.parametrize("junk", JUNK)
def test_land_values_never_change_any_output_or_gradient(autoencoder, fields, grid, tensor, junk):
    criterion = ReconstructionLoss(fields.volumes(grid), autoencoder.normaliser)
    masks = fields.masks(grid)
    results = []
    for x in (tensor[:2], torch.where(masks, tensor[:2], junk_like(tensor[:2], junk))):
        autoencoder.zero_grad()
        target = autoencoder.normalise(x)
        out = autoencoder(target)
        criterion(out, target).backward()
        gradients = [p.grad.clone() for p in autoencoder.parameters() if p.grad is not None]
        results.append([autoencoder.encode(x), autoencoder.decode(autoencoder.encode(x)), out, *gradients])
    for clean, dirty in zip(*results, strict=True):
        assert torch.equal(clean, dirty)


@pytest.mark.reliability("R15")
def test_raw_land_values_never_pass_the_autoencoder_itself(autoencoder, fields, grid, tensor):
    x = autoencoder.normalise(tensor[:2])
    dirty = torch.where(fields.masks(grid), x, torch.nan)
    assert torch.equal(autoencoder(x), autoencoder(dirty))


@pytest.mark.reliability("R15")
@pytest.mark.parametrize("junk", JUNK)
def test_a_training_task_built_from_states_with_anything_on_land_is_the_same_task(junk, tmp_path):
    clean, mesh = small_states(), small_mesh()
    dirty = clean.copy(deep=True)
    for name in ("toce", "soce", "uoce", "voce", "ssh"):
        wet = mesh[clean[name].attrs["mask"]].values.astype(bool)
        wet = wet if "depth" in clean[name].dims else wet[0]
        values = torch.from_numpy(clean[name].values.copy())
        dirty[name].values[:] = torch.where(torch.from_numpy(wet), values, junk_like(values, junk)).numpy()
    tasks = []
    for name, states in (("clean", clean), ("dirty", dirty)):
        states.to_zarr(tmp_path / name, consolidated=False)
        tasks.append(AutoencoderTask(load(VaeConfig, "vae", [f"data.states={tmp_path / name}", *SMALL_VAE])))
    (one, other), batch = tasks, range(4)
    assert one.model.digest == other.model.digest  # weights and statistics
    for a, b in zip(one.batch([0, 1, 2, 3], batch).values(), other.batch([0, 1, 2, 3], batch).values(), strict=True):
        assert torch.equal(a, b)
    assert one.validate() == other.validate()


@pytest.mark.reliability("R16")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "index"), [("toce", (6, 0, 4, 3)), ("ssh", (6, 4, 3))])
def test_a_hole_in_the_water_is_named_by_file_time_and_variable_before_training(name, index, value, tmp_path):
    states = small_states()
    states[name].values[index] = value
    states.to_zarr(tmp_path / "s.zarr", consolidated=False)
    with pytest.raises(UserError) as refused:
        AutoencoderTask(load(VaeConfig, "vae", [f"data.states={tmp_path / 's.zarr'}", *SMALL_VAE]))
    for part in (f"{name} is not finite", "setting s01", "season 0.5", str(tmp_path / "s.zarr")):
        assert part in str(refused.value)


@pytest.mark.reliability("R16")
def test_encoding_names_the_place_too(road, tmp_path):
    states = small_states()
    states.toce.values[6, 0, 4, 3] = np.nan
    states.to_zarr(tmp_path / "s.zarr", consolidated=False)
    codec = artefacts.load_codec(road["vae"])
    with pytest.raises(UserError, match=r"toce is not finite .*s01"):
        codec.fields.stack(open_states(tmp_path / "s.zarr"), codec.grid)


class Spoilt(Line):
    """From ``position`` on, the loss (or only its gradient) is not finite."""

    def __init__(self, position: int, kind: str):
        super().__init__()
        self.position, self.kind, self.now = position, kind, 0

    def batch(self, indices, positions):
        self.now = positions.start
        return super().batch(indices, positions)

    def forward(self, batch):
        loss = super().forward(batch)
        if self.now < self.position:
            return loss
        if self.kind == "gradient":  # √0 is finite, its slope is not
            return loss + (0 * loss).sqrt()
        return loss * {"nan": math.nan, "infinity": math.inf}[self.kind]


@pytest.mark.reliability("R16")
@pytest.mark.parametrize("kind", ["nan", "infinity", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_stops_before_the_update_and_the_last_checkpoint_is_good(kind, tmp_path):
    task = Spoilt(52, kind)
    with pytest.raises(UserError, match=r"not finite at sample 52: lower train.lr"):
        engine.fit(task, CONFIG, tmp_path / "cut")
    whole, again = Line(), Line()
    engine.fit(whole, CONFIG, tmp_path / "whole")
    assert all(torch.isfinite(p).all() for p in task.model.parameters())
    assert checkpoint.newest(tmp_path / "cut" / "checkpoints").name == "0000000040"
    engine.fit(again, CONFIG, tmp_path / "cut")
    for a, b in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert contents(tmp_path / "cut" / "checkpoints") == contents(tmp_path / "whole" / "checkpoints")


@pytest.mark.reliability("R16")
def test_a_model_whose_validation_loss_is_not_finite_is_not_published_and_the_end_says_so(tmp_path):
    task = Line()
    task.validate = lambda: {"loss": math.nan}
    task.publish = lambda folder: pytest.fail("published")
    with pytest.raises(UserError, match=f"no validation loss was finite, {tmp_path / 'best'} was not published"):
        engine.fit(task, CONFIG, tmp_path)


@pytest.mark.reliability("R16")
def test_latents_that_are_not_finite_stop_before_training_with_their_number(road, tmp_path):
    store = shutil.copytree(road["latents.zarr"], tmp_path / "l.zarr")
    zarr.open_group(store, mode="r+")["latent"][5, 0, 0] = np.nan
    with pytest.raises(UserError, match=r"lacks 1 of 24 states \(first: 5\)"):
        open_latents(store, artefacts.load_codec(road["vae"]))
