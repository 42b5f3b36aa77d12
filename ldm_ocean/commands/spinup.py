"""``ldm-ocean spinup``."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..io.output import work_folder
from ..shipped import find, find_model
from . import options
from .sample import assignments

EXAMPLES = """examples:
  ldm-ocean spinup pretrained/dino-coarse data/dino-coarse --setting test-00 --out runs/spinup
  ldm-ocean spinup pretrained/dino-coarse data/dino-coarse rn_ztau0=0.22 rn_tstar_n=6 rn_avt0=3e-5 --out runs/mine
  ldm-ocean spinup pretrained/dino-coarse data/dino-coarse --setting test-00 --members 4 --years 2 --cold 20 \\
      --fix --config configs/evaluate/dino.yaml --out runs/short
  ldm-ocean spinup runs/gaussian data/dino-coarse --setting test-00 --run-first 3 --out runs/first
runs the nearest states for 3 years, moves them to where a long run would go, and runs on; given again, so again
the same command again goes on where it was stopped, or with more years; needs the extra: pip install ldm_ocean[sim]

  ldm-ocean spinup --model nemo runs.csv states.zarr --mesh mesh_mask.nc --config configs/evaluate/dino-nemo.yaml \\
      --out runs/nemo
starts nothing: it reads what finished runs of NEMO left (output, run.stat, namelist_cfg), one row of the table a run:
  folder,       setting,  road
  run07/gen-0,  run07,    generated
  run07/near,   run07,    nearest_setting
  run07/rest,   run07,    rest
further columns: files (globs of the output, where the folder holds several frequencies), start (restart it began from);
the states, as `prepare` wrote them, are the equilibrium, unless a row of road truth is the setting's own long run
"""
VEROS = {
    "setting": [],
    "run_first": [],
    "members": 8,
    "cold": 150,
    "control": 50,
    "season": 0.0,
    "fix": False,
    "seed": 0,
    "workers": 2,
}
NEMO = {"mesh": None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean spinup``."""
    what = "a model's name, its folder, or a run of train_diffusion.py; with --model nemo a table of runs (.csv, .yaml)"
    parser.add_argument("source", type=find_model, help=what)
    parser.add_argument("states", type=find, help="the states that it was trained on, for the other ways to begin")
    parser.add_argument("parameters", nargs="*", metavar="name=value", help="parameters that nobody simulated")
    of = "Veros runs here (the default), of NEMO finished runs are read"
    parser.add_argument("--model", dest="ocean", choices=("veros", "nemo"), default="veros", help=of)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for JSON and page; of Veros also starts and runs"
    )
    parser.add_argument("--years", type=float, default=10, help="model years from each start (10)")
    parser.add_argument("--config", type=find, help="YAML that says where the diagnostics look, as for `evaluate`")
    nemo = parser.add_argument_group("with --model nemo")
    nemo.add_argument("--mesh", type=Path, help="mesh_mask.nc of the runs (default: derive it from their output)")
    veros = parser.add_argument_group("with --model veros")
    veros.add_argument("--setting", action="append", help="a setting of the states, its truth runs beside")
    first = "run the nearest states so long before they are moved; given again, run on and move once more"
    veros.add_argument("--run-first", type=float, action="append", metavar="YEARS", help=first)
    veros.add_argument("--members", type=int, help="starts of each kind (8)")
    veros.add_argument("--cold", type=float, help="model years from rest (150)")
    veros.add_argument("--control", type=float, help="model years of the truth's own continuation (50)")
    veros.add_argument("--season", type=float, help="of starts without truth, share of the year (0)")
    veros.add_argument("--fix", action="store_true", help="stabilise and balance generated states before they start")
    veros.add_argument("--seed", type=int, help="of the members and of the weather (0)")
    veros.add_argument("--workers", type=int, help="processes, one core each (2)")
    parser.set_defaults(**VEROS, **NEMO)
    options.device(parser)


