"""From where a model may begin: states for given parameters, by whatever road they were made.

generated         members of the diffusion model
fixed             the same, stabilised and balanced
nearest_setting   states of the nearest training setting, or settings where several are equally near
eof_gp            Gaussian-process regression of EOF coefficients
truth             states of a simulation with these very parameters: a restart that nothing is wrong with
rest              the ocean at rest, as the model begins by itself

Those that begin with a short run are in ``first``.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..errors import UserError, nearest
from ..io.states import parameters_of
from ..metrics.baselines import BASELINES
from ..metrics.generated import training_states
from ..metrics.truth import verifying_states
from ..ocean import adjust
from ..ocean.grid import OceanGrid
from ..pipeline import OceanLDM
from ..simulate.dino import YEAR_DAYS, Dino
from ..simulate.ocean import DAY

STEP_DAYS = Dino().step / DAY

GENERATED, FIXED, NEAREST, REGRESSION, TRUTH, REST = ROADS = (
    "generated",
    "fixed",
    "nearest_setting",
    "eof_gp",
    "truth",
    "rest",
)
SETTLED, SETTLED_MEMBER, AFTER, RUN_ON = "settled", "settled_member", "generated_after", "run_on"


def day_of(season: float) -> int:
    """Day of the year on which the basin has a step."""
    return round(round(season * YEAR_DAYS / STEP_DAYS) * STEP_DAYS)


@dataclass(frozen=True)
class Case:
    """Parameters, season to begin in, and ``truth``: states (sample) of a simulation with them, if there is one."""

    name: str
    parameters: dict[str, float]
    season: float
    truth: xr.Dataset | None = None

    @classmethod
    def of_setting(cls, store: xr.Dataset, setting: str, starts: int) -> "Case":
        """A simulated setting, with the ``starts`` equilibrium states of its last season and those around it."""
        if setting not in store.setting.values:
            raise UserError(f"no setting {setting!r} among the states{nearest(setting, np.unique(store.setting))}")
        own = store.isel(sample=verifying_states(store, setting, store.sizes["sample"]))
        if not own.sizes["sample"]:
            raise UserError(f"setting {setting!r} holds no equilibrium state: choose another")
        last = float(own.season[int(own.day.argmax()) if "day" in own.coords else -1])
        away = np.abs((own.season.values - last + 0.5) % 1 - 0.5)
        truth = own.isel(sample=np.argsort(away, kind="stable")[:starts])
        parameters = dict(zip(store.attrs["parameters"], map(float, parameters_of(own)[0]), strict=True))
        return cls(setting, parameters, last, truth)


class Roads:
    """The starting states of a case by road, (sample) with ``season``, and the core-seconds that each took."""

    def __init__(self, model: OceanLDM, store: xr.Dataset):
        self.model, self.store = model, store
        self.grid, self.fields = model.grid, model.fields
        mend = "give the states that the model was trained on"
        self.grid.check_same(OceanGrid.from_dataset(store), "the store", mend)
        self._baselines: dict[str, Any] = {}

    @cached_property
    def training(self) -> tuple[torch.Tensor, np.ndarray, np.ndarray, np.ndarray]:
        """States (N, V, D, Y, X), parameters, season and setting of the training split."""
        data = training_states(self.store)
        x = torch.from_numpy(self.fields.stack(data, self.grid))
        return x, parameters_of(data), data.season.values, data.setting.values

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the training states and their labels: what the roads past the generator follow from."""
        states, parameters, season, setting = self.training
        h = hashlib.sha256("\0".join(map(str, setting)).encode())
        for part in (states.numpy(), parameters, season):
            h.update(part.tobytes())
        return h.hexdigest()

    def states(self, road: str, case: Case, members: int, seed: int) -> tuple[xr.Dataset, float]:
        """At most ``members`` states, and the core-seconds that one took."""
        began = time.process_time()
        if road == TRUTH and case.truth is not None:
            states = case.truth.isel(sample=slice(members))
        elif road in (GENERATED, FIXED):
            states = self._generated(case, members, seed, road == FIXED)
        else:
            states = self._regressed(road, case, members, seed)
        return self.bare(states, case), (time.process_time() - began) / states.sizes["sample"]

    def _generated(self, case: Case, members: int, seed: int, fix: bool) -> xr.Dataset:
        asked = {k: case.parameters[k] for k in self.model.parameters}
        drawn = self.model.sample(asked, members=members, seed=seed, season=case.season).rename(member="sample")
        return adjust.adjusted(drawn, adjust.convective, adjust.geostrophic) if fix else drawn

    def _regressed(self, road: str, case: Case, members: int, seed: int) -> xr.Dataset:
        if road not in self._baselines:
            self._baselines[road] = BASELINES[road](self.fields.volumes(self.grid)).fit(*self.training)
        order = [case.parameters[k] for k in self.store.attrs["parameters"]]
        drawn = self._baselines[road].sample(np.array(order), case.season, members, seed)
        return self.fields.unstack(drawn.numpy(), self.grid)

    def bare(self, states: xr.Dataset, case: Case) -> xr.Dataset:
        """Variables, mesh and season alone."""
        season = states.season.values if "sample" in getattr(states.get("season"), "dims", ()) else case.season
        mesh = self.grid.to_dataset()
        out = states[self.fields.names].reset_coords(drop=True).drop_vars("sample", errors="ignore").merge(mesh)
        seasons = np.broadcast_to(np.float64(season), states.sizes["sample"])
        return out.assign_coords(season=("sample", seasons)).assign_attrs(mesh.attrs)
