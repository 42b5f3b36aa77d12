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
the same command again goes on where it was stopped, or with more years; needs the extra: pip install ldm_ocean[sim]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean spinup``."""
    parser.add_argument("model", type=find_model, help="a model's name, its folder, or a run of train_diffusion.py")
    parser.add_argument("states", type=find, help="the states that it was trained on, for the other ways to begin")
    parser.add_argument("parameters", nargs="*", metavar="name=value", help="parameters that nobody simulated")
    parser.add_argument("--setting", action="append", default=[], help="a setting of the states, its truth runs beside")
    parser.add_argument("--out", type=Path, required=True, help="folder for starts, restarts, runs, JSON and page")
    parser.add_argument("--members", type=int, default=8, help="starts of each kind (8)")
    parser.add_argument("--years", type=float, default=10, help="model years from each start (10)")
    parser.add_argument("--cold", type=float, default=150, help="model years from rest (150)")
    parser.add_argument("--control", type=float, default=50, help="model years of the truth's own continuation (50)")
    parser.add_argument("--season", type=float, default=0.0, help="of starts without truth, share of the year (0)")
    parser.add_argument("--fix", action="store_true", help="stabilise and balance generated states before they start")
    parser.add_argument("--config", type=find, help="YAML that says where the diagnostics look, as for `evaluate`")
    parser.add_argument("--seed", type=int, default=0, help="of the members and of the weather (0)")
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each (2)")
    options.device(parser)


def run(args: argparse.Namespace) -> None:
    """Do what is missing, then write ``spinup.json`` and ``spinup.html``."""
    if not find_spec("veros"):
        raise UserError("Veros is not installed: pip install 'ldm_ocean[sim]'")
    if min(args.members, args.workers) < 1 or min(args.years, args.cold, args.control) <= 0:
        raise UserError("--members, --workers, --years, --cold and --control must be positive: give others")
    if not 0 <= args.season <= 1:
        raise UserError(f"--season {args.season:g} is not a share of the year: give 0 to 1")
    if bool(args.setting) == bool(args.parameters):
        raise UserError("name either settings (--setting NAME) or parameters (name=value): one of the two")
    from ..io.states import open_states
    from ..metrics.config import load_config
    from ..pipeline import OceanLDM
    from ..spinup.experiment import Plan, spin_up
    from ..spinup.page import write_page, write_results
    from ..spinup.starts import FIXED, GENERATED, ROADS, Case

    model, store = OceanLDM.from_pretrained(args.model, args.device), open_states(args.states)
    cases = [Case.of_setting(store, name, args.members) for name in dict.fromkeys(args.setting)]
    if not cases:
        asked = assignments(args.parameters)
        model.generator.scaler.vector(asked)  # complains of what is missing or unknown
        cases = [Case("asked", asked, args.season)]
    roads = tuple(r for r in ROADS if r != (GENERATED if args.fix else FIXED))
    lengths = {"years": args.years, "cold_years": args.cold, "control_years": args.control}
    plan = Plan(args.members, **lengths, seed=args.seed, roads=roads, regions=load_config(args.config).regions)
    years = len(cases) * ((len(roads) - 1) * args.members * args.years + args.control + args.cold)
    print(f"at most {years:.0f} model years for {len(cases)} sets of parameters, about a second each on one core")
    with work_folder(args.out, "spinup", lambda folder: (folder / "plan.json").exists(), [args.model, args.states]):
        result = spin_up(model, store, cases, plan, args.out, args.workers)
        write_results(args.out / "spinup.json", result)
        page = write_page(args.out / "spinup.html", result)
    print(f"{page}, and spinup.json beside it")
