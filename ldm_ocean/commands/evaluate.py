"""``ldm-ocean evaluate``: scores of a model, of generated states, or of any store of states, written as JSON."""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from torch import Tensor

from ..errors import UserError, nearest
from ..io import plain_yaml
from ..io.atomic import write_text
from ..io.output import MARK, OVERWRITE
from ..io.output import result as output
from ..io.run import DEFAULT_EQUATION, read_run
from ..io.states import is_canonical, members_as_samples, open_states, parameters_of
from ..metrics.baselines import Baselines, in_season
from ..metrics.context import score_context
from ..metrics.description import score_states
from ..metrics.scoring import EvaluateConfig, evaluate
from ..ocean.fields import Fields
from ..ocean.grid import OceanGrid
from ..physics.eos import EQUATIONS

TRAINING = "train"
ABREAST = 4  # settings beside each other in a table
EXAMPLES = """examples:
  ldm-ocean evaluate states.zarr --config configs/evaluate/dino.yaml         box means, transports … of any states
  ldm-ocean evaluate DINO_00172800_restart.nc --mesh mesh_mask.nc            the same of one restart, nothing stored
  ldm-ocean evaluate data/dino-coarse --model pretrained/dino-coarse         a model on the store's test settings,
                                                                             beside baselines from its training ones
  ldm-ocean evaluate samples.zarr --reference data/dino-coarse               stored ensembles, on settings they cover
"""


def load_config(path: str | Path | None) -> EvaluateConfig:
    """``EvaluateConfig`` from YAML, or its defaults; UserError names an unknown key's nearest neighbour."""
    if path is None:
        return EvaluateConfig()
    if not Path(path).exists():
        raise UserError(f"no evaluation config at {path}: configs/evaluate holds examples")
    content = plain_yaml.read(Path(path)) or {}
    try:
        config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(EvaluateConfig), content))
    except ConfigKeyError as error:
        known = getattr(error.object_type, "__dataclass_fields__", {})
        raise UserError(f"{path} has an unknown key {error.full_key!r}{nearest(error.key, known)}") from error
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise UserError(f"{path} is not an evaluation config: {str(error).splitlines()[0]}") from error
    if config.members < 2:
        raise UserError(f"{path}: members is {config.members}, ensemble scores need at least 2")
    return config


def model_functions(model) -> tuple[Callable[..., Tensor], Callable[[Tensor], Tensor]]:
    """``generate`` (with options of ``OceanLDM.sample``) and ``reconstruct``, tensors in and out."""
    fields, grid = model.fields, model.grid

    def states(data: xr.Dataset, dim: str) -> Tensor:
        return torch.from_numpy(fields.stack(data.rename({dim: "sample"}) if dim != "sample" else data, grid))

    def generate(parameters, season, members, seed, **options):
        return states(model.sample(parameters, members=members, seed=seed, season=season, **options), "member")

    def reconstruct(x):
        return states(model.decode(model.encode(fields.unstack(x.numpy(), grid))), "sample")

    return generate, reconstruct


class StoredStates:
    """A store of generated states as a generator: those of the parameters and, where known, the season asked for."""

    def __init__(self, data: xr.Dataset, grid: OceanGrid, fields: Fields, names: list[str]):
        self.data = members_as_samples(data, "generated")
        missing = [k for k in names if k not in self.data.coords]
        if missing:
            raise UserError(f"the generated states lack the parameter {missing[0]!r}: write it as a coordinate on them")
        count = self.data.sizes["sample"]
        self.parameters = {k: np.broadcast_to(self.data[k].values, count) for k in names}
        self.states = torch.from_numpy(fields.stack(self.data, grid))

    def of(self, parameters: dict[str, float]) -> np.ndarray:
        """Indices of the states with these parameters."""
        same = [np.isclose(self.parameters[k], v, rtol=1e-4, atol=0) for k, v in parameters.items()]
        return np.flatnonzero(np.all(same, 0))

    def __call__(self, parameters: dict[str, float], season: float, members: int, seed: int) -> Tensor:
        own = self.of(parameters)
        if "season" in self.data.coords:
            seasons = np.broadcast_to(self.data.season.values, self.data.sizes["sample"])
            own = own[in_season(seasons[own], season)]
        return self.states[own[:members]]


