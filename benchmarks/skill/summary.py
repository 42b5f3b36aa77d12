"""Records of settings and seeds to one number a score, with its bootstrap interval over settings."""

import numpy as np

from ldm_ocean.metrics.bootstrap import bootstrap
from ldm_ocean.metrics.kernels import ratio
from ldm_ocean.metrics.response import response, sweeps

from .board import Board, Record
from .methods import OURS, REFERENCE

Interval = tuple[float, float, float]  # value, low, high


def summarise(records: dict[str, list[dict[str, Record]]], splits: dict[str, list[str]]) -> dict:
    """{split: {method: {score: {name: (value, low, high)}}}} of records by method, seed and setting.

    ``crps_relative`` is the mean over variables of CRPS/CRPS(climatology), ``energy_relative`` the same of the energy
    score of whole states; ``crps_to_ours`` and ``energy_to_ours`` are those over our own, where we take part. Intervals
    are of both methods on the same settings: where they hold 1, the two are tied.
    """
    out: dict = {}
    for split, settings in splits.items():
        arrays = {m: _arrays(seeds, settings) for m, seeds in records.items()}
        reference = arrays[REFERENCE]
        out[split] = {m: _scores(own) | _relative(own, reference, "relative") for m, own in arrays.items()}
        for m, own in arrays.items() if OURS in arrays else ():
            out[split][m] |= _relative(own, arrays[OURS], "to_ours")
    return out


def _arrays(seeds: list[dict[str, Record]], settings: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """{score: {name: (settings, seeds)}}."""
    first = seeds[0][settings[0]]
    return {
        k: {n: np.array([[seed[s][k][n] for seed in seeds] for s in settings]) for n in names}
        for k, names in first.items()
    }


def _scores(arrays: dict) -> dict[str, dict[str, Interval]]:
    kinds = {k: _rms if k in ("rmse", "spread", "skill") else _mean for k in arrays}
    out = {k: {n: bootstrap(kinds[k], x) for n, x in own.items()} for k, own in arrays.items()}
    out["spread_skill"] = {
        n: bootstrap(lambda a, b: _rms(a) / _rms(b), arrays["spread"][n], arrays["skill"][n]) for n in arrays["skill"]
    }
    return out


def _relative(own: dict, reference: dict, name: str) -> dict[str, dict[str, Interval]]:
    def over(x, y):
        return float((x.mean((0, 1)) / y.mean((0, 1))).mean())

    def stacked(arrays, kind):
        return np.stack(list(arrays[kind].values()), -1)

    pairs = {f"crps_{name}": "crps", f"energy_{name}": "energy_of_state"}
    return {k: {"all": bootstrap(over, stacked(own, s), stacked(reference, s))} for k, s in pairs.items()}


def ranges(board: Board, splits: dict[str, list[str]]) -> dict[str, dict[str, Interval]]:
    """{split: {scalar: (mean, least, greatest)}} of the truth over its settings."""
    out = {}
    for split, settings in splits.items():
        own = [board.of_truth(name) for name in settings]
        columns = {k: np.array([x[k] for x in own]) for k in own[0]}
        out[split] = {k: (float(x.mean()), float(x.min()), float(x.max())) for k, x in columns.items()}
    return out


def _mean(x: np.ndarray) -> float:
    return float(x.mean())


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))


def responses(board: Board, names: list[str], means: dict[str, list[dict[str, dict[str, float]]]]) -> dict:
    """{parameter: {diagnostic: {"signal": number, method: {slope, low, high, r2}}}}, seeds averaged.

    ``means`` by method, seed, setting of the sweep and diagnostic.

    ``signal`` is the spread of the simulated means over the sweep in units of that within a setting, seasons included:
    where it is small, a slope means little.
    """
    simulated, within = board.response()
    members = sweeps(np.stack([c.parameters for c in board.sweep.values()]))
    out: dict = {}
    for name, own in zip(names, members, strict=True):
        out[name] = {k: {"signal": float(ratio(x[own].std(), within[k][own].mean()))} for k, x in simulated.items()}
        for method, seeds in means.items():
            for k, x in simulated.items():
                generated = np.mean([[seed[s][k] for s in board.sweep] for seed in seeds], 0)
                out[name][k][method] = vars(response(x[own], generated[own]))
    return out
