"""Score a generator of ocean states on settings it has never seen, beside the baselines.

For each setting some of its equilibrium states, spread over the seasons, are the verifying truth; each is met by an
ensemble drawn for the setting's parameters and that state's season. Scores are taken against the truth and, where an
autoencoder is given, against decode(encode(truth)), which tells its loss from the generator's. Beside the baselines
stands ``simulation``: the setting's own other states of the same season, which have seen the test truth and so are no
baseline; how they score is the truth's sampling uncertainty.
"""

import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import xarray as xr
from torch import Tensor

from ..bar import bar
from ..errors import UserError
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from .accumulators import EnsembleScore, StateError
from .baselines import Baselines
from .bootstrap import bootstrap
from .config import EvaluateConfig
from .diagnostics import Diagnostics
from .kernels import FIELD, fair_crps, ratio, rmse
from .truth import Truth, seed_of, verifying_states

MODEL, RECONSTRUCTION, SIMULATION, REFERENCE = "model", "reconstruction", "simulation", "climatology"
NOT_BASELINES = (MODEL, RECONSTRUCTION, SIMULATION)
CENTRAL = (0.025, 0.975)  # the quantiles between which a diagnostic lies most of the time
Generate = Callable[[dict[str, float], float, int, int], Tensor]
"""(parameters, season, members, seed) → (M, V, D, Y, X), in the variables' units, 0 on land."""


class Tally:
    """Scores of one method over some verifying states: of its ensembles and of their means."""

    def __init__(self, volumes: Tensor, mean: Tensor):
        self.error, self.ensemble = StateError(volumes, mean), EnsembleScore(volumes)

    def update(self, members: Tensor, truth: Tensor):
        """(M, V, D, Y, X) against (V, D, Y, X); a single member is scored as a deterministic estimate only."""
        self.error.update(members.double().mean(0)[None], truth[None])
        if len(members) > 1:
            self.ensemble.update(members[:, None], truth[None])

    def merge(self, other: "Tally"):
        """Add what another tally has seen; both must have seen something."""
        self.error.merge_state(other.error)
        if other.ensemble.count > 0:
            self.ensemble.merge_state(other.ensemble)

    def record(self, names: list[str]) -> dict[str, dict]:
        """{variable: {score: number, score_by_level: list}}."""
        scores = self.error.scores()
        if self.ensemble.count > 0:
            scores |= self.ensemble.scores()
        return {name: {k: x[v].tolist() for k, x in scores.items()} for v, name in enumerate(names)}


def evaluate(
    generate: Generate,
    truth: xr.Dataset,
    grid: OceanGrid,
    fields: Fields,
    baselines: Baselines,
    config: EvaluateConfig,
    reconstruct: Callable[[Tensor], Tensor] | None = None,
) -> dict:
    """Scores of ``generate`` and of the baselines on every setting of ``truth`` in ``config.splits``; JSON-able.

    ``reconstruct`` maps states (N, V, D, Y, X) to decode(encode(states)). The result holds, under ``settings`` by
    name and pooled under ``splits``, ``scores[against][method][variable]`` with against = truth or reconstruction,
    and ``diagnostics[method][name]`` (mean, std, crps, central 95 %: low, high); scores by level are lists along
    ``depth``. A split's ``relative_crps[method][name]`` (value, low, high) is the CRPS of a variable, of ``all`` of
    them on average or of a diagnostic over that of climatology, with its bootstrap interval over settings;
    ``weather[variable]`` is the RMS of a setting's states about their own mean.
    """
    methods = {MODEL: generate} | {k: _by_name(truth, b) for k, b in baselines.methods.items()}
    diagnostics = Diagnostics(grid, fields, config.regions)
    volumes, names = fields.volumes(grid), fields.names
    pooled: dict[str, dict] = {}
    settings = {}
    chosen = chosen_settings(truth, config)
    yardstick = all(len(verifying_states(truth, name, 3)) == 3 for name, _ in chosen)
    progress = bar(len(chosen), "setting", what="evaluate")
    for name, split in chosen:
        own = Truth.of(truth, name, fields, grid, config.verifying)
        against = {"truth": own.states} | ({RECONSTRUCTION: reconstruct(own.states)} if reconstruct else {})
        ensembles = {k: _ensembles(method, own, config, name) for k, method in methods.items()}
        if yardstick:
            ensembles[SIMULATION] = own.simulated()
        if reconstruct:
            ensembles[RECONSTRUCTION] = [x[None] for x in against[RECONSTRUCTION]]
        tallies = {a: _tally(ensembles, target, volumes, baselines.mean) for a, target in against.items()}
        pooled[split] = _merged(pooled[split], tallies) if split in pooled else deepcopy(tallies)
        settings[name] = {
            "split": split,
            "parameters": own.parameters,
            "season": own.season.tolist(),
            "scores": _records(tallies, names),
            "diagnostics": _diagnose(diagnostics, ensembles, own),
            "weather": dict(zip(names, _weather(own.every.double(), volumes).tolist(), strict=True)),
        }
        progress.update()
    progress.close()
    splits = {s: {"scores": _records(t, names), "diagnostics": _pool(settings, s)} for s, t in pooled.items()}
    for split, record in splits.items():
        record["crps_skill"] = _skill(record["scores"]["truth"])
        of_split = [r for r in settings.values() if r["split"] == split]
        record["relative_crps"] = _relative(of_split, names)
        record["weather"] = {v: math.sqrt(np.mean([r["weather"][v] ** 2 for r in of_split])) for v in names}
    units = {f.name: f.attrs.get("units", "1") for f in fields} | diagnostics.units
    head = {"members": config.members, "verifying": config.verifying, "units": units, "depth": grid["gdept"].tolist()}
    return jsonable({**head, "splits": splits, "settings": settings})


