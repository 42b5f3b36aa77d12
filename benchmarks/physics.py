"""Physics in the sampler: what constraints and adjustment change, and what they cost.

    python -m benchmarks.physics [--split validation] [--out docs/physics]

For each verifying state of a split an ensemble is drawn plainly and in each variant, from the same noise. Inventories,
stratification and heat flux are asked to be those of the simulated setting, which a user would know from elsewhere.
Numbers are means over ensembles, seconds medians. Writes <out>.json and <out>.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.bar import each
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.io.atomic import write_text
from ldm_ocean.metrics import Diagnostics, kernels
from ldm_ocean.metrics.config import EvaluateConfig, load_config
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.truth import Truth
from ldm_ocean.ocean.constraints import Inventory, Residual, Stability, Stratification, SurfaceFlux
from ldm_ocean.simulate.dino import GAMMA_T

from .skill.forcing import TARGET, restoring_target

MEMBERS = 16
STATE = (-4, -3, -2, -1)
SCALARS = ("unstable_volume", "geostrophic_residual", "thermal_wind_residual", "surface_tendency")
COLUMNS = {
    "seconds": "s for 16 members",
    "network": "network evaluations",
    "decoder": "of the decoder",
    "inversion": "inversions, RMS [g m-3]",
    "unstable_volume": "unstable volume [%]",
    "stratification": "stratification error [kg m-3]",
    "toce": "mean T error [°C]",
    "soce": "mean S error [g/kg]",
    "flux": "heat flux error [W m-2]",
    "variance": "variance / plain",
    "geostrophic_residual": "geostrophic residual",
    "thermal_wind_residual": "thermal wind residual",
    "surface_tendency": "∂η/∂t [m/day]",
    "crps_toce": "CRPS T [°C]",
    "crps_soce": "CRPS S [g/kg]",
}


class Known:
    """What is asked of one setting: constraints with the values that its simulated states have."""

    def __init__(self, ocean: OceanLDM, truth: Truth, season: float):
        place = (ocean.fields, ocean.grid, ocean.device)
        target = restoring_target(ocean.grid["nav_lat"], season, truth.parameters[TARGET])
        near = truth.every[np.abs((truth.seasons - season + 0.5) % 1 - 0.5) < 0.02]

        def mean(residual: Residual, states: Tensor) -> float:
            return float(residual(states).mean())

        heat = SurfaceFlux("toce", target, -GAMMA_T, 0.0, 1.0)
        self.stability = Stability(1e-3)
        self.stratification = Stratification.like(truth.every, ocean.fields, ocean.grid, 0.005)
        self.inventories = [
            Inventory(k, mean(Inventory(k, 0.0, 1.0).on(*place), truth.every), tolerance)
            for k, tolerance in (("toce", 0.01), ("soce", 0.001))
        ]
        self.flux = SurfaceFlux("toce", target, -GAMMA_T, mean(heat.on(*place), near), 1.0)
        self.errors = {
            "stratification": (self.stratification.on(*place), self.stratification.tolerance),
            "toce": (self.inventories[0].on(*place), self.inventories[0].tolerance),
            "soce": (self.inventories[1].on(*place), self.inventories[1].tolerance),
            "flux": (self.flux.on(*place), self.flux.tolerance),
            "inversion": (self.stability.on(*place), 1.0),  # the tolerance is a gram in the cubic metre
        }

    def missed(self, states: Tensor) -> dict[str, float]:
        """RMS over members (and levels) of what is missed, in each quantity's own unit."""
        return {k: unit * float(r(states.double()).square().mean().sqrt()) for k, (r, unit) in self.errors.items()}


VARIANTS: dict[str, Callable[[Known], dict]] = {
    "plain": lambda known: {},
    "stability, 1 g m-3": lambda known: {"constraints": [known.stability]},
    "stratification, 5 g m-3": lambda known: {"constraints": [known.stratification]},
    "inventories, 0.01 °C, 0.001 g/kg": lambda known: {"constraints": known.inventories},
    "heat flux, 1 W m-2": lambda known: {"constraints": [known.flux]},
    "all four": lambda known: {"constraints": [known.stability, known.stratification, *known.inventories, known.flux]},
    "stabilised": lambda known: {"stabilise": True},
    "stabilised, balanced": lambda known: {"stabilise": True, "currents": "balanced"},
    "stability, stabilised, balanced": lambda known: {
        "constraints": [known.stability],
        "stabilise": True,
        "currents": "balanced",
    },
}


class Meter:
    """Counts calls of a method while they go on as before."""

    def __init__(self, owner, name: str):
        self.count, original = 0, getattr(owner, name)

        def counted(*arguments):
            self.count += 1
            return original(*arguments)

        setattr(owner, name, counted)


