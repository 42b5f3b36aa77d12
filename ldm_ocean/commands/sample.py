"""``ldm-ocean sample``: spun-up states for given parameters, as Zarr or NetCDF."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..generative import DIFFUSION, METHODS, STEPS
from ..io.output import MARK, result
from ..ocean import CURRENTS, GENERATED
from ..shipped import find, find_model
from . import options

if TYPE_CHECKING:
    import xarray as xr

NOT_ASKED = ("overwrite", "out", "run", "command")  # of the arguments, those that change no state
USUAL = {"steps": STEPS, "guidance": 1.0}
EXAMPLES = """examples:
  ldm-ocean sample dino-coarse rn_ztau0=0.22 rn_tstar_n=6 rn_avt0=3e-5 --members 16 --out samples.zarr
  ldm-ocean sample runs/diffusion rn_ztau0=0.15 rn_tstar_n=4 rn_avt0=2e-5 --season 0.5 --out summer.nc
  ldm-ocean sample runs/diffusion rn_ztau0=0.15 rn_tstar_n=4 rn_avt0=2e-5 --context unfinished.zarr --out states.zarr
  ldm-ocean sample pretrained/dino-coarse rn_ztau0=0.22 rn_tstar_n=6 rn_avt0=3e-5 --out physical.zarr \\
      --constraints configs/constraints/dino.yaml --stabilise --currents balanced
  ldm-ocean sample runs/diffusion rn_ztau0=0.15 rn_tstar_n=4 rn_avt0=2e-5 --method gp --states states.zarr --out gp.nc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean sample``."""
    parser.add_argument("model", type=find_model, help="a model's name, its folder, or a run of train_diffusion.py")
    parser.add_argument("parameters", nargs="+", metavar="name=value", help="every parameter the model was trained on")
    parser.add_argument("--out", type=Path, required=True, help="samples.zarr or samples.nc")
    options.overwrite(parser)
    parser.add_argument("--members", type=int, default=16, help="independent states (16)")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=DIFFUSION,
        help="gp: a Gaussian process on EOFs of the training --states, where `evaluate` finds it better (%(default)s)",
    )
    parser.add_argument("--states", type=find, help="of --method gp: the store that the model was trained on")
    parser.add_argument("--season", type=float, default=0.0, help="share of the year, 0 to 1 (0)")
    parser.add_argument(
        "--context", type=find, help="a store whose last state is an earlier one, e.g. of an unfinished spin-up"
    )
    parser.add_argument("--steps", type=int, default=STEPS, help=f"network evaluations a member ({STEPS})")
    parser.add_argument(
        "--guidance", type=float, default=1.0, help="classifier-free guidance weight; doubles the cost (1: off)"
    )
    parser.add_argument("--constraints", type=find, help="YAML of what the states should obey; several times the cost")
    parser.add_argument("--stabilise", action="store_true", help="remove every density inversion, keep heat and salt")
    parser.add_argument(
        "--currents",
        choices=CURRENTS,
        default=GENERATED,
        help="balanced: nearer to geostrophy, and no column fills or drains",
    )
    parser.add_argument("--seed", type=int, default=0)
    options.device(parser)
    parser.add_argument("--strict", action="store_true", help="refuse parameters outside the training range")
    parser.add_argument(
        "--extrapolate", action="store_true", help="accept parameters farther outside the training range than its width"
    )


def run(args: argparse.Namespace) -> None:
    """Sample and write, atomically."""
    from ..io.states import check_target, write_states

    parameters = assignments(args.parameters)
    check_target(args.out)
    inputs = [p for p in (args.model, args.states, args.context, args.constraints) if p]
    chosen = {k: v for k, v in vars(args).items() if k not in NOT_ASKED}
    with result(args.out, "sample", sorted(chosen.items()), inputs, args.overwrite) as mark:
        states = _drawn(args, parameters)
        write_states(states.assign_attrs({MARK: mark}), args.out)
    print(f"{args.members} states of {', '.join(states.attrs['variables'])} in {args.out}")


def _drawn(args: argparse.Namespace, parameters: dict[str, float]) -> xr.Dataset:
    from ..io.constraints import read as read_constraints
    from ..io.states import open_states
    from ..pipeline import OceanLDM

    model = OceanLDM.from_pretrained(args.model, args.device)
    options: dict = {k: getattr(args, k) for k, usual in USUAL.items() if getattr(args, k) != usual}
    if args.context:
        options["context"] = open_states(args.context).isel(sample=[-1])
    if args.constraints:
        options["constraints"] = read_constraints(args.constraints, model.fields, model.grid)
    return model.sample(
        parameters,
        members=args.members,
        seed=args.seed,
        method=args.method,
        states=open_states(args.states) if args.states else None,
        season=args.season,
        **options,
        stabilise=args.stabilise,
        currents=args.currents,
        strict=args.strict,
        extrapolate=args.extrapolate,
    )


def assignments(texts: list[str]) -> dict[str, float]:
    """Parameters written as name=value; UserError for what is no number and for what is given twice."""
    parameters: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name in parameters:
            raise UserError(f"parameter {name!r} is given twice: give it once")
        try:
            parameters[name] = float(value)
        except ValueError:
            raise UserError(f"cannot read parameter {text!r}: write name=value with a number") from None
    return parameters
