"""``ldm-ocean settle``: what a short run reached → where a long one would go."""

import argparse
from pathlib import Path

from ..io.output import MARK, result
from ..shipped import find, find_model
from . import options
from .sample import assignments

EXAMPLES = """examples:
  ldm-ocean settle runs/gaussian reached.zarr rn_ztau0=0.22 rn_tstar_n=6 rn_avt0=3e-5 --out settled.zarr
  ldm-ocean settle runs/gaussian reached.zarr rn_ztau0=0.22 rn_tstar_n=6 rn_avt0=3e-5 --seed 1 --out drawn.zarr

from a few years of NEMO under new parameters to a better start of the same run:
  ldm-ocean prepare 'run/*_restart.nc' --mesh mesh_mask.nc --out reached.zarr
  ldm-ocean settle runs/mine/diffusion reached.zarr rn_avt0=3e-5 --out settled.zarr
  ldm-ocean restart settled.zarr --mesh mesh_mask.nc --template run/OWN_00017280_restart.nc --out run/settled_restart.nc
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean settle``."""
    what = "a model's name, its folder, or a run of train_diffusion.py, that was trained with unfinished states"
    parser.add_argument("model", type=find_model, help=what)
    parser.add_argument("states", type=find, help="a store whose last state is what the short run reached")
    parser.add_argument(
        "parameters", nargs="+", metavar="name=value", help="those of the run, all that the model knows"
    )
    parser.add_argument("--out", type=Path, required=True, help="settled.zarr or settled.nc")
    options.overwrite(parser)
    parser.add_argument("--seed", type=int, help="draw a mean state (default: the most likely one)")
    options.device(parser)


def run(args: argparse.Namespace) -> None:
    """Move the last state and write it, atomically."""
    from ..io.states import check_target, open_states, write_states
    from ..pipeline import OceanLDM

    parameters = assignments(args.parameters)
    check_target(args.out)
    chosen = [(k, getattr(args, k)) for k in ("model", "states", "parameters", "seed")]
    with result(args.out, "settle", chosen, [args.model, args.states], args.overwrite) as mark:
        model = OceanLDM.from_pretrained(args.model, args.device)
        settled = model.settle(open_states(args.states).isel(sample=[-1]), parameters, args.seed)
        write_states(settled.assign_attrs({MARK: mark}), args.out)
    print(f"the settled state in {args.out}")