def run(args: argparse.Namespace) -> None:
    """Do what is missing, or read what was done, then write ``spinup.json`` and ``spinup.html``."""
    other = VEROS if args.ocean == "nemo" else NEMO
    if foreign := [f"--{name}" for name, default in other.items() if getattr(args, name) != default]:
        raise UserError(f"{', '.join(foreign)} means nothing with --model {args.ocean}: leave it out")
    (_read if args.ocean == "nemo" else _run)(args)


def _read(args: argparse.Namespace) -> None:
    """Finished runs of NEMO."""
    if args.parameters:
        raise UserError(
            f"{args.parameters[0]}: the runs in {args.source} are finished, their parameters cannot be chosen"
        )
    if args.years < 1 or args.years % 1:
        raise UserError(f"--years {args.years:g}: give whole model years, at least one")
    from ..io.simulations import TABLES
    from ..io.states import open_states
    from ..metrics.config import load_config
    from ..spinup.finished import read_finished
    from ..spinup.nemo import read_runs

    if args.source.suffix not in TABLES:
        raise UserError(f"{args.source} is no table of runs: name a .csv or .yaml file (see `ldm-ocean spinup --help`)")
    runs, store = read_finished(args.source), open_states(args.states)
    inputs = [args.source, args.states, *(run.folder for run in runs), *([args.mesh] if args.mesh else [])]
    with work_folder(args.out, "spinup --model nemo", lambda folder: False, inputs):
        _publish(args.out, read_runs(runs, store, load_config(args.config).regions, args.mesh, int(args.years)))


def _publish(out: Path, result: dict) -> None:
    from ..spinup.results import write_page, write_results

    write_results(out / "spinup.json", result)
    page = write_page(out / "spinup.html", result)
    print(f"{page}, and spinup.json beside it")


def _run(args: argparse.Namespace) -> None:
    """Veros from several starts."""
    if not find_spec("veros"):
        raise UserError("Veros is not installed: pip install 'ldm_ocean[sim]'")
    if min(args.members, args.workers) < 1 or min(args.years, args.cold, args.control) <= 0:
        raise UserError("--members, --workers, --years, --cold and --control must be positive: give others")
    if args.run_first and (args.fix or min(args.run_first) <= 0):
        raise UserError("--run-first takes positive years, and moves states of the model itself: leave --fix out")
    if not 0 <= args.season <= 1:
        raise UserError(f"--season {args.season:g} is not a share of the year: give 0 to 1")
    if bool(args.setting) == bool(args.parameters):
        raise UserError("name either settings (--setting NAME) or parameters (name=value): one of the two")
    from ..io.states import open_states
    from ..metrics.config import load_config
    from ..pipeline import OceanLDM
    from ..spinup.experiment import spin_up
    from ..spinup.plan import Plan
    from ..spinup.starts import FIXED, GENERATED, ROADS, SETTLED, Case

    model, store = OceanLDM.from_pretrained(args.source, args.device), open_states(args.states)
    cases = [Case.of_setting(store, name, args.members) for name in dict.fromkeys(args.setting)]
    if not cases:
        asked = assignments(args.parameters)
        model.generator.scaler.vector(asked)  # complains of what is missing or unknown
        cases = [Case("asked", asked, args.season)]
    ours = SETTLED if args.run_first else FIXED if args.fix else GENERATED
    roads = (ours, *(r for r in ROADS if r not in (GENERATED, FIXED)))
    lengths = {"years": args.years, "cold_years": args.cold, "control_years": args.control}
    regions, first = load_config(args.config).regions, tuple(args.run_first)
    plan = Plan(args.members, **lengths, seed=args.seed, roads=roads, regions=regions, first=first)
    short = args.members * sum(args.run_first)
    years = len(cases) * ((len(roads) - 1) * args.members * args.years + short + args.control + args.cold)
    print(f"at most {years:.0f} model years for {len(cases)} sets of parameters, about a second each on one core")
    with work_folder(args.out, "spinup", lambda folder: (folder / "plan.json").exists(), [args.source, args.states]):
        _publish(args.out, spin_up(model, store, cases, plan, args.out, args.workers))
