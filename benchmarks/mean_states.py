"""How well the mean state of a setting is known from its parameters alone: slopes and coverage of box means.

    python -m benchmarks.mean_states --out docs/mean-states
    python -m benchmarks.mean_states --model runs/dino/diffusion --latents runs/dino/latents.zarr --out mean-states

Each training setting is left out in turn of the regression (not of the directions and lengths, which were found with
it); settings of `validation` and of the sweeps, in which one parameter varies alone, were never seen. For every box of
the config: the slope of predicted on true annual means over the settings (1 is right, 0 knows nothing), R², and the
share of settings whose truth lies in the central 80 % of the predicted ensemble. Writes OUT.json and OUT.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ldm_ocean import OceanLDM
from ldm_ocean.autoencoder.latents import Latents, open_latents
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.generative.conditions import season_angle
from ldm_ocean.generative.sampling import member_noise
from ldm_ocean.generative.years import mean_year
from ldm_ocean.io.atomic import write_text
from ldm_ocean.metrics import Diagnostics
from ldm_ocean.metrics.config import load_config
from ldm_ocean.metrics.response import response, sweeps

MEMBERS, CENTRAL = 99, 0.8
SWEEP = ("sweep", "centre")


def true_years(model: OceanLDM, latents: Latents, splits: tuple[str, ...]) -> tuple[list[str], torch.Tensor]:
    """Names of the settings of ``splits``, and their annual means (S, N, C)."""
    own = np.isin(latents.split, splits) & latents.equilibrium
    names = sorted(set(latents.setting[own]))
    if len(names) < 2:
        raise UserError(f"the latents hold {len(names)} settings of {splits}: encode two at least")
    angle, pooled = season_angle(torch.from_numpy(latents.season)).float(), model.generator.denoiser.prior.pooled
    rows = [torch.from_numpy(own & (latents.setting == name)) for name in names]
    return names, torch.stack([mean_year(latents.values[r], angle[r], pooled)[0][0] for r in rows])


def predicted(model: OceanLDM, latents: Latents, names: list[str], left_out: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Most likely annual means (S, N, C), and ensembles (M, S, N, C); of training settings as the others tell them."""
    prior = model.generator.denoiser.prior
    if left_out:
        error, variance = prior.process.left_out()
        a = prior.process.values - error
    else:
        a, variance = prior.process(model.generator.scaler(torch.from_numpy(parameters_of(latents, names))))
    xi = member_noise(tuple(a.shape), 0, range(MEMBERS))
    drawn = torch.cat([a[None], a + variance.sqrt() * xi])
    states = prior.middle[0] + torch.einsum("msk,kne->msne", drawn, prior.directions[:, 0])
    return states[0], states[1:]


def parameters_of(latents: Latents, names: list[str]) -> np.ndarray:
    """(S, P) of settings by name."""
    return latents.parameters[[np.flatnonzero(latents.setting == name)[0] for name in names]]


def box_means(model: OceanLDM, diagnose: Diagnostics, latents: torch.Tensor) -> dict[str, np.ndarray]:
    """Each diagnostic of decoded latents (..., N, C), (...)."""
    flat = latents.reshape(-1, *latents.shape[-2:])
    parts = []
    for chunk in flat.split(64):
        states = model.fields.stack(model.decode(chunk), model.grid)
        parts.append(diagnose(torch.from_numpy(states)))
    return {k: np.concatenate([p[k] for p in parts]).reshape(latents.shape[:-2]) for k in parts[0]}


def judge(model: OceanLDM, latents: Latents, config, splits: tuple[str, ...], left_out: bool = False) -> dict:
    """{which settings: {box and variable: {slope, r2, covered}}}; of sweeps for each parameter apart."""
    names, years = true_years(model, latents, splits)
    diagnose = Diagnostics(model.grid, model.fields, config.regions)
    likely, members = predicted(model, latents, names, left_out)
    true, expected, drawn = (box_means(model, diagnose, x) for x in (years, likely, members))
    label = "left out of training" if left_out else splits[0]
    which = {label: np.arange(len(names))}
    if splits == SWEEP:
        each = zip(model.parameters, sweeps(parameters_of(latents, names)), strict=True)
        which = {f"sweep of {parameter}": own for parameter, own in each}
    boxes = [k for k in true if k.split(".")[0] in config.regions.boxes]
    out: dict = {}
    for label, own in which.items():
        out[label] = {}
        for name in boxes:
            low, high = np.quantile(drawn[name][:, own], [0.5 - CENTRAL / 2, 0.5 + CENTRAL / 2], axis=0)
            found, truth = response(true[name][own], expected[name][own]), true[name][own]
            inside = float(((low <= truth) & (truth <= high)).mean())
            out[label][name] = {"settings": len(own), "slope": found.slope, "r2": found.r2, "covered": inside}
    return out


def page(results: dict) -> str:
    """A table for each split."""
    about, command, _, _, *rest = (__doc__ or "").splitlines()[0:1] + (__doc__ or "").splitlines()[2:]
    lines = ["# Mean states from parameters alone", "", about, "", command, "", *rest]
    for split, rows in results.items():
        first = next(iter(rows.values()))
        lines += ["", f"## {split}: {first['settings']} settings", "", "| box and variable | slope | R² | covered |"]
        lines += ["|---|---|---|---|"]
        lines += [f"| {k} | {r['slope']:.2f} | {r['r2']:.2f} | {100 * r['covered']:.0f} % |" for k, r in rows.items()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("pretrained/dino-coarse"))
    parser.add_argument("--latents", type=Path, default=Path("data/dino-coarse-latents.zarr"))
    parser.add_argument("--config", type=Path, default=Path("configs/evaluate/dino.yaml"))
    parser.add_argument("--out", type=Path, default=Path("docs/mean-states"), help="without suffix")
    args = parser.parse_args(arguments)
    model = OceanLDM.from_pretrained(args.model, device="cpu")
    latents, config = open_latents(args.latents, model.codec), load_config(args.config)
    results = judge(model, latents, config, ("train",), left_out=True)
    for splits in (("validation",), SWEEP):
        if len(set(latents.setting[np.isin(latents.split, splits)])) > 1:
            results |= judge(model, latents, config, splits)
    write_text(args.out.with_suffix(".json"), json.dumps(results, indent=1))
    write_text(args.out.with_suffix(".md"), page(results))
    print(page(results))


if __name__ == "__main__":
    exit_politely(main)
