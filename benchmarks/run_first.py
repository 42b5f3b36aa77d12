"""From a short run: what to make of a few years under new parameters, by the model's own judgement.

    python -m benchmarks.run_first --model runs/gaussian/best --split validation --out docs/run-first

For each setting of the split, four runs from the nearest training setting under its parameters; then, at equal cost:

    run_on           nothing: the runs go on
    settled          the states that were reached, moved to the mean state that stage two expects of them
    settled_member   the same with a mean state drawn for each
    generated_after  members of stage two, each told the state that one run reached
    eof_settled      moved as ``settled``, by the same statistics of EOF coefficients, without an autoencoder
    anderson         moved by Anderson's (1965) acceleration of the annual means of the run itself

and, started without a short run, ``generated``, ``nearest_setting``, ``eof_gp``, ``truth``. The model is stage two
without a network on the published latents, half a minute:

    python train_diffusion.py experiment=dino codec=pretrained/dino-coarse run=runs/gaussian train.samples=32

About 500 model years a setting and length of the short run. What is finished is kept under --run.
"""

import argparse
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from benchmarks.skill.rivals import StateGaussian
from benchmarks.spinup import CONFIG, CONTROL, MEMBERS, STATES, YEARS, gathered, pooled, rounded, share_held, table
from ldm_ocean import OceanLDM, open_states
from ldm_ocean.errors import exit_politely
from ldm_ocean.io.atomic import write_text
from ldm_ocean.metrics.bootstrap import bootstrap
from ldm_ocean.metrics.config import load_config
from ldm_ocean.metrics.kernels import normalising_weights
from ldm_ocean.spinup.experiment import spin_up
from ldm_ocean.spinup.first import FROM_SHORT_RUNS, Reached
from ldm_ocean.spinup.plan import Plan
from ldm_ocean.spinup.starts import GENERATED, NEAREST, REGRESSION, SETTLED, TRUTH, Case, Roads
from ldm_ocean.spinup.summary import summary

LENGTHS = (1, 3, 10)
EOF_SETTLED, ANDERSON = "eof_settled", "anderson"
RIDGE = 1e-3  # of each step's square: annual means differ by weather too


def eof_settled(roads: Roads, case: Case, reached: Reached, seed: int) -> xr.Dataset:
    """x' = x + Σ_k Δ_k e_k, Δ from the prior that stage two has, of EOF coefficients."""
    order = [case.parameters[k] for k in roads.store.attrs["parameters"]]
    statistics = _statistics(roads)
    x = roads.fields.stack(reached.states, roads.grid)
    moved = x + statistics.settling(x, np.array(order), reached.states.season.values).numpy()
    return roads.fields.unstack(moved, roads.grid)


@lru_cache(1)
def _statistics(roads: Roads) -> StateGaussian:
    x, parameters, season, setting = roads.training
    statistics = StateGaussian(roads.fields.volumes(roads.grid)).fit(x, parameters, season, setting)
    names = np.unique(setting)
    way = ~roads.store.equilibrium.values & np.isin(roads.store.setting.values, names)
    unfinished = roads.store.isel(sample=np.flatnonzero(way))
    states, asked = roads.fields.stack(unfinished, roads.grid), np.searchsorted(names, unfinished.setting.values)
    statistics.learn_from_earlier(states, unfinished.season.values, asked)
    return statistics


def anderson(roads: Roads, case: Case, reached: Reached, seed: int) -> xr.Dataset:
    """x' = x − Σ_i θ_i (x̄_{i+1} − x̄_i), θ = argmin |r_n − Σ_i θ_i (r_{i+1} − r_i)|², r_i = x̄_{i+1} − x̄_i."""
    volumes = roads.fields.volumes(roads.grid)
    root = np.sqrt(normalising_weights(roads.training[0].double(), volumes).numpy())
    x = roads.fields.stack(reached.states, roads.grid)
    for n, years in enumerate(reached.years):
        residuals = np.diff(np.stack(years), axis=0)
        if len(residuals) < 2:
            continue
        steps = (root * np.diff(residuals, axis=0)).reshape(len(residuals) - 1, -1)
        last = (root * residuals[-1]).ravel()
        products = steps @ steps.T
        theta = np.linalg.solve(products + RIDGE * np.diag(np.diag(products)), steps @ last)
        x[n] -= np.tensordot(theta, residuals[1:], 1).astype("float32")
    return roads.fields.unstack(x, roads.grid)


