"""Whether generated weather is like the ocean's: how much of it there is, and whether a classifier tells it from true.

Weather is what states differ by from the mean year of their setting, found for generated states as for true ones: one
for each of the truth's seasons, all with the most likely mean state, so that no doubt about the mean counts as weather.

    variance   Σ generated / Σ true of the EOF coefficients in a band, EOFs of training weather; 1 is right
    AUC        of a random forest (Breiman 2001) that tells generated from true in settings that it was not trained on:
               by the leading EOF coefficients, and by patches of 3 × 3 × 3 cells of all variables with depth; 0.5 is
               perfect, and what ``real`` reaches, the truth's own states in two halves
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from torch import Tensor

from ldm_ocean.generative.conditions import season_angle
from ldm_ocean.generative.years import decompose, mean_year
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.kernels import normalising_weights
from ldm_ocean.metrics.truth import seed_of
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from .board import Case

BANDS = {"EOF 1–5": slice(0, 5), "EOF 6–20": slice(5, 20), "EOF 21–60": slice(20, 60)}
LEADING = 60
PATCH, PATCHES = 3, 12  # cells a side; of each state
TREES, LEAF, FOLDS = 300, 3, 5
Likely = Callable[[np.ndarray, float, int, int, bool], Tensor]
"""(parameters, season, members, seed, likely) → (M, V, D, Y, X); see ``rivals``."""


@dataclass(frozen=True)
class Pool:
    """Weather of several settings: (n, cells) in units of √weight, and the setting of each row (n,)."""

    weather: Tensor
    setting: np.ndarray


class WeatherBoard:
    """Judges weather of the equilibrium states of ``cases``; EOFs and units are those of training weather."""

    def __init__(self, store: xr.Dataset, grid: OceanGrid, fields: Fields, cases: dict[str, Case]):
        self.fields, self.cases, self.volumes = fields, cases, fields.volumes(grid)
        self.wet = self.volumes > 0
        self.deep = [v for v, f in enumerate(fields) if f.deep]
        training = training_states(store)
        states = torch.from_numpy(fields.stack(training, grid))
        self.root = normalising_weights(states, self.volumes)[self.wet].sqrt().float()
        angle = season_angle(torch.from_numpy(training.season.values)).float()
        x = self._cells(states)
        self.pooled, _ = mean_year(x[..., None], angle)
        own = self._pool(x, angle, training.setting.values).weather
        self.eofs = torch.linalg.svd(own, full_matrices=False)[2][:LEADING]
        self.size = (own @ self.eofs.T).square().mean(0).sqrt()
        self.corners = self._corners(grid)
        self.truth = self._of(lambda name, case: case.truth.every)

    def __call__(self, sample: Likely) -> dict[str, float]:
        """Scores of a generator."""

        def drawn(name: str, case: Case) -> Tensor:
            seasons = [(float(t), seed_of(0, name, i)) for i, t in enumerate(case.truth.seasons)]
            return torch.cat([sample(case.parameters, t, 1, seed, True) for t, seed in seasons])

        return self._compared(self._of(drawn), self.truth)

    def reconstructed(self, reconstruct: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Scores of decode(encode(truth))."""
        return self._compared(self._of(lambda name, case: reconstruct(case.truth.every)), self.truth)

    def real(self) -> dict[str, float]:
        """Scores of every other true state against the others."""
        even = np.arange(len(self.truth.setting)) % 2 == 0
        halves = [Pool(self.truth.weather[torch.from_numpy(h)], self.truth.setting[h]) for h in (even, ~even)]
        return self._compared(*halves)

    def _of(self, states: Callable[[str, Case], Tensor]) -> Pool:
        x = {name: self._cells(states(name, case)) for name, case in self.cases.items()}
        seasons = np.concatenate([c.truth.seasons for c in self.cases.values()])
        setting = np.concatenate([np.repeat(name, len(own)) for name, own in x.items()])
        return self._pool(torch.cat([*x.values()]), season_angle(torch.from_numpy(seasons)).float(), setting)

    def _cells(self, states: Tensor) -> Tensor:
        """Wet cells (n, cells) in units of √weight."""
        return states[:, self.wet] * self.root

    def _pool(self, x: Tensor, angle: Tensor, setting: np.ndarray) -> Pool:
        _, _, rest = decompose(x[..., None], angle, setting, self.pooled)
        return Pool(rest[..., 0], setting)

    def _compared(self, generated: Pool, true: Pool) -> dict[str, float]:
        pairs = [(p.weather @ self.eofs.T / self.size).numpy() for p in (generated, true)]
        scores = {
            f"variance, {k}": float((pairs[0][:, b] ** 2).mean() / (pairs[1][:, b] ** 2).mean())
            for k, b in BANDS.items()
        }
        scores["variance, all"] = float(generated.weather.square().mean() / true.weather.square().mean())
        scores["AUC, EOFs"] = auc(*pairs, generated.setting, true.setting)
        if len(self.corners):
            patches = [self._patches(p.weather) for p in (generated, true)]
            groups = [np.repeat(p.setting, len(self.corners)) for p in (generated, true)]
            scores["AUC, patches"] = auc(*patches, *groups)
        return scores

    def _corners(self, grid: OceanGrid) -> np.ndarray:
        """Places (n, 3) of patches that are wet in all variables with depth, the same for all states."""
        wet = np.all(self.wet.numpy()[self.deep], 0)
        windows = np.lib.stride_tricks.sliding_window_view(wet, (PATCH,) * 3) if min(wet.shape) >= PATCH else wet[:0]
        places = np.argwhere(windows.all((-3, -2, -1))) if windows.size else np.zeros((0, 3), int)
        return np.random.default_rng(0).permutation(places)[:PATCHES]

    def _patches(self, weather: Tensor) -> np.ndarray:
        """(n · places, features): the cells of a patch, and which place it is."""
        whole = torch.zeros(len(weather), *self.volumes.shape)
        whole[:, self.wet] = weather
        cut = [
            whole[:, self.deep, k : k + PATCH, j : j + PATCH, i : i + PATCH].flatten(1).numpy()
            for k, j, i in self.corners
        ]
        place = np.eye(len(self.corners))
        rows = [np.concatenate([x, np.repeat(place[n : n + 1], len(x), 0)], 1) for n, x in enumerate(cut)]
        return np.stack(rows, 1).reshape(-1, rows[0].shape[1])


def auc(generated: np.ndarray, true: np.ndarray, *settings: np.ndarray) -> float:
    """Area under the curve of a forest on rows (n, features), trained on other settings than it is asked about."""
    x, groups = np.concatenate([generated, true]), np.concatenate(settings)
    label = np.repeat([1, 0], [len(generated), len(true)])
    told = np.empty(len(x))
    for train, test in _folds(x, label, groups):
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, random_state=0).fit(x[train], label[train])
        told[test] = forest.predict_proba(x[test])[:, 1]
    return float(roc_auc_score(label, told))


def _folds(x: np.ndarray, label: np.ndarray, groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    count = len(np.unique(groups))
    if count < 2:
        raise ValueError("a classifier needs two settings: one to learn from, one to judge")
    return GroupKFold(min(FOLDS, count)).split(x, label, groups)
