"""How many runs do I need? Error and coverage against the number of training settings.

    python -m benchmarks.learning --out docs/learning
    python -m benchmarks.learning --more runs/dino-96 --out docs/learning       with further training settings

Stage two (without a network), the Gaussian process on EOFs and the nearest setting are fitted to subsets of the
training settings and scored on the settings of --split; the autoencoder is that of --model and has seen all of its own.
CRPS is relative to climatology of all training settings, averaged over variables; coverage is the share of the volume
inside the central 80 % of 16 members. A number of settings that is not all there are is drawn several times, and the
line is the mean of the draws, the band their range. Writes OUT.md, OUT.json and OUT.png; what is scored is kept in
--run.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from benchmarks.skill.records import Records
from benchmarks.skill.rivals import Latent, gaussian
from ldm_ocean import OceanLDM, open_states
from ldm_ocean.bar import bar
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.generative.conditions import ParameterScaler, season_angle
from ldm_ocean.generative.denoiser import Denoiser
from ldm_ocean.generative.generator import Generator
from ldm_ocean.io.atomic import write_text
from ldm_ocean.io.states import parameters_of
from ldm_ocean.metrics import BASELINES, kernels
from ldm_ocean.metrics.baselines import Climatology
from ldm_ocean.metrics.generated import training_states
from ldm_ocean.metrics.scoring import Tally
from ldm_ocean.metrics.truth import Truth, seed_of
from ldm_ocean.report.curves import CYCLE
from ldm_ocean.report.figures import RC

COUNTS, DRAWS = (6, 12, 24, 48, 96), 4
MEMBERS, VERIFYING, CENTRAL = 16, 6, 0.8
OURS, METHODS = "stage two", ("stage two", "eof_gp", "nearest_setting")
Sample = Callable[[np.ndarray, float, int, int], torch.Tensor]


class Training:
    """States (N, V, D, Y, X) of all training settings with their latents and labels, of which subsets are taken."""

    def __init__(self, model: OceanLDM, stores: list[xr.Dataset]):
        self.model, parts = model, [training_states(s) for s in stores]
        names = list(parts[0].attrs["parameters"])
        if any(list(p.attrs["parameters"]) != names for p in parts):
            raise UserError("--more has other parameters than --states: give settings of the same ocean")
        self.states = torch.from_numpy(np.concatenate([model.fields.stack(p, model.grid) for p in parts]))
        self.parameters = np.concatenate([parameters_of(p) for p in parts])
        self.season = np.concatenate([p.season.values for p in parts])
        self.setting = np.concatenate([[f"{i}-{s}" for s in p.setting.values] for i, p in enumerate(parts)])
        self.latents = torch.cat([model.encode(p) for p in parts])
        self.names = np.unique(self.setting)

    def subset(self, count: int, draw: int) -> np.ndarray:
        """Indices of the states of ``count`` settings."""
        chosen = np.random.default_rng([count, draw]).permutation(self.names)[:count]
        return np.flatnonzero(np.isin(self.setting, chosen))

    def fitted(self, method: str, own: np.ndarray) -> Sample:
        """A method fitted to some of the states."""
        labels = self.parameters[own], self.season[own], self.setting[own]
        if method != OURS:
            return BASELINES[method](self.model.fields.volumes(self.model.grid)).fit(self.states[own], *labels).sample
        names = list(self.model.parameters)
        scaler = ParameterScaler(names).fit(self.parameters[own])
        asked, angle = scaler(torch.from_numpy(labels[0])), season_angle(torch.from_numpy(labels[1])).float()
        denoiser = Denoiser.fitted(self.latents[own], asked, angle, labels[2])
        about = self.model.generator.about | {"shape": None}
        ocean = OceanLDM(self.model.codec, Generator(denoiser.eval(), scaler, about))
        return Latent(ocean, gaussian(ocean)).sample


def score(sample: Sample, cases: dict[str, Truth], volumes: torch.Tensor) -> dict[str, float]:
    """CRPS of each variable, and the mean coverage, over the verifying states of all cases."""
    tally, covered = Tally(volumes, torch.zeros_like(volumes)), []
    for name, truth in cases.items():
        parameters = np.array(list(truth.parameters.values()))
        for i, (t, state) in enumerate(zip(truth.season, truth.states, strict=True)):
            members = sample(parameters, float(t), MEMBERS, seed_of(0, name, i))
            tally.update(members, state)
            if (len(members) - 1) / (len(members) + 1) >= CENTRAL:
                covered.append(kernels.coverage(members, state, volumes, CENTRAL).mean())
    crps = tally.ensemble.scores()["crps"]
    return {f"crps {v}": float(x) for v, x in enumerate(crps)} | {"coverage": float(np.mean(covered or [np.nan]))}


def curve(model: OceanLDM, stores: list[xr.Dataset], split: str, folder: Path) -> dict:
    """{method: {count: {crps: [of each draw], coverage: [of each draw]}}}, CRPS relative to climatology."""
    training, volumes = Training(model, stores), model.fields.volumes(model.grid)
    wanted = (stores[0].split.values == split) & stores[0].equilibrium.values
    names = sorted(set(stores[0].setting.values[wanted]))
    if not names:
        raise UserError(f"{split!r} has no equilibrium states: choose another --split")
    cases = {n: Truth.of(stores[0], n, model.fields, model.grid, VERIFYING) for n in names}
    kept = Records(folder / f"{split}.json", f"{model.codec.digest} {len(training.names)} {MEMBERS} {VERIFYING}")
    every = np.arange(len(training.states))
    climatology = Climatology().fit(training.states, training.parameters, training.season, training.setting)
    reference = kept("climatology", lambda: score(climatology.sample, cases, volumes))
    counts = [c for c in COUNTS if c < len(training.names)] + [len(training.names)]
    todo = [(c, d) for c in counts for d in range(1 if c == len(training.names) else DRAWS)]
    out: dict = {m: {c: {"crps": [], "coverage": []} for c in counts} for m in METHODS}
    with bar(len(todo) * len(METHODS), "fit", what="learning curve") as progress:
        for count, draw in todo:
            own = training.subset(count, draw) if count < len(training.names) else every
            for method in METHODS:
                found = kept(
                    f"{method} {count} {draw}",
                    lambda m=method, i=own: score(training.fitted(m, i), cases, volumes),
                )
                relative = [found[k] / reference[k] for k in reference if k.startswith("crps")]
                out[method][count]["crps"].append(float(np.mean(relative)))
                out[method][count]["coverage"].append(found["coverage"])
                progress.update()
    return {"split": split, "settings": len(names), "curves": out}


def draw(result: dict) -> Figure:
    """CRPS and coverage against the number of settings."""
    with matplotlib.rc_context(RC):
        figure = Figure((7.2, 3.0), layout="constrained")
        panels = {"crps": "CRPS relative to climatology", "coverage": "share inside the central 80 %"}
        for axes, (key, title) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for colour, (method, own) in zip(CYCLE, result["curves"].items(), strict=False):
                counts, rows = [int(c) for c in own], [own[c][key] for c in own]
                axes.plot(counts, [np.mean(r) for r in rows], "o-", color=colour, ms=3, lw=1.2, label=method)
                axes.fill_between(
                    counts, [min(r) for r in rows], [max(r) for r in rows], color=colour, alpha=0.15, lw=0
                )
            axes.set_xscale("log", base=2)
            axes.set_xticks(counts, [str(c) for c in counts])
            axes.set_xlabel("training settings")
            axes.set_title(title, fontsize=9)
        figure.axes[1].axhline(CENTRAL, color="0.5", lw=0.8, ls=":")
        figure.axes[0].legend(frameon=False, fontsize=8)
        return figure


def page(result: dict, name: str) -> str:
    """The figure's numbers as a table."""
    about, rest = (__doc__ or "").splitlines()[0], (__doc__ or "").splitlines()[5:]
    lines = ["# " + about.split("?")[0] + "?", "", f"![learning curve]({name}.png)", "", *rest]
    lines += [f"Scored on the {result['settings']} settings of split `{result['split']}`.", ""]
    counts = list(next(iter(result["curves"].values())))
    for key, title in {"crps": "CRPS, relative", "coverage": "inside the central 80 %"}.items():
        lines += [f"| {title} | " + " | ".join(str(c) for c in counts) + " |", "|---" * (1 + len(counts)) + "|"]
        for method, own in result["curves"].items():
            lines += [f"| {method} | " + " | ".join(f"{np.mean(own[c][key]):.3f}" for c in counts) + " |"]
        lines += [""]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("pretrained/dino-coarse"))
    parser.add_argument("--states", type=Path, default=Path("data/dino-coarse"))
    parser.add_argument("--more", type=Path, action="append", default=[], help="folders of further training settings")
    parser.add_argument("--split", default="test", help="settings that are scored")
    parser.add_argument("--run", type=Path, default=Path("runs/learning"), help="folder of the records")
    parser.add_argument("--out", type=Path, default=Path("docs/learning"), help="without suffix")
    args = parser.parse_args(arguments)
    model = OceanLDM.from_pretrained(args.model, device="cpu")
    result = curve(model, [open_states(p) for p in (args.states, *args.more)], args.split, args.run)
    draw(result).savefig(args.out.with_suffix(".png"), dpi=110, bbox_inches="tight", facecolor="white")
    write_text(args.out.with_suffix(".json"), json.dumps(result, indent=1))
    write_text(args.out.with_suffix(".md"), page(result, args.out.name))
    print(page(result, args.out.name))


if __name__ == "__main__":
    exit_politely(main)
