"""Who takes part: each method as ``sample(parameters (P,), season, members, seed) → (M, V, D, Y, X)``, and its cost."""

import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ldm_ocean import OceanLDM
from ldm_ocean.errors import UserError
from ldm_ocean.io.states import parameters_of
from ldm_ocean.metrics import BASELINES
from ldm_ocean.metrics.generated import model_functions, training_states
from ldm_ocean.ocean.constraints import Stability
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.pipeline import BALANCED

from .cost import training_seconds
from .rivals import Latent, StateGaussian, latent_rivals, network

OURS, PHYSICAL, REFERENCE = "ldm_ocean", "ldm_ocean_physical", "climatology"
PIXEL, PIXEL_ALL = "pixel_ddpm", "pixel_ddpm_1000"
FEW = 2  # members: scores are fair to any number


@dataclass(frozen=True)
class Method:
    """A fitted sampler, and, where mean state and weather are drawn apart, that of ``weather`` (see ``rivals``); of an
    autoencoder ``reconstruct``, and the losses of its denoiser by noise level.

    ``parameters`` counts learnt numbers; None where the training states themselves are kept.

    ``training`` [s] by stage. ``seeds``: on how many a method that is too slow for all takes part, and then without
    the sweeps, with at most ``most`` members; ``seconds`` a member, where known beforehand. ``digest`` tells its
    weights from others.
    """

    sample: Callable[[np.ndarray, float, int, int], Tensor]
    parameters: int | None = None
    training: dict[str, float] = field(default_factory=dict)
    seeds: int | None = None
    most: int = sys.maxsize
    seconds: float | None = None
    digest: str = ""
    weather: Callable[[np.ndarray, float, int, int, bool], Tensor] | None = None
    reconstruct: Callable[[Tensor], Tensor] | None = None
    denoising: dict[str, list[float]] = field(default_factory=dict)


def methods(store: xr.Dataset, model: Path, run: Path, minutes: float) -> dict[str, Method]:
    """All that are to be had; what is missing is said on stderr."""
    ocean = OceanLDM.from_pretrained(model)
    if OceanGrid.from_dataset(store).digest != ocean.grid.digest:
        raise UserError(
            f"{model} was trained on another grid than that of the states: name a pair that belongs together"
        )
    training = training_seconds(model)
    physical = ours(ocean, training, stabilise=True, currents=BALANCED, constraints=[Stability()])
    plain = replace(ours(ocean, training), weather=Latent(ocean, network(ocean)).sample)
    out = {OURS: plain, PHYSICAL: physical} | rivals(store, ocean, plain)
    out |= baselines(store, ocean.grid, ocean.fields)
    try:
        return out | pixel(store, ocean.grid, ocean.fields, run, minutes)
    except ImportError:
        print(f"{PIXEL} is left out: diffusers is not installed (pip install -e '.[bench]')", file=sys.stderr)
        return out


def ours(ocean: OceanLDM, training: dict[str, float], **options) -> Method:
    """Our model, from parameters to states, with ``options`` of ``OceanLDM.sample``."""

    generate, reconstruct = model_functions(ocean)

    def sample(parameters, season, members, seed):
        asked = dict(zip(ocean.parameters, map(float, parameters), strict=True))
        return generate(asked, season, members, seed, **options)

    networks = (ocean.codec, ocean.generator.denoiser)
    count = sum(p.numel() for n in networks for p in n.parameters())
    denoising = ocean.generator.about.get("validation", {})
    weights = f"{digest(*networks)} {options}"
    return Method(sample, count, training, digest=weights, reconstruct=reconstruct, denoising=denoising)


def rivals(store: xr.Dataset, ocean: OceanLDM, plain: Method) -> dict[str, Method]:
    """Our own parts with less in them (see ``rivals``)."""
    training = training_states(store)
    kin = latent_rivals(ocean, training)
    out = {n: replace(plain, sample=r.sample, weather=r.sample, digest=f"{plain.digest} {n}") for n, r in kin}
    start = time.perf_counter()
    bare = StateGaussian(ocean.fields.volumes(ocean.grid)).fit(*labelled(training, ocean.grid, ocean.fields))
    cost = {"fit": time.perf_counter() - start}
    return out | {"state_gaussian": Method(bare.sample, bare.eofs.size, cost, weather=bare.sample)}


def baselines(store: xr.Dataset, grid: OceanGrid, fields: Fields) -> dict[str, Method]:
    """``ldm_ocean.metrics.BASELINES``; learnt are the EOFs' values."""
    training = labelled(training_states(store), grid, fields)
    out = {}
    for name, new in BASELINES.items():
        start = time.perf_counter()
        fitted = new(fields.volumes(grid)).fit(*training)
        eofs = getattr(fitted, "eofs", None)
        out[name] = Method(fitted.sample, None if eofs is None else eofs.size, {"fit": time.perf_counter() - start})
    return out


def pixel(store: xr.Dataset, grid: OceanGrid, fields: Fields, run: Path, minutes: float) -> dict[str, Method]:
    """The published recipe, trained here, with few steps and with all of its own; ImportError without diffusers."""
    from .unet import SAMPLING_STEPS, STEPS, Labelled, PixelDDPM

    validation = np.flatnonzero((store.split.values == "validation") & store.equilibrium.values)
    if not len(validation):
        raise UserError(
            "the states hold no split 'validation', which chooses among the stages of training: prepare one"
        )
    held_out = Labelled(*labelled(store.isel(sample=validation), grid, fields))
    fitted = PixelDDPM(fields.volumes(grid), run, minutes, held_out).fit(
        *labelled(training_states(store), grid, fields)
    )
    count, pace = sum(p.numel() for p in fitted.model.parameters()), fitted.seconds_an_evaluation()
    about = (count, {"training": fitted.training_seconds})
    weights = digest(fitted.model)
    return {
        PIXEL: Method(fitted.sample, *about, seconds=SAMPLING_STEPS * pace, digest=weights),
        PIXEL_ALL: Method(fitted.sample_by_all_steps, *about, seeds=1, most=FEW, seconds=STEPS * pace, digest=weights),
    }


def labelled(data: xr.Dataset, grid: OceanGrid, fields: Fields) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """States, parameters, season, setting names."""
    return torch.from_numpy(fields.stack(data, grid)), parameters_of(data), data.season.values, data.setting.values


def digest(*networks: nn.Module) -> str:
    """SHA-256 of all weights."""
    h = hashlib.sha256()
    for own in networks:
        for name, x in sorted(own.state_dict().items()):
            h.update(name.encode() + x.detach().cpu().contiguous().numpy().tobytes())
    return h.hexdigest()
