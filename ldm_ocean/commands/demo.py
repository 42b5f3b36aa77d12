"""``ldm-ocean demo``: training, sampling and scoring on the embedded ocean, ending in report.html."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import UserError
from ..io.output import work_folder
from ..shipped import ASSETS
from .evaluate import score_table, write_scores

if TYPE_CHECKING:
    import xarray as xr

    from ..pipeline import OceanLDM
    from ..report.inputs import Example

STATES = ASSETS / "data" / "dino-coarse"
PRETRAINED = ASSETS / "pretrained" / "dino-coarse"
EXAMPLES = """examples:
  ldm-ocean demo                    train both stages small (minutes on two cores), then sample, score, report
  ldm-ocean demo --pretrained       the published weights instead of training
results: report.html, samples.zarr, metrics.json in the folder --out
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean demo``."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for everything (%(default)s)")
    parser.add_argument("--pretrained", action="store_true", help="skip training, use the published weights")
    parser.add_argument("--members", type=int, default=16, help="members of each ensemble (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Train (unless pretrained), sample parameters never seen in training, score, write the report."""
    if not STATES.exists():
        raise UserError(f"no data at {STATES}: install ldm_ocean again, or run the demo from a checkout")
    with work_folder(args.out, "demo", lambda folder: (folder / "report.html").exists(), [STATES, PRETRAINED]):
        _demo(args)


def _demo(args: argparse.Namespace) -> None:
    from ..io.states import open_states, write_states
    from ..metrics.config import load_config, quick
    from ..metrics.generated import score_model
    from ..pipeline import OceanLDM
    from ..report.inputs import ReportInputs
    from ..report.page import write_report

    args.out.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    model_folder = PRETRAINED if args.pretrained else train(args.out, clock)
    model, states = OceanLDM.from_pretrained(model_folder), open_states(STATES)
    config = replace(quick(load_config(ASSETS / "configs" / "evaluate" / "dino.yaml")), members=args.members)
    metrics = score_model(model, states, config)
    write_scores(args.out / "metrics.json", metrics)
    print("\n".join(score_table(metrics)))
    print(f"all of the scores: ldm-ocean evaluate {STATES} --model {model_folder} --config configs/evaluate/dino.yaml")
    clock("scores")
    cases, samples = draw(model, states, config)
    write_states(samples, args.out / "samples.zarr")
    clock("samples")
    inputs = ReportInputs(
        grid=model.grid,
        depths=(10.0, 500.0, 2500.0),
        cases=tuple(cases),
        metrics=metrics,
        reconstruction=reconstruction_table(metrics),
        training=training_curves(model_folder if args.pretrained else args.out),
        provenance=provenance(model, clock, args),
    )
    write_report(args.out / "report.html", inputs)
    clock("report")
    print(f"{args.out / 'report.html'}, samples.zarr and metrics.json beside it; {clock}")


class Clock:
    """Seconds spent in each part."""

    def __init__(self):
        self.last, self.parts = time.time(), {}

    def __call__(self, part: str) -> None:
        now = time.time()
        self.parts[part], self.last = now - self.last, now

    def __str__(self) -> str:
        return ", ".join(f"{k} {v:.0f} s" for k, v in self.parts.items())


def train(out: Path, clock: Clock) -> Path:
    """Both stages by the very commands of the README; returns the folder of the trained model."""
    vae, latents, diffusion = out / "vae", out / "latents.zarr", out / "diffusion"
    _command(["-m", "ldm_ocean", "train-vae", "experiment=demo", f"run={vae}"])
    clock("train_vae")
    encode = ["-m", "ldm_ocean", "encode", str(STATES)]
    _command([*encode, "--codec", str(vae), "--out", str(latents), "--overwrite"])
    clock("encode")
    launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["-m", "ldm_ocean", "train-diffusion", "experiment=demo"]
    places = {"run": diffusion, "codec": vae, "data.latents": latents}
    _command([*launch, *(f"{k}={v}" for k, v in places.items())])
    clock("train_diffusion")
    return diffusion / "best"


def _command(arguments: list[str]) -> None:
    """Run this Python with ``arguments``; UserError when it fails."""
    print("$ python", " ".join(arguments), flush=True)
    child = subprocess.Popen([sys.executable, *arguments])
    try:
        code = child.wait()
    except KeyboardInterrupt:  # the terminal told the child as well: it writes its checkpoint first
        child.wait()
        raise
    if code:
        raise UserError(f"{' '.join(arguments[:3])} ended with exit code {code}: see its message above")


def draw(model: OceanLDM, states: xr.Dataset, config) -> tuple[list[Example], xr.Dataset]:
    """An ensemble for every interior test setting, and the report's case for the first and for one at the edge."""
    import xarray as xr

    from ..metrics.truth import others_in_season, verifying_states
    from ..report.inputs import Example

    cases, drawn = [], []
    for split in config.splits:
        names = sorted(set(states.setting.values[states.split.values == split]))
        for n, name in enumerate(names):
            own = states.isel(sample=verifying_states(states, name, states.sizes["sample"]))
            truth = own.isel(sample=[0])
            parameters = {k: float(truth[k][0]) for k in states.attrs["parameters"]}
            season = float(truth.season[0])
            members = model.sample(parameters, members=config.members, seed=config.seed, season=season)
            drawn.append(members[model.fields.names].assign_coords({"setting": name, "season": season, **parameters}))
            if n == 0:
                truth = truth[model.fields.names]
                again = model.decode(model.encode(truth), like=truth)
                others = own[model.fields.names].isel(sample=others_in_season(own.season.values, 0))
                known = truth.isel(sample=0), again.isel(sample=0), members, others.rename(sample="member")
                cases.append(Example(name, parameters, season, *known))
    together = xr.concat(drawn, "setting", combine_attrs="override")
    mesh = model.grid.to_dataset()
    return cases, together.merge(mesh).assign_attrs(parameters=list(model.parameters), **mesh.attrs)


def reconstruction_table(metrics: dict) -> dict:
    """Share of the anomaly variance lost by decode(encode(truth)), by split and variable [%]."""
    table = {}
    for split, record in metrics["splits"].items():
        own = record["scores"]["truth"].get("reconstruction", {})
        table[f"{split} settings"] = {
            "lost anomaly variance [%]": {k: 100 * v["anomaly_share"] for k, v in own.items()}
        }
    return table


def training_curves(folder: Path) -> dict[str, list[dict]]:
    """The JSON-lines logs of both stages, where they are."""
    logs = {stage: folder / stage / "log.jsonl" for stage in ("vae", "diffusion")}
    return {k: [json.loads(line) for line in p.read_text().splitlines()] for k, p in logs.items() if p.exists()}


def provenance(model: OceanLDM, clock: Clock, args: argparse.Namespace) -> dict:
    """Versions, hashes, times."""
    import torch

    manifest = json.loads((STATES / "manifest.json").read_text())
    return {
        "ldm_ocean": __version__,
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "command": f"ldm-ocean demo{' --pretrained' if args.pretrained else ''}",
        "codec": model.codec.digest,
        "grid": model.grid.digest,
        "latents": f"{model.codec.n_tokens} tokens × {model.codec.channels} channels, {model.codec.compression:.1f}×",
        "data": f"{manifest['model']}, {manifest['finished']} settings, version {manifest['version']}",
        "times": str(clock),
    }
