"""Ensembles of one method on every setting to be judged, scored by the kernels of ``ldm_ocean.metrics``.

A record holds {score: {name: number}} for one setting and one seed; names are variables, diagnostics, or ``all``.
"""

import hashlib
import json
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ldm_ocean import __version__
from ldm_ocean.errors import UserError
from ldm_ocean.metrics import Diagnostics, kernels
from ldm_ocean.metrics.config import EvaluateConfig
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.scoring import Tally
from ldm_ocean.metrics.truth import Truth, seed_of
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from . import forcing
from .distances import Distances
from .methods import Method

CENTRAL = 0.8  # the interval whose coverage is counted: the widest that 9 members bound
SWEEP_SPLITS, SWEEP_MEMBERS = ("sweep", "centre"), 2  # members a season; all seasons of the truth are asked for
ALL, STATE = "all", (-4, -3, -2, -1)
Record = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Case:
    """A setting and its truth."""

    name: str
    split: str
    truth: Truth

    @property
    def parameters(self) -> np.ndarray:
        return np.array(list(self.truth.parameters.values()))


class Board:
    """What is judged, and against what; ``cases`` by setting, ``sweep`` likewise for the parameter response."""

    def __init__(self, store: xr.Dataset, config: EvaluateConfig):
        self.config = config
        self.grid, self.fields = OceanGrid.from_dataset(store), Fields.from_dataset(store)
        self.volumes = self.fields.volumes(self.grid)
        self.training = torch.from_numpy(self.fields.stack(training_states(store), self.grid))
        self.weights = kernels.normalising_weights(self.training, self.volumes)
        self.diagnostics = Diagnostics(self.grid, self.fields, config.regions)
        self.distances = Distances(self.grid, self.fields, self.training)
        self.heat = forcing.SurfaceHeat(self.grid, self.fields) if forcing.SurfaceHeat.is_of(store) else None
        self.cases = self._cases(store, tuple(config.splits), config.verifying)
        self.sweep = self._cases(store, SWEEP_SPLITS, store.sizes["sample"])
        if not self.cases:
            raise UserError(f"no equilibrium states of splits {', '.join(config.splits)}: name others in the config")
        self.held_out = {
            k: kernels.nearest_distance(c.truth.states, self.training, self.weights) for k, c in self.cases.items()
        }

    def _cases(self, store: xr.Dataset, splits: tuple[str, ...], count: int) -> dict[str, Case]:
        wanted = np.isin(store.split.values, splits) & store.equilibrium.values
        split_of = dict(zip(store.setting.values[wanted], store.split.values[wanted], strict=True))
        return {
            str(name): Case(str(name), str(split_of[name]), Truth.of(store, name, self.fields, self.grid, count))
            for name in sorted(split_of)
        }

    @property
    def units(self) -> dict[str, str]:
        """Of variables and scalars."""
        own = {f.name: f.attrs.get("units", "1") for f in self.fields} | self.diagnostics.units
        return own | ({forcing.NAME: forcing.UNIT} if self.heat else {})

    @property
    def digest(self) -> str:
        """SHA-256 of all that a record depends on but the method."""
        h = hashlib.sha256(json.dumps([__version__, asdict(self.config), self.units]).encode())
        for x in (self.training, *(c.truth.every for c in (*self.cases.values(), *self.sweep.values()))):
            h.update(x.numpy().tobytes())
        return h.hexdigest()

    def score(self, method: Method, name: str, seed: int) -> Record:
        """A record of one of ``cases``, with the seconds a member took."""
        case, start = self.cases[name], time.perf_counter()
        ensembles = draw(method, case, self.config.members, seed)
        seconds = (time.perf_counter() - start) / sum(map(len, ensembles))
        return self._record(ensembles, name) | {"seconds": {ALL: seconds}}

    def simulated(self) -> dict[str, Record]:
        """Records of the yardstick ``simulation`` (see ``ldm_ocean.metrics.truth``); empty where states are too few."""
        if min(len(c.truth.every) for c in self.cases.values()) < 3:
            return {}
        return {name: self._record(c.truth.simulated(), name) for name, c in self.cases.items()}

    def of_truth(self, name: str) -> dict[str, float]:
        """The scalars of the verifying states."""
        truth = self.cases[name].truth
        ensembles = [x[None] for x in truth.states]
        return self._scalars(ensembles, [self.diagnostics(e) for e in ensembles], truth)

    def _record(self, ensembles: list[Tensor], name: str) -> Record:
        case = self.cases[name]
        states = case.truth.states
        record = self._by_variable(ensembles, states) | self._whole(ensembles, states, self.held_out[name])
        target, values = self.diagnostics(states), [self.diagnostics(e) for e in ensembles]
        record["diagnostic_crps"] = {
            k: float(np.mean([kernels.fair_crps(v[k], y) for v, y in zip(values, target[k], strict=True)]))
            for k in target
        }
        record["diagnostic_mean"] = self._scalars(ensembles, values, case.truth)
        record["power"] = self.distances.power(ensembles, states)
        return record | {"census": {ALL: self.distances.census(ensembles, states)}}

    def _by_variable(self, ensembles: list[Tensor], states: Tensor) -> Record:
        tally = Tally(self.volumes, self.training.double().mean(0))
        for members, state in zip(ensembles, states, strict=True):
            tally.update(members, state)
        scores = tally.record(self.fields.names)
        record = {k: {n: own[k] for n, own in scores.items()} for k in ("crps", "energy", "rmse", "spread", "skill")}
        pairs = zip(ensembles, states, strict=True)
        covered = torch.stack([self._coverage(members, state) for members, state in pairs]).mean(0)
        return record | {"coverage": dict(zip(self.fields.names, covered.tolist(), strict=True))}

    def _coverage(self, members: Tensor, state: Tensor) -> Tensor:
        """(V,), NaN where the members are too few to bound the interval."""
        if (len(members) - 1) / (len(members) + 1) < CENTRAL:
            return torch.full((len(self.fields),), torch.nan, dtype=torch.float64)
        return kernels.coverage(members, state, self.volumes, CENTRAL)

    def _whole(self, ensembles: list[Tensor], states: Tensor, held_out: Tensor) -> Record:
        """Scores of whole states, all variables in units of their spread over the training states."""
        scale = float(self.weights.sum()) ** 0.5
        pairs = zip(ensembles, states, strict=True)
        energy = [scale * kernels.energy_score(e, y, self.weights, STATE) for e, y in pairs]
        distances = kernels.nearest_distance(torch.cat(ensembles), self.training, self.weights)
        each = zip(*ensembles, strict=False)  # member m in every season, as many as the smallest ensemble has
        variance = [kernels.diversity(torch.stack(m), states, self.weights, STATE) for m in each]
        return {
            "energy_of_state": {ALL: float(torch.stack(energy).mean())},
            "memorisation": {ALL: float(kernels.memorisation(distances, held_out))},
            "diversity": {ALL: float(torch.stack(variance).mean())},
        }

    def _scalars(self, ensembles: list[Tensor], values: list[dict], truth: Truth) -> dict[str, float]:
        """Mean of the diagnostics' ``values`` over members and seasons, and the surface heat flux of the year."""
        out = {k: float(np.mean([v[k].mean() for v in values])) for k in self.diagnostics.units}
        if self.heat:
            out[forcing.NAME] = self.heat(ensembles, truth.season, truth.parameters)
        return out

    def means(self, method: Method, name: str, seed: int) -> dict[str, float]:
        """Mean of each diagnostic over the states drawn for one of ``sweep``."""
        drawn = self.diagnostics(torch.cat(draw(method, self.sweep[name], SWEEP_MEMBERS, seed)))
        return {k: float(x.mean()) for k, x in drawn.items()}

    def response(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The same of the truth, and its spread over the states of a setting, seasons included: name → (S,)."""
        values = [self.diagnostics(c.truth.every) for c in self.sweep.values()]
        mean = {k: np.array([v[k].mean() for v in values]) for k in self.diagnostics.units}
        return mean, {k: np.array([v[k].std() for v in values]) for k in self.diagnostics.units}


def draw(method: Method, case: Case, members: int, seed: int) -> list[Tensor]:
    """An ensemble for each season of a case, with noise of its own."""
    seasons = enumerate(case.truth.season)
    members = min(members, method.most)
    return [method.sample(case.parameters, float(t), members, seed_of(seed, case.name, i)) for i, t in seasons]