def score_model(model, store: xr.Dataset, config: EvaluateConfig) -> dict:
    """``evaluate`` and ``score_context`` of an ``OceanLDM`` on the settings of ``store``."""
    model.grid.check_same(OceanGrid.from_dataset(store), "the store", "prepare its states on the model's mesh")
    generate, reconstruct = model_functions(model)
    baselines = Baselines.fit(training_states(store), model.grid, model.fields, config.baselines)
    result = evaluate(generate, store, model.grid, model.fields, baselines, config, reconstruct)

    def continue_from(parameters, season, context, members, seed):
        return generate(parameters, season, members, seed, context=context)

    context = score_context(continue_from, store, model.grid, model.fields, config.splits, config.members, config.seed)
    return {**result, "context": context}


def score_store(generated: xr.Dataset, truth: xr.Dataset, config: EvaluateConfig) -> dict:
    """``evaluate`` of stored generated states on the settings of ``truth`` whose parameters they have."""
    grid = OceanGrid.from_dataset(truth)
    fields = Fields.from_dataset(truth, [k for k in Fields.from_dataset(truth).names if k in generated])
    names = list(truth.attrs["parameters"])
    stored = StoredStates(generated, grid, fields, names)
    baselines = Baselines.fit(training_states(truth), grid, fields, config.baselines)
    rows, place = np.unique(parameters_of(truth), axis=0, return_inverse=True)
    keep = np.array([len(stored.of(dict(zip(names, row, strict=True)))) > 0 for row in rows])[place.reshape(-1)]
    if not keep.any():
        raise UserError("no setting of the reference has the parameters of these states: compare their coordinates")
    return evaluate(stored, truth.isel(sample=np.flatnonzero(keep)), grid, fields, baselines, config)


def training_states(store: xr.Dataset) -> xr.Dataset:
    """The equilibrium states of the training split; UserError if there are none."""
    keep = (store.split.values == TRAINING) & store.equilibrium.values
    if not keep.any():
        raise UserError(f"the store has no equilibrium states of split {TRAINING!r}: the baselines need them")
    return store.isel(sample=np.flatnonzero(keep))


def add_arguments(parser: argparse.ArgumentParser):
    """Of ``ldm-ocean evaluate``."""
    parser.add_argument(
        "store",
        help="states: a folder from `simulate`, a Zarr store from `prepare` or `sample`, or a file of any model",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--model", help="score this OceanLDM folder on the test settings of STORE")
    how.add_argument("--reference", help="score the states of STORE against the settings of this store")
    how.add_argument(
        "--mesh", type=Path, help="STORE is a file of NEMO's, this its mesh_mask.nc (see `prepare --help`)"
    )
    parser.add_argument("--map", dest="mapping", type=Path, help="of a file: YAML table of names, as for `prepare`")
    parser.add_argument(
        "--equation-of-state",
        choices=list(EQUATIONS),
        help=f"of a file: default the source's own if it tells, else {DEFAULT_EQUATION}",
    )
    parser.add_argument("--config", help="splits, members, regions (configs/evaluate/*.yaml)")
    parser.add_argument("--out", default="metrics.json", help="where the scores go (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE)


def run(args: argparse.Namespace):
    """Score, print a table, write ``args.out`` atomically."""
    out = Path(args.out)
    if not out.resolve().parent.is_dir() or out.is_dir():
        raise UserError(f"{out} cannot be written: name a file in a folder that is there")
    config = load_config(args.config)
    inputs = [Path(p) for p in (args.store, args.model, args.reference, args.mesh, args.mapping, args.config) if p]
    with output(out, "evaluate", args.equation_of_state, inputs, args.overwrite) as mark:
        result = _scores(args, _states(args), config)
        write_scores(out, result | {MARK: mark})
    print("\n".join(score_table(result) if "splits" in result else state_table(result)))


def _scores(args: argparse.Namespace, store: xr.Dataset, config: EvaluateConfig) -> dict:
    if args.model:
        from ..pipeline import OceanLDM

        return score_model(OceanLDM.from_pretrained(args.model), store, config)
    if args.reference:
        return score_store(store, open_states(args.reference), config)
    return score_states(store, config)


def _states(args: argparse.Namespace) -> xr.Dataset:
    """The store, or what the options say of a file; a Zarr store of other names is a file if it comes with a mesh."""
    path = Path(args.store)
    if args.mesh or (path.is_file() and not is_canonical(path)):
        run = read_run([path], args.mesh, args.mapping, equation_of_state=args.equation_of_state)
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
    return lines


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