AGAINST = "D, second year / settled"
COLUMNS = """
Columns as in docs/spinup.md; four starts of a road in every setting, ten model years each, after the short run where
there is one. The last column is paired over settings, with a 95 % interval.
"""
ROADS = (*FROM_SHORT_RUNS, EOF_SETTLED, ANDERSON, GENERATED, NEAREST, REGRESSION, TRUTH)
FROM_SHORT_RUNS |= {EOF_SETTLED: eof_settled, ANDERSON: anderson}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("runs/gaussian/best"))
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--years", type=float, nargs="+", default=LENGTHS, help="of the short run, one after another")
    parser.add_argument("--run", type=Path, default=Path("runs/run-first"), help="where runs are kept")
    parser.add_argument("--out", type=Path, default=Path("docs/run-first"), help="name of page and JSON")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    model, store = OceanLDM.from_pretrained(args.model), open_states(STATES)
    names = sorted(set(store.setting.values[store.split.values == args.split]))
    cases, regions = [Case.of_setting(store, name, MEMBERS) for name in names], load_config(CONFIG).regions
    results = {}
    for years in args.years:
        plan = Plan(MEMBERS, YEARS, 1 / 12, CONTROL, regions=regions, first=(years,), roads=ROADS)
        results[f"{years:g}"] = spin_up(model, store, cases, plan, args.run / f"{args.split}-{years:g}", args.workers)
    write_text(args.out.with_suffix(".json"), json.dumps(rounded(results), separators=(",", ":")))
    write_text(args.out.with_suffix(".md"), page(results, args.split))
    print(args.out.with_suffix(".md"))


def page(results: dict[str, dict], split: str) -> str:
    """The results as Markdown."""
    about = (__doc__ or "").split("\n\n", 2)[2]
    text = f"# From a short run\n\nWritten by `python -m benchmarks.run_first`, {split} settings. {about}{COLUMNS}"
    for years, result in results.items():
        scalars = [f"{box}.{name}" for box in result["boxes"] for name in ("toce", "soce")]
        told = {name: summary(own, 0, scalars) for name, own in result["settings"].items()}
        head = ["", "starts", "blow-ups", "shock (largest)", "D, first year", "D, second year", "drift held"]
        rows = [[*row[:6], row[-1], _against(told, row[0])] for row in pooled(told)]
        text += f"\n## {years} years first\n\n" + _targets(told) + "\n" + table([*head, AGAINST], rows)
    return text


def _targets(told: dict[str, dict]) -> str:
    """What was asked of settled states before they were run."""
    own = {name: roads[SETTLED] for name, roads in told.items()}
    ratio = np.median(gathered(own, "year_after")) / np.median(
        gathered({n: roads[TRUTH] for n, roads in told.items()}, "year_after")
    )
    shock, held = max(gathered(own, "shock")), share_held(own)
    rows = [
        ["D in the second year at most 1.1 × that of restarts from truth", f"{ratio:.2f} ×", ratio <= 1.1],
        ["largest shock at most twice that of restarts from truth", f"{shock:.2f}", shock <= 2],
        ["deep- and bottom-water drift held, at least 97 %", f"{held:.0%}", held >= 0.97],
    ]
    return table(["target, settled", "measured", ""], [[*row, "met" if met else "missed"] for *row, met in rows])


def _against(told: dict[str, dict], road: str) -> str:
    """Ratio of the settings' mean D in the second year to that of settled states, with its interval."""
    means = [np.array([np.mean(own[r]["year_after"]) for own in told.values()]) for r in (road, SETTLED)]
    if road == SETTLED:
        return ""
    ratio, low, high = bootstrap(lambda a, b: float(a.mean() / b.mean()), *means)
    verdict = "better" if high < 1 else "worse" if low > 1 else "tied"
    return f"{ratio:.2f} [{low:.2f}, {high:.2f}] {verdict}"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    exit_politely(main)
