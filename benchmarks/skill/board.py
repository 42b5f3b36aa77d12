"""Ensembles of one method on every setting to be judged, scored by the kernels of ``ldm_ocean.metrics``.

A record holds {score: {name: number}} for one setting and one seed; names are variables, diagnostics, or ``all``.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ldm_ocean.data.fields import Fields
from ldm_ocean.data.states import parameters_of
from ldm_ocean.errors import UserError
from ldm_ocean.evaluate import training_states
from ldm_ocean.grid import OceanGrid
from ldm_ocean.metrics import Diagnostics, kernels
from ldm_ocean.metrics.scoring import EvaluateConfig, Tally, verifying_states

from .methods import Method

CENTRAL = 0.8  # the interval whose coverage is counted: the widest that 9 members bound
SWEEP_SPLITS, SWEEP_MEMBERS = ("sweep", "centre"), 2  # members a season; all seasons of the truth are asked for
ALL, STATE = "all", (-4, -3, -2, -1)
Record = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Case:
    """A setting: its parameters (P,) and verifying states (N, V, D, Y, X) with their seasons (N,)."""

    split: str
    parameters: np.ndarray
    season: np.ndarray
    states: Tensor


class Board:
    """What is judged, and against what; ``cases`` by setting, ``sweep`` likewise for the parameter response."""

    def __init__(self, store: xr.Dataset, config: EvaluateConfig):
        self.config = config
        self.grid, self.fields = OceanGrid.from_dataset(store), Fields.from_dataset(store)
        self.volumes = self.fields.volumes(self.grid)
        self.training = torch.from_numpy(self.fields.stack(training_states(store), self.grid))
        self.weights = kernels.normalising_weights(self.training, self.volumes)
        self.diagnostics = Diagnostics(self.grid, self.fields, config.regions, store.attrs.get("equation_of_state"))
        self.cases = self._cases(store, tuple(config.splits), config.verifying)
        self.sweep = self._cases(store, SWEEP_SPLITS, store.sizes["sample"])
        if not self.cases:
            raise UserError(f"no equilibrium states of splits {', '.join(config.splits)}: name others in the config")
        self.held_out = {
            k: kernels.nearest_distance(c.states, self.training, self.weights) for k, c in self.cases.items()
        }

    def _cases(self, store: xr.Dataset, splits: tuple[str, ...], count: int) -> dict[str, Case]:
        wanted = np.isin(store.split.values, splits) & store.equilibrium.values
        out = {}
        for name in np.unique(store.setting.values[wanted]):
            samples = store.isel(sample=verifying_states(store, name, count))
            states = torch.from_numpy(self.fields.stack(samples, self.grid))
            out[str(name)] = Case(
                str(samples.split.values[0]), parameters_of(samples)[0], samples.season.values, states
            )
        return out

    def score(self, method: Method, seed: int) -> dict[str, Record]:
        """A record for each setting of ``cases``, with the seconds a member took."""
        return {name: self._score_case(method, name, case, seed) for name, case in self.cases.items()}

    def _score_case(self, method: Method, name: str, case: Case, seed: int) -> Record:
        start = time.perf_counter()
        ensembles = draw(method, case, self.config.members, seed)
        seconds = (time.perf_counter() - start) / sum(map(len, ensembles))
        record = self._by_variable(ensembles, case) | self._whole(ensembles, case, self.held_out[name])
        truth, values = self.diagnostics(case.states), [self.diagnostics(e) for e in ensembles]
        record["diagnostic_crps"] = {
            k: float(np.mean([kernels.fair_crps(v[k], y) for v, y in zip(values, truth[k], strict=True)]))
            for k in truth
        }
        return record | {"seconds": {ALL: seconds}}

    def _by_variable(self, ensembles: list[Tensor], case: Case) -> Record:
        tally = Tally(self.volumes, self.training.double().mean(0))
        for members, state in zip(ensembles, case.states, strict=True):
            tally.update(members, state)
        scores = tally.record(self.fields.names)
        record = {k: {n: own[k] for n, own in scores.items()} for k in ("crps", "energy", "rmse", "spread", "skill")}
        pairs = zip(ensembles, case.states, strict=True)
        covered = torch.stack([self._coverage(members, state) for members, state in pairs]).mean(0)
        return record | {"coverage": dict(zip(self.fields.names, covered.tolist(), strict=True))}

    def _coverage(self, members: Tensor, state: Tensor) -> Tensor:
        """(V,), NaN where the members are too few to bound the interval."""
        if (len(members) - 1) / (len(members) + 1) < CENTRAL:
            return torch.full((len(self.fields),), torch.nan, dtype=torch.float64)
        return kernels.coverage(members, state, self.volumes, CENTRAL)

    def _whole(self, ensembles: list[Tensor], case: Case, held_out: Tensor) -> Record:
        """Scores of whole states, all variables in units of their spread over the training states."""
        scale = float(self.weights.sum()) ** 0.5
        pairs = zip(ensembles, case.states, strict=True)
        energy = [scale * kernels.energy_score(e, y, self.weights, STATE) for e, y in pairs]
        distances = kernels.nearest_distance(torch.cat(ensembles), self.training, self.weights)
        each = zip(*ensembles, strict=False)  # member m in every season, as many as the smallest ensemble has
        variance = [kernels.diversity(torch.stack(m), case.states, self.weights, STATE) for m in each]
        return {
            "energy_of_state": {ALL: float(torch.stack(energy).mean())},
            "memorisation": {ALL: float(kernels.memorisation(distances, held_out))},
            "diversity": {ALL: float(torch.stack(variance).mean())},
        }

    def means(self, method: Method, seed: int) -> dict[str, np.ndarray]:
        """Mean of each diagnostic over the states drawn for each setting of ``sweep``: name → (S,)."""
        drawn = [self.diagnostics(torch.cat(draw(method, c, SWEEP_MEMBERS, seed))) for c in self.sweep.values()]
        return {k: np.array([d[k].mean() for d in drawn]) for k in self.diagnostics.units}

    def simulated(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The same of the truth, and its spread over the states of a setting, seasons included: name → (S,)."""
        values = [self.diagnostics(c.states) for c in self.sweep.values()]
        mean = {k: np.array([v[k].mean() for v in values]) for k in self.diagnostics.units}
        return mean, {k: np.array([v[k].std() for v in values]) for k in self.diagnostics.units}


def draw(method: Method, case: Case, members: int, seed: int) -> list[Tensor]:
    """An ensemble for each season of a case; season i of seed s is drawn with 1000 s + i."""
    return [method.sample(case.parameters, float(t), members, 1000 * seed + i) for i, t in enumerate(case.season)]