def chosen_settings(truth: xr.Dataset, config: EvaluateConfig) -> list[tuple[str, str]]:
    """(setting, split) of those with states to verify against, at most ``config.settings`` of a split."""
    labels = zip(truth.setting.values.tolist(), truth.split.values.tolist(), truth.equilibrium.values, strict=True)
    pairs = {name: split for name, split, finished in labels if finished}
    chosen = []
    for split in config.splits:
        chosen += [(name, split) for name in sorted(pairs) if pairs[name] == split][: config.settings or None]
    if not chosen:
        raise UserError(
            f"no equilibrium states of splits {', '.join(config.splits)} to verify against: give some runs one of "
            "them (`ldm-ocean prepare --split test`), or name others under `splits:` in the --config"
        )
    return chosen


def _weather(states: Tensor, volumes: Tensor) -> Tensor:
    """RMS of (S, V, D, Y, X) about their mean, (V,)."""
    return rmse(states, states.mean(0), volumes, (0, *FIELD))


def _by_name(truth, baseline) -> Generate:
    order = list(truth.attrs["parameters"])
    return lambda p, season, members, seed: baseline.sample(np.array([p[k] for k in order]), season, members, seed)


def _ensembles(method, truth: Truth, config, setting: str) -> list[Tensor]:
    seeds = [seed_of(config.seed, setting, i) for i in range(len(truth.season))]
    return [method(truth.parameters, float(t), config.members, s) for t, s in zip(truth.season, seeds, strict=True)]


def _tally(ensembles, target, volumes, mean) -> dict[str, Tally]:
    out = {}
    for method, drawn in ensembles.items():
        out[method] = Tally(volumes, mean)
        for members, state in zip(drawn, target, strict=True):
            out[method].update(members, state)
    return out


def _merged(sums, tallies):
    for against, methods in tallies.items():
        for method, tally in methods.items():
            sums[against][method].merge(tally)
    return sums


def _records(tallies, names) -> dict:
    return {a: {k: t.record(names) for k, t in tally.items()} for a, tally in tallies.items()}


def _diagnose(diagnostics, ensembles, truth: Truth) -> dict:
    """Of each scalar mean, standard deviation and central 95 %, and its fair CRPS averaged over the verifying states.

    Of the truth, mean and deviation are those of the verifying states, low and high those of all of its states.
    """
    every = diagnostics(truth.every)
    targets = {k: v[truth.verifying] for k, v in every.items()}
    out = {"truth": {k: _moments(v) | _central(every[k]) for k, v in targets.items()}}
    for method, drawn in ensembles.items():
        values = [diagnostics(members) for members in drawn]
        out[method] = {}
        for name, target in targets.items():
            own = np.concatenate([v[name] for v in values])
            out[method][name] = _moments(own) | _central(own)
            if len(drawn[0]) > 1:
                out[method][name]["crps"] = np.mean(
                    [fair_crps(v[name], y) for v, y in zip(values, target, strict=True)]
                )
    return out


def _moments(x: np.ndarray) -> dict:
    return {"mean": x.mean(), "std": x.std()}


def _central(x: np.ndarray) -> dict:
    return dict(zip(("low", "high"), np.quantile(x, CENTRAL), strict=True))


def _pool(settings: dict, split: str) -> dict:
    """Over the settings of a split: mean error of the scalars' means, its RMS, and the mean CRPS."""
    own = [r["diagnostics"] for r in settings.values() if r["split"] == split]
    out: dict[str, dict] = {}
    for method in [m for m in own[0] if m != "truth"]:
        out[method] = {}
        for name, record in own[0][method].items():
            error = np.array([d[method][name]["mean"] - d["truth"][name]["mean"] for d in own])
            out[method][name] = {"bias": error.mean(), "rmse": np.sqrt((error**2).mean())}
            if "crps" in record:
                out[method][name]["crps"] = np.mean([d[method][name]["crps"] for d in own])
    return out


def _skill(scores: dict) -> dict:
    """1 − CRPS/CRPS(baseline) by baseline and variable: positive where the model is better."""
    baselines = [m for m in scores if m not in NOT_BASELINES]
    model = {v: own["crps"] for v, own in scores[MODEL].items() if "crps" in own}
    return {
        b: {v: 1 - float(ratio(np.float64(x), np.float64(scores[b][v]["crps"]))) for v, x in model.items()}
        for b in baselines
    }


def _relative(settings: list[dict], variables: list[str]) -> dict:
    """{method: {name: (value, low, high)}} of CRPS/CRPS(climatology) over ``settings``; empty without climatology."""

    def crps(method: str) -> dict[str, np.ndarray]:
        rows = [r["scores"]["truth"][method] | r["diagnostics"][method] for r in settings]
        own = {k: np.array([row[k]["crps"] for row in rows]) for k in rows[0] if all("crps" in row[k] for row in rows)}
        return own | ({"all": np.stack([own[v] for v in variables], 1)} if variables[0] in own else {})

    def over(x: np.ndarray, y: np.ndarray) -> float:
        return float(ratio(x.mean(0), y.mean(0)).mean())

    methods = settings[0]["scores"]["truth"]
    if REFERENCE not in methods:
        return {}
    reference = crps(REFERENCE)
    return {m: {k: bootstrap(over, x, reference[k]) for k, x in crps(m).items() if k in reference} for m in methods}


def jsonable(x):
    """Nested dictionaries and sequences of numbers without NaN, which is not JSON: null instead."""
    if isinstance(x, dict):
        return {str(k): jsonable(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [jsonable(v) for v in x]
    if isinstance(x, str | bool | int) or x is None:
        return x
    return float(x) if math.isfinite(x) else None
