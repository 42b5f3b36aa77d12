"""From an unfinished spin-up to its end: is the generated state nearer to the spun-up truth than its context?

Distance of a state to the truth is the root mean square over wet volume, taken to every equilibrium state of the same
simulation in the context's season. One member is compared with one context: both are single realisations, and both
carry weather; the ensemble mean, which carries none, is given beside them.
"""

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..bar import bar
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .accumulators import StateError
from .baselines import in_season
from .truth import seed_of

Continue = Callable[[dict[str, float], float, xr.Dataset, int, int], Tensor]
"""(parameters, season, context, members, seed) → (M, V, D, Y, X)."""


def score_context(
    continue_from: Continue,
    truth: xr.Dataset,
    grid: OceanGrid,
    fields: Fields,
    splits: list[str],
    members: int,
    seed: int,
) -> dict:
    """{split: {variable: {context, member, mean}}}: RMS distances to the spun-up truth, in the variable's unit.

    Every unfinished state of every setting in ``splits`` serves as a context once.
    """
    volumes, names = fields.volumes(grid), fields.names
    result = {}
    unfinished = np.isin(truth.split.values, splits) & ~truth.equilibrium.values
    progress = bar(int(unfinished.sum()), "start", what="from unfinished states")
    for split in splits:
        errors = {k: StateError(volumes, torch.zeros_like(volumes)) for k in ("context", "member", "mean")}
        own = truth.isel(sample=np.flatnonzero(truth.split.values == split))
        states = torch.from_numpy(fields.stack(own, grid))
        for i in np.flatnonzero(~own.equilibrium.values):
            finished = np.flatnonzero(own.equilibrium.values & (own.setting.values == own.setting.values[i]))
            season = float(own.season[i])
            targets = states[finished[in_season(own.season.values[finished], season)]]
            parameters = {k: float(own[k][i]) for k in truth.attrs["parameters"]}
            noise = seed_of(seed, "context", str(own.setting.values[i]), int(i))
            drawn = continue_from(parameters, season, own.isel(sample=[i]), members, noise)
            for target in targets:
                errors["context"].update(states[i][None], target[None])
                errors["member"].update(drawn, target.expand_as(drawn))
                errors["mean"].update(drawn.mean(0, keepdim=True), target[None])
            progress.update()
        if errors["context"].count > 0:
            rmse = {k: e.scores()["rmse"].tolist() for k, e in errors.items()}
            result[split] = {name: {k: r[v] for k, r in rmse.items()} for v, name in enumerate(names)}
    progress.close()
    return result
