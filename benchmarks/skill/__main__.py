"""Score board: ours, what linear algebra can do, and the published generator's recipe, on settings never seen.

    python -m benchmarks.skill --out docs/results.md

Trains what must be trained (the pixel-space U-Net, under --run; start the same command again to go on) and writes
a page and a JSON beside it. Interior and edge settings apart; intervals by bootstrap over settings.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ldm_ocean import open_states
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.evaluate import load_config
from ldm_ocean.io.atomic import write_text

from .board import Board
from .methods import PIXEL, methods
from .page import page
from .summary import responses, summarise


def run(store, config, contestants: dict, seeds: int) -> dict:
    """All scores of all methods, JSON-able; see ``page`` for what they are."""
    board = Board(store, config)
    records: dict[str, list] = {name: [] for name in contestants}
    means: dict[str, list] = {name: [] for name in contestants}
    for name, method in contestants.items():
        for seed in tqdm(range(seeds), name, unit="seed", disable=None):
            records[name].append(board.score(method, seed))
            means[name].append(board.means(method, seed))
    settings = {s: [k for k, c in board.cases.items() if c.split == s] for s in config.splits}
    settings = {s: names for s, names in settings.items() if names}
    splits = summarise(records, settings)
    costs = {
        name: {
            "parameters": m.parameters,
            "training_seconds": m.training_seconds,
            "seconds_a_member": next(iter(splits.values()))[name]["seconds"]["all"][0],
        }
        for name, m in contestants.items()
    }
    units = {f.name: f.attrs.get("units", "1") for f in board.fields} | board.diagnostics.units
    about = {
        "seeds": seeds,
        "members": config.members,
        "verifying": config.verifying,
        "steps": sampling_note(contestants),
    }
    response = responses(board, list(store.attrs["parameters"]), means) if board.sweep else {}
    head = {"about": about, "units": units, "settings": settings, "methods": costs}
    return jsonable({**head, "splits": splits, "response": response})


def sampling_note(contestants: dict) -> str:
    """Which network evaluations the pixel-space method spends, where it takes part."""
    if PIXEL not in contestants:
        return f"`{PIXEL}` did not take part: it needs diffusers (`pip install -e '.[bench]'`)."
    from .unet import SAMPLING_STEPS, STEPS

    return f"`{PIXEL}` is sampled with {SAMPLING_STEPS} of its {STEPS} steps."


def jsonable(x: Any) -> Any:
    """Without NaN, which is not JSON."""
    if isinstance(x, dict):
        return {k: jsonable(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [jsonable(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--seeds", type=int, default=3, help="each draws its own members")
    parser.add_argument("--minutes", type=float, default=40, help="of training for the pixel-space U-Net")
    parser.add_argument("--states", type=Path, default=Path("data/dino-coarse"))
    parser.add_argument("--model", type=Path, default=Path("pretrained/dino-coarse"))
    parser.add_argument("--config", type=Path, default=Path("configs/evaluate/dino.yaml"))
    parser.add_argument("--run", type=Path, default=Path("runs/skill/unet"), help="of the pixel-space U-Net")
    args = parser.parse_args(arguments)
    if args.seeds < 1 or args.minutes <= 0:
        raise UserError(f"--seeds {args.seeds} --minutes {args.minutes:g}: both must be above 0")
    if not args.out.resolve().parent.is_dir():
        raise UserError(f"no folder {args.out.resolve().parent} for the page: create it first")
    store, config = open_states(args.states), load_config(args.config)
    results = run(store, config, methods(store, args.model, args.run, args.minutes), args.seeds)
    write_text(args.out.with_suffix(".json"), json.dumps(results, indent=1, allow_nan=False))
    write_text(args.out.with_suffix(".md"), page(results))
    print(page(results))


if __name__ == "__main__":
    exit_politely(main)
