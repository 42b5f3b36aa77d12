"""``ldm-ocean simulate``."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..io.lock import only_writer
from .design import DRAWN, RANGES, design

EXAMPLES = """examples:
  ldm-ocean simulate data/dino-coarse        the published design, 46 settings, about 45 minutes on two cores
  ldm-ocean simulate runs/mini --train 2 --validation 1 --test 1 --edge 0 --years 2 4
  ldm-ocean simulate data/dino-coarse        again: goes on where it was stopped, or says that all is there
needs the extra: pip install ldm_ocean[sim]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean simulate``."""
    parser.add_argument("out", type=Path, help="folder for the settings' files, the mesh and manifest.json")
    for split, count in (("train", 24), ("validation", 4), ("test", 5), ("edge", 3)):
        parser.add_argument(f"--{split}", type=int, default=count, help=f"settings of the {split} split (%(default)s)")
    parser.add_argument(
        "--years",
        type=int,
        nargs=2,
        default=(60, 150),
        metavar=("LEAST", "MOST"),
        help="model years of each setting (60 150)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the design and of the forcing noise (0)")
    parser.add_argument("--workers", type=int, default=2, help="processes, one core each (2)")


def run(args: argparse.Namespace) -> None:
    """Run what is missing."""
    if not find_spec("veros"):
        raise UserError("Veros is not installed: pip install 'ldm_ocean[sim]'")
    if args.years[0] > args.years[1] or args.years[0] < 1 or args.workers < 1:
        raise UserError(
            f"--years {args.years[0]} {args.years[1]} --workers {args.workers}: "
            "years must rise from at least 1, workers be at least 1"
        )
    counts = {k: getattr(args, k) for k in ("train", "validation", "test", "edge")}
    if min(counts.values()) < 0 or sum(counts.values()) > DRAWN:
        asked = " ".join(f"--{k} {v}" for k, v in counts.items())
        raise UserError(f"{asked}: none may be negative, together they are at most {DRAWN}")
    settings = design(args.train, args.validation, args.test, args.edge, args.seed)
    print(f"{len(settings)} settings over {', '.join(RANGES)}, at least {args.years[0]} years each, into {args.out}")
    from .run import simulate

    with only_writer(args.out):
        manifest = simulate(args.out, settings, tuple(args.years), args.workers)
    size = sum(r.get("bytes", 0) for r in manifest["settings"]) / 1e6
    print(f"{manifest['finished']} settings finished, {size:.1f} MB; see {args.out / 'manifest.json'}")
