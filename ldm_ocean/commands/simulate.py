"""``ldm-ocean simulate``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..io.output import work_folder
from ..simulate.oceans import OCEANS

if TYPE_CHECKING:
    from ..simulate.ocean import Ocean

SPLITS = ("train", "validation", "test", "edge")
EXAMPLES = """examples:
  ldm-ocean simulate data/dino-coarse        the published design, 46 settings, about 45 minutes on two cores
  ldm-ocean simulate data/channel-eddy --ocean channel      a turbulent channel, about four hours on two cores
  ldm-ocean simulate data/acc-closure --ocean acc           Veros' own acc, 100 settings of its closure of turbulence
  ldm-ocean simulate data/dino-2deg --degrees 2 --starts data/dino-coarse --train 8 --validation 2 --test 4
  ldm-ocean simulate runs/mini --train 2 --validation 1 --test 1 --edge 0 --years 2 4
  ldm-ocean simulate data/dino-coarse        again: goes on where it was stopped, or says that all is there
needs the extra: pip install ldm_ocean[sim]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean simulate``."""
    parser.add_argument("out", type=Path, help="folder for the settings' files, the mesh and manifest.json")
    parser.add_argument("--ocean", choices=OCEANS, default="dino", help="which one (%(default)s)")
    parser.add_argument("--degrees", type=float, help="resolution of dino (4)")
    for split in SPLITS:
        parser.add_argument(f"--{split}", type=int, help=f"settings of the {split} split (as published)")
    parser.add_argument("--settings", nargs="+", metavar="NAME", help="only these, and those that they start from")
    parser.add_argument(
        "--starts", type=Path, metavar="DIR", help="the settings of a coarser data set, each from its own state there"
    )
    parser.add_argument(
        "--years", type=float, nargs=2, metavar=("LEAST", "MOST"), help="of 360 days, before a setting is recorded"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the design and of the forcing noise (0)")
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each (2)")
    parser.add_argument(
        "--float32", action="store_true", help="single precision: compare it with double on two settings first"
    )


def run(args: argparse.Namespace) -> None:
    """Run what is missing."""
    if not find_spec("veros"):
        raise UserError("Veros is not installed: pip install 'ldm_ocean[sim]'")
    ocean = _ocean(args)
    settings = _settings(args, ocean)
    schedule = ocean.schedule
    print(
        f"{len(settings)} settings of {ocean.title} over {', '.join(ocean.ranges)}, {schedule.least / 360:g} to "
        f"{schedule.most / 360:g} years each before {schedule.snapshots} states are recorded, into {args.out}"
    )
    from ..simulate.campaign import simulate

    precision = "float32" if args.float32 else "float64"
    with work_folder(args.out, "simulate", _is_campaign, [p for p in [args.starts] if p]):
        manifest = simulate(ocean, args.out, settings, args.workers, precision, args.starts)
    size = sum(r.get("bytes", 0) + r.get("statistics_bytes", 0) for r in manifest["settings"]) / 1e6
    blown = [r["name"] for r in manifest["settings"] if "blew_up_on_day" in r]
    print(f"{manifest['finished']} settings finished, {size:.1f} MB; see {args.out / 'manifest.json'}")
    if blown:
        print(f"passed over, for they blew up: {', '.join(blown)}")


def _is_campaign(folder: Path) -> bool:
    """Whether a folder without a mark is a data set of the first release."""
    return {"ranges", "settings", "model"} <= json.loads((folder / "manifest.json").read_text()).keys()


def _ocean(args: argparse.Namespace) -> Ocean:
    if args.degrees is None:
        ocean = OCEANS[args.ocean]()
    elif args.ocean != "dino" or not 0.5 <= args.degrees <= 4:
        raise UserError(f"--degrees {args.degrees:g} --ocean {args.ocean}: only dino has a choice, 0.5 to 4")
    else:
        ocean = OCEANS["dino"](degrees=args.degrees)
    if args.workers < 1 or (args.years and (args.years[0] > args.years[1] or args.years[0] <= 0)):
        raise UserError(
            f"--years {args.years} --workers {args.workers}: years must rise from above 0, workers be at least 1"
        )
    if args.years:
        least, most = (360 * y for y in args.years)
        schedule = dataclasses.replace(ocean.schedule, least=least, most=most, rest=(most, 2 * most))
        ocean = dataclasses.replace(ocean, schedule=schedule)
    return ocean


def _settings(args: argparse.Namespace, ocean: Ocean) -> list:
    from ..simulate.design import DRAWN, design, twins

    asked = {k: getattr(args, k) for k in SPLITS}
    if ocean.points and (args.starts or any(v is not None for v in asked.values())):
        raise UserError(f"{ocean.name} is a grid of settings that start from rest: choose among them with --settings")
    counts = {k: v if asked[k] is None else asked[k] for k, v in ocean.splits.items()}
    if min(counts.values()) < 0 or sum(counts.values()) > DRAWN:
        words = " ".join(f"--{k} {v}" for k, v in counts.items())
        raise UserError(f"{words}: none may be negative, together they are at most {DRAWN}")
    settings = twins(ocean, args.starts, counts) if args.starts else design(ocean, counts, args.seed)
    if not args.settings:
        return settings
    known = {s.name: s for s in settings}
    if unknown := [name for name in args.settings if name not in known]:
        raise UserError(f"no setting {unknown[0]!r} in the design: {', '.join(known)}")
    wanted, names = set(), list(args.settings)
    while names:
        name = names.pop()
        wanted.add(name)
        if (parent := known[name].parent) and parent not in wanted:
            names.append(parent)
    return [s for s in settings if s.name in wanted]
