"""Who takes part: each method as ``sample(parameters (P,), season, members, seed) → (M, V, D, Y, X)``, and its cost."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ldm_ocean import OceanLDM
from ldm_ocean.data.fields import Fields
from ldm_ocean.data.states import parameters_of
from ldm_ocean.errors import UserError
from ldm_ocean.evaluate import model_functions, training_states
from ldm_ocean.grid import OceanGrid
from ldm_ocean.metrics import BASELINES

OURS, REFERENCE, PIXEL = "ldm_ocean", "climatology", "pixel_ddpm"


@dataclass(frozen=True)
class Method:
    """A fitted sampler. ``parameters`` counts learnt numbers; None where the training states themselves are kept."""

    sample: Callable[[np.ndarray, float, int, int], Tensor]
    parameters: int | None
    training_seconds: float | None


def methods(store: xr.Dataset, model: Path, run: Path, minutes: float) -> dict[str, Method]:
    """All that are to be had; what is missing is said on stderr."""
    ocean = OceanLDM.from_pretrained(model)
    if OceanGrid.from_dataset(store).digest != ocean.grid.digest:
        raise UserError(
            f"{model} was trained on another grid than that of the states: name a pair that belongs together"
        )
    out = {OURS: ours(ocean)} | baselines(store, ocean.grid, ocean.fields)
    try:
        return out | {PIXEL: pixel(store, ocean.grid, ocean.fields, run, minutes)}
    except ImportError:
        print(f"{PIXEL} is left out: diffusers is not installed (pip install -e '.[bench]')", file=sys.stderr)
        return out


def ours(ocean: OceanLDM) -> Method:
    """The whole road from parameters to states; trained elsewhere, so its time is not known here."""
    generate, _ = model_functions(ocean)
    networks = (ocean.codec, ocean.denoiser)

    def sample(parameters, season, members, seed):
        return generate(dict(zip(ocean.scaler.names, map(float, parameters), strict=True)), season, members, seed)

    return Method(sample, sum(p.numel() for n in networks for p in n.parameters()), None)


def baselines(store: xr.Dataset, grid: OceanGrid, fields: Fields) -> dict[str, Method]:
    """``ldm_ocean.metrics.BASELINES``; learnt are the EOFs' values."""
    training = labelled(training_states(store), grid, fields)
    out = {}
    for name, new in BASELINES.items():
        start = time.perf_counter()
        fitted = new(fields.volumes(grid)).fit(*training)
        eofs = getattr(fitted, "eofs", None)
        out[name] = Method(fitted.sample, None if eofs is None else eofs.size, time.perf_counter() - start)
    return out


def pixel(store: xr.Dataset, grid: OceanGrid, fields: Fields, run: Path, minutes: float) -> Method:
    """The published recipe, trained here; ImportError without diffusers."""
    from .unet import Labelled, PixelDDPM

    validation = np.flatnonzero((store.split.values == "validation") & store.equilibrium.values)
    if not len(validation):
        raise UserError(
            "the states hold no split 'validation', which chooses among the stages of training: prepare one"
        )
    held_out = Labelled(*labelled(store.isel(sample=validation), grid, fields))
    fitted = PixelDDPM(fields.volumes(grid), run, minutes, held_out).fit(
        *labelled(training_states(store), grid, fields)
    )
    return Method(fitted.sample, sum(p.numel() for p in fitted.model.parameters()), fitted.training_seconds)


def labelled(data: xr.Dataset, grid: OceanGrid, fields: Fields) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """States, parameters, season, setting names."""
    return torch.from_numpy(fields.stack(data, grid)), parameters_of(data), data.season.values, data.setting.values
