"""``ldm-ocean evaluate``: scores of a model, of generated states, or of any store of states, written as JSON."""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..io.atomic import write_text
from ..io.output import MARK
from ..io.output import result as output
from ..physics.eos import EQUATIONS
from ..shipped import find, find_model
from . import options

if TYPE_CHECKING:
    import xarray as xr

    from ..metrics.config import EvaluateConfig
    from ..training.config import Data

ABREAST = 4  # settings beside each other in a table
EXAMPLES = """examples:
  ldm-ocean evaluate states.zarr --config configs/evaluate/dino.yaml         box means, transports … of any states
  ldm-ocean evaluate DINO_00172800_restart.nc --mesh mesh_mask.nc --equation-of-state seos
                                                                             the same of one restart, nothing stored
  ldm-ocean evaluate data/dino-coarse --model pretrained/dino-coarse         a model on the store's test settings,
                                                                             beside baselines from its training ones
  ldm-ocean evaluate samples.zarr --reference data/dino-coarse               stored ensembles, on settings they cover
"""


def add_arguments(parser: argparse.ArgumentParser):
    """Of ``ldm-ocean evaluate``."""
    parser.add_argument(
        "store",
        type=find,
        help="states: a folder from `simulate`, a Zarr store from `prepare` or `sample`, or a file of any model",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--model", type=find_model, help="score this model (folder or name) on the test settings of STORE")
    how.add_argument("--reference", type=find, help="score the states of STORE against the settings of this store")
    how.add_argument(
        "--mesh", type=Path, help="STORE is a file of NEMO's, this its mesh_mask.nc (see `prepare --help`)"
    )
    parser.add_argument("--map", dest="mapping", type=Path, help="of a file: YAML table of names, as for `prepare`")
    parser.add_argument(
        "--equation-of-state",
        choices=list(EQUATIONS),
        help="of a file that does not tell its own: without it, nothing about density is scored",
    )
    parser.add_argument("--config", type=find, help="splits, members, regions (configs/evaluate/*.yaml)")
    parser.add_argument(
        "--quick", action="store_true", help="of a model: fewer settings and members, a twentieth of the work"
    )
    parser.add_argument("--out", default="metrics.json", help="where the scores go (default: %(default)s)")
    options.device(parser)
    options.overwrite(parser)


def run(args: argparse.Namespace):
    """Score, print a table, write ``args.out`` atomically."""
    from ..metrics.config import load_config

    out = Path(args.out)
    if not out.resolve().parent.is_dir() or out.is_dir():
        raise UserError(f"{out} cannot be written: name a file in a folder that is there")
    config = load_config(args.config)
    if args.quick and not args.model:
        raise UserError("--quick asks for a smaller sample of a model: give --model, or leave it out")
    inputs = [Path(p) for p in (args.store, args.model, args.reference, args.mesh, args.mapping, args.config) if p]
    with output(out, "evaluate", (args.equation_of_state, args.quick), inputs, args.overwrite) as mark:
        result = _scores(args, _states(args), config)
        write_scores(out, result | {MARK: mark})
    print("\n".join(score_table(result) if "splits" in result else state_table(result)))


def _scores(args: argparse.Namespace, store: xr.Dataset, config: EvaluateConfig) -> dict:
    from ..io.states import open_states
    from ..metrics.evaluation import evaluate
    from ..pipeline import OceanLDM

    model = OceanLDM.from_pretrained(args.model, args.device) if args.model else None
    reference = open_states(args.reference) if args.reference else None
    return evaluate(store, model, reference, config, args.quick)


def _states(args: argparse.Namespace) -> xr.Dataset:
    """The store, or what the options say of a file; a Zarr store of other names is a file if it comes with a mesh."""
    from ..io.history import read_history
    from ..io.states import is_canonical, open_states

    path = Path(args.store)
    if args.mesh or (path.is_file() and not is_canonical(path)):
        run = read_history([path], args.mesh, args.mapping, equation_of_state=args.equation_of_state)
        if run.guessed:
            warnings.warn("cell sizes follow from coordinates: for exact transports give --mesh", stacklevel=2)
        return run.load(path.name.split(".")[0])
    if args.mapping or args.equation_of_state:
        raise UserError(f"{path} is no file: --map and --equation-of-state were given to `ldm-ocean prepare`")
    return open_states(path)


def write_scores(path: Path, result: dict) -> None:
    """``metrics.json``: whole or not at all, and without NaN, which is not JSON."""
    write_text(path, json.dumps(result, indent=1, allow_nan=False))


def score_table(result: dict) -> list[str]:
    """Lines: fair CRPS and spread/skill of every method by split and variable, against the truth."""
    lines = []
    for split, record in result["splits"].items():
        scores = {m: v for m, v in record["scores"]["truth"].items() if "crps" in next(iter(v.values()))}
        variables = list(next(iter(scores.values())))
        lines += [
            "",
            f"{split}: fair CRPS (spread/skill)",
            _row("", [f"{v} [{result['units'][v]}]" for v in variables]),
        ]
        for method, score in scores.items():
            lines.append(
                _row(method, [f"{score[v]['crps']:.5f} ({score[v]['spread_skill'] or 0:.2f})" for v in variables])
            )
    for split, record in result.get("context", {}).items():
        lines += ["", f"{split}: RMS distance to the spun-up truth, starting from unfinished states"]
        for name in ("context", "member", "mean"):
            lines.append(_row(name, [f"{by_variable[name]:.5f}" for by_variable in record.values()]))
    if result.get("left_out"):
        about = f"{result['members']} members, {result['verifying']} states of a setting at most"
        lines += ["", f"a sample of {about}; left out: {', '.join(result['left_out'])}"]
    return lines + [f"warning: {line}" for line in result.get("verdict", [])]


def validation_table(folder: Path, data: Data) -> str:
    """The model in ``folder`` beside the baselines on its validation settings, few of them; or why that cannot be."""
    from ..io.states import open_states
    from ..metrics.config import EvaluateConfig, quick
    from ..metrics.generated import score_model
    from ..pipeline import OceanLDM

    config = quick(replace(EvaluateConfig(), splits=data.validation, train=data.train))
    try:
        result = score_model(OceanLDM.from_pretrained(folder), open_states(data.states), config)
    except UserError as error:
        return f"no table of the model beside the baselines, data.states={data.states}: {error}"
    return "\n".join(score_table(result))


def state_table(result: dict) -> list[str]:
    """Lines: mean of every diagnostic, a few settings side by side."""
    titles = {n: f"{n} [{unit}]" for n, unit in result["units"].items()}
    width = max(map(len, titles.values()), default=0)
    settings, lines = list(result["settings"].items()), []
    for first in range(0, len(settings), ABREAST):
        some = settings[first : first + ABREAST]
        lines += ["", _row("", [name for name, _ in some], width)]
        for name, title in titles.items():
            means = [record[name]["mean"] for _, record in some]
            lines.append(_row(title, ["–" if x is None else f"{x:.6g}" for x in means], width))
    return lines


def _row(name: str, cells: list[str], width: int = 20) -> str:
    return f"{name:{width}s}" + "".join(f"  {c:>22s}" for c in cells)