class Judge:
    """What a drawn ensemble is worth, and what it cost."""

    def __init__(self, ocean: OceanLDM, store: xr.Dataset, config: EvaluateConfig):
        self.ocean, self.volumes = ocean, ocean.fields.volumes(ocean.grid)
        training = torch.from_numpy(ocean.fields.stack(training_states(store), ocean.grid))
        self.weights = kernels.normalising_weights(training, self.volumes)
        self.diagnostics = Diagnostics(ocean.grid, ocean.fields, config.regions)
        self.meters = {"network": Meter(ocean.generator.denoiser, "forward"), "decoder": Meter(ocean.codec, "decode")}

    def drawn(self, parameters: dict[str, float], season: float, seed: int, options: dict) -> tuple[Tensor, dict]:
        """An ensemble (M, V, D, Y, X), its seconds and evaluations."""
        before = {k: m.count for k, m in self.meters.items()}
        start = time.perf_counter()
        states = self.ocean.sample(parameters, MEMBERS, seed=seed, season=season, **options)
        cost = {"seconds": time.perf_counter() - start} | {k: m.count - before[k] for k, m in self.meters.items()}
        return torch.from_numpy(self.ocean.fields.stack(states.rename(member="sample"), self.ocean.grid)), cost

    def scores(self, x: Tensor, plain: Tensor, state: Tensor, known: Known) -> dict[str, float]:
        """Of the ensemble ``x``, beside the ``plain`` one of the same noise, for the simulated ``state``."""
        crps = kernels.weighted_mean(kernels.fair_crps(x.double(), state.double()), self.volumes, kernels.FIELD)
        return {
            **known.missed(x),
            **{k: float(v.mean()) for k, v in self.diagnostics(x).items() if k in SCALARS},
            "variance": float(kernels.diversity(x, plain, self.weights, STATE)),
            **{f"crps_{k}": float(crps[self.ocean.fields.index_of(k)]) for k in ("toce", "soce")},
        }


def measure(judge: Judge, truths: list[Truth]) -> dict[str, dict[str, float]]:
    """Means over settings and seasons: {variant: {column: number}}."""
    rows: dict[str, dict[str, list]] = {name: {k: [] for k in COLUMNS} for name in VARIANTS}
    for truth in each(truths, len(truths), "setting"):
        for i, (season, state) in enumerate(zip(truth.season.tolist(), truth.states, strict=True)):
            known = Known(judge.ocean, truth, season)
            plain = None
            for name, options in VARIANTS.items():
                x, cost = judge.drawn(truth.parameters, season, i, options(known))
                plain = x if plain is None else plain
                for k, value in (cost | judge.scores(x, plain, state, known)).items():
                    rows[name][k].append(value)
    return {name: {k: _middle(k, v) for k, v in row.items()} for name, row in rows.items()}


def ranges(judge: Judge, truths: list[Truth]) -> dict[str, tuple[float, float]]:
    """Smallest and largest scalar of the simulated states."""
    values = [judge.diagnostics(truth.every) for truth in truths]
    return {k: (float(min(v[k].min() for v in values)), float(max(v[k].max() for v in values))) for k in SCALARS}


def _middle(column: str, values: list) -> float:
    return float(statistics.median(values) if column == "seconds" else np.mean(values))


def page(rows: dict, simulated: dict, split: str) -> str:
    """The table, columns as rows for it is wide."""
    lines = [
        f"`python -m benchmarks.physics --split {split}`, means over ensembles of {MEMBERS} (seconds: medians).",
        "",
    ]
    lines += ["| | " + " | ".join([*rows, "simulated, min to max"]) + " |", "|---" * (len(rows) + 2) + "|"]
    for k, title in COLUMNS.items():
        own = f"{simulated[k][0]:.3g} to {simulated[k][1]:.3g}" if k in simulated else ""
        lines.append(f"| {title} | " + " | ".join(f"{row[k]:.3g}" for row in rows.values()) + f" | {own} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path, default=Path("docs/physics"), help="without suffix")
    parser.add_argument("--states", type=Path, default=Path("data/dino-coarse"))
    parser.add_argument("--model", type=Path, default=Path("pretrained/dino-coarse"))
    parser.add_argument("--config", type=Path, default=Path("configs/evaluate/dino.yaml"))
    args = parser.parse_args(arguments)
    ocean, store = OceanLDM.from_pretrained(args.model), open_states(args.states)
    config = load_config(args.config)
    settings = np.unique(store.setting.values[(store.split.values == args.split) & store.equilibrium.values])
    if not len(settings):
        raise UserError(f"the states hold no equilibrium states of split {args.split!r}: name another")
    truths = [Truth.of(store, str(s), ocean.fields, ocean.grid, config.verifying) for s in settings]
    judge = Judge(ocean, store, config)
    rows, simulated = measure(judge, truths), ranges(judge, truths)
    write_text(args.out.with_suffix(".json"), json.dumps({"variants": rows, "simulated": simulated}, indent=1))
    write_text(args.out.with_suffix(".md"), page(rows, simulated, args.split))
    print(page(rows, simulated, args.split))


if __name__ == "__main__":
    exit_politely(main)
