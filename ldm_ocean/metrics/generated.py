"""Scores of generated states: those of a model, drawn here, and those of a store."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..errors import UserError
from ..io.states import members_as_samples, parameters_of
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .baselines import Baselines, in_season
from .config import EvaluateConfig
from .context import score_context
from .eof import EofGaussianProcess
from .scoring import chosen_settings, evaluate
from .verdict import verdict


def model_functions(model) -> tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]:
    """``generate`` (with options of ``OceanLDM.sample``) and ``reconstruct``, tensors in and out."""
    fields, grid = model.fields, model.grid

    def states(data: xr.Dataset, dim: str) -> Tensor:
        return torch.from_numpy(fields.stack(data.rename({dim: "sample"}) if dim != "sample" else data, grid))

    def generate(parameters, season, members, seed, **options):
        drawn = model.sample(parameters, members=members, seed=seed, season=season, extrapolate=True, **options)
        return states(drawn, "member")

    def reconstruct(x):
        return states(model.decode(model.encode(fields.unstack(x.numpy(), grid))), "sample")

    return generate, reconstruct


class StoredStates:
    """A store of generated states as a generator: those of the parameters and, where known, the season asked for."""

    def __init__(self, data: xr.Dataset, grid: OceanGrid, fields: Fields, names: list[str]):
        self.data = members_as_samples(data, "generated")
        missing = [k for k in names if k not in self.data.coords]
        if missing:
            raise UserError(f"the generated states lack the parameter {missing[0]!r}: write it as a coordinate on them")
        count = self.data.sizes["sample"]
        self.parameters = {k: np.broadcast_to(self.data[k].values, count) for k in names}
        self.states = torch.from_numpy(fields.stack(self.data, grid))

    def of(self, parameters: dict[str, float]) -> np.ndarray:
        """Indices of the states with these parameters."""
        same = [np.isclose(self.parameters[k], v, rtol=1e-4, atol=0) for k, v in parameters.items()]
        return np.flatnonzero(np.all(same, 0))

    def __call__(self, parameters: dict[str, float], season: float, members: int, seed: int) -> Tensor:
        own = self.of(parameters)
        if "season" in self.data.coords:
            seasons = np.broadcast_to(self.data.season.values, self.data.sizes["sample"])
            own = own[in_season(seasons[own], season)]
        return self.states[own[:members]]


def score_model(model, store: xr.Dataset, config: EvaluateConfig) -> dict:
    """``evaluate``, ``score_context`` if the model knows contexts, and ``verdict`` on the settings of ``store``."""
    model.grid.check_same(OceanGrid.from_dataset(store), "the store", "prepare its states on the model's mesh")
    generate, reconstruct = model_functions(model)
    chosen = chosen_settings(store, config)  # refused before the work, not after it
    training = training_states(store, config.train)
    baselines = Baselines.fit(training, model.grid, model.fields, config.baselines)
    result = evaluate(generate, store, model.grid, model.fields, baselines, config, reconstruct)

    def continue_from(parameters, season, context, members, seed):
        return generate(parameters, season, members, seed, context=context)

    if config.context and model.knows_context:
        asked = (config.splits, config.members, config.seed)
        result["context"] = score_context(continue_from, store, model.grid, model.fields, *asked)
    left_out = [] if config.context else ["starts from unfinished states"]
    every = chosen_settings(store, replace(config, settings=0))
    if len(chosen) < len(every):
        left_out.append(f"{len(every) - len(chosen)} of {len(every)} settings")
    return {**result, "left_out": left_out, "verdict": verdict(result)}


def score_store(generated: xr.Dataset, truth: xr.Dataset, config: EvaluateConfig) -> dict:
    """``evaluate`` of stored generated states on the settings of ``truth`` whose parameters they have."""
    grid = OceanGrid.from_dataset(truth)
    mend = "give the store that the states were generated for, or one on their grid"
    grid.check_same(OceanGrid.from_dataset(generated), "the store of generated states", mend)
    fields = Fields.from_dataset(truth, [k for k in Fields.from_dataset(truth).names if k in generated])
    names = list(truth.attrs["parameters"])
    stored = StoredStates(generated, grid, fields, names)
    baselines = Baselines.fit(training_states(truth, config.train), grid, fields, config.baselines)
    rows, place = np.unique(parameters_of(truth), axis=0, return_inverse=True)
    keep = np.array([len(stored.of(dict(zip(names, row, strict=True)))) > 0 for row in rows])[place.reshape(-1)]
    if not keep.any():
        raise UserError("no setting of the reference has the parameters of these states: compare their coordinates")
    return evaluate(stored, truth.isel(sample=np.flatnonzero(keep)), grid, fields, baselines, config)


def training_states(store: xr.Dataset, splits: Sequence[str] = ("train",)) -> xr.Dataset:
    """The equilibrium states of the training ``splits``; UserError if there are none."""
    keep = np.isin(store.split.values, splits) & store.equilibrium.values
    if not keep.any():
        raise UserError(f"the store has no equilibrium states of split {splits[0]!r}: the baselines need them")
    return store.isel(sample=np.flatnonzero(keep))


def regressed(
    store: xr.Dataset,
    grid: OceanGrid,
    fields: Fields,
    parameters: dict[str, float],
    season: float,
    members: int,
    seed: int,
) -> np.ndarray:
    """Members (M, V, D, Y, X) of an ``EofGaussianProcess`` of the training states in ``store``, at ``parameters``.

    UserError where they are of another ocean, or fewer than ``members``: the weather is theirs, each taken once.
    """
    grid.check_same(OceanGrid.from_dataset(store), "the store", "give the states that the model was trained on")
    names = list(store.attrs["parameters"])
    if set(names) != set(parameters):
        raise UserError(f"the training states have the parameters {', '.join(names)}: give the model's own")
    data = training_states(store)
    if members > data.sizes["sample"]:
        raise UserError(f"members={members}: there is weather of {data.sizes['sample']} training states, ask for fewer")
    states = torch.from_numpy(fields.stack(data, grid))
    process = EofGaussianProcess(fields.volumes(grid))
    process.fit(states, parameters_of(data), data.season.values, data.setting.values)
    return process.sample(np.array([parameters[k] for k in names]), season, members, seed).numpy()
