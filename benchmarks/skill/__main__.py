"""Score board: ours, what linear algebra can do, and the published generator's recipe, on settings never seen.

    python -m benchmarks.skill --out docs/results.md

Trains what must be trained (the pixel-space U-Net) and writes a page and a JSON beside it. Interior and edge settings
apart; intervals by bootstrap over settings. What is finished is kept under --run: start the same command again to go
on. Records know their model, states and config, not the code: delete --run/records after changing that of a score.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from ldm_ocean import open_states
from ldm_ocean.bar import bar
from ldm_ocean.errors import UserError, exit_politely
from ldm_ocean.io.atomic import write_text
from ldm_ocean.metrics.config import load_config
from ldm_ocean.metrics.scoring import SIMULATION, jsonable

from .board import SWEEP_MEMBERS, Board
from .methods import FEW, OURS, PIXEL, PIXEL_ALL, methods
from .page import page
from .records import Records
from .summary import ranges, responses, summarise


def run(store, config, contestants: dict, seeds: int, folder: Path) -> dict:
    """All scores of all methods, JSON-able; see ``page`` for what they are. What is in ``folder`` is not done again."""
    board = Board(store, config)
    announce(board, contestants, seeds)
    records: dict[str, list] = {name: [] for name in contestants}
    means: dict[str, list] = {name: [] for name, m in contestants.items() if m.seeds is None}
    for name, method in contestants.items():
        swept = board.sweep if name in means else {}
        rounds = range(min(seeds, method.seeds or seeds))
        with bar(len(rounds) * (len(board.cases) + len(swept)), "setting", what=name) as progress:
            for seed in rounds:
                known = Records(folder / f"{name}-{seed}.json", f"{board.digest} {method.digest}")
                records[name].append(
                    {s: known(s, partial(board.score, method, s, seed)) for s in ticking(board.cases, progress)}
                )
                if swept:
                    responds = partial(board.means, method)
                    means[name].append(
                        {s: known(f"sweep {s}", partial(responds, s, seed)) for s in ticking(swept, progress)}
                    )
    simulated = board.simulated()
    found = assemble(
        store, board, contestants, records | ({SIMULATION: [simulated]} if simulated else {}), means, seeds
    )
    return found | {"weather": jsonable(weathers(store, board, contestants, folder))}


def weathers(store, board: Board, contestants: dict, folder: Path) -> dict[str, dict[str, float]]:
    """Scores of weather, of the methods that draw it apart; empty without scikit-learn."""
    drawn = {name: m for name, m in contestants.items() if m.weather is not None}
    if not drawn:
        return {}
    try:
        from .weather import WeatherBoard
    except ImportError:
        print("weather is not judged: scikit-learn is not installed (pip install -e '.[bench]')", file=sys.stderr)
        return {}
    judge, out = WeatherBoard(store, board.grid, board.fields, board.cases), {}
    asked = {"real": ("", judge.real)}
    asked |= {name: (m.digest, partial(judge, m.weather)) for name, m in drawn.items()}
    if (reconstruct := contestants.get(OURS) and contestants[OURS].reconstruct) is not None:
        asked["reconstruction"] = (contestants[OURS].digest, partial(judge.reconstructed, reconstruct))
    for name, (weights, score) in asked.items():
        known = Records(folder / f"weather-{name}.json", f"{board.digest} {weights}")
        out[name] = known(name, score)
    return out


def assemble(store, board, contestants, records, means, seeds) -> dict:
    """The JSON of finished records."""
    config = board.config
    settings = {s: [k for k, c in board.cases.items() if c.split == s] for s in config.splits}
    settings = {s: names for s, names in settings.items() if names}
    splits = summarise(records, settings)
    costs = {
        name: {
            "parameters": m.parameters,
            "training_seconds": m.training,
            "seconds_a_member": next(iter(splits.values()))[name]["seconds"]["all"][0],
        }
        for name, m in contestants.items()
    }
    about = {
        "seeds": seeds,
        "members": config.members,
        "verifying": config.verifying,
        "steps": sampling_note(contestants),
    }
    response = responses(board, list(store.attrs["parameters"]), means) if board.sweep else {}
    denoising = contestants[OURS].denoising if OURS in contestants else {}
    head = {"about": about, "denoising": denoising, "units": board.units, "settings": settings, "methods": costs}
    return jsonable({**head, "truth": ranges(board, settings), "splits": splits, "response": response})


def announce(board: Board, contestants: dict, seeds: int) -> None:
    """Say how long the slow ones will take, before any begins."""
    verifying = sum(len(c.truth.verifying) for c in board.cases.values())
    swept = sum(len(c.truth.verifying) for c in board.sweep.values())
    for name, m in contestants.items():
        if m.seconds is not None:
            drawn = min(seeds, m.seeds or seeds) * verifying * min(board.config.members, m.most)
            drawn += 0 if m.seeds else seeds * swept * SWEEP_MEMBERS
            print(
                f"{name}: {drawn} members of {m.seconds:.2g} s, about {drawn * m.seconds / 60:.0f} minutes",
                file=sys.stderr,
            )


def ticking(names, progress):
    """``names``, moving the bar on after each."""
    for name in names:
        yield name
        progress.update()


def sampling_note(contestants: dict) -> str:
    """Which network evaluations the pixel-space method spends, where it takes part."""
    if PIXEL not in contestants:
        return f"`{PIXEL}` did not take part: it needs diffusers (`pip install -e '.[bench]'`)."
    from .unet import SAMPLING_STEPS, STEPS

    return (
        f"`{PIXEL}` is sampled with {SAMPLING_STEPS} of its {STEPS} steps; `{PIXEL_ALL}`, the same network, as "
        f"published with all of them, {FEW} members for one seed and without the sweeps. Both are clipped (see "
        "`benchmarks/skill/unet.py`)."
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--seeds", type=int, default=3, help="each draws its own members")
    parser.add_argument("--minutes", type=float, default=40, help="of training for the pixel-space U-Net")
    parser.add_argument("--states", type=Path, default=Path("data/dino-coarse"))
    parser.add_argument("--model", type=Path, default=Path("pretrained/dino-coarse"))
    parser.add_argument("--config", type=Path, default=Path("configs/evaluate/dino.yaml"))
    parser.add_argument("--run", type=Path, default=Path("runs/skill"), help="folder of the U-Net and of the records")
    args = parser.parse_args(arguments)
    if args.seeds < 1 or args.minutes <= 0:
        raise UserError(f"--seeds {args.seeds} --minutes {args.minutes:g}: both must be above 0")
    if not args.out.resolve().parent.is_dir():
        raise UserError(f"no folder {args.out.resolve().parent} for the page: create it first")
    store, config = open_states(args.states), load_config(args.config)
    contestants = methods(store, args.model, args.run / "unet", args.minutes)
    results = run(store, config, contestants, args.seeds, args.run / "records")
    write_text(args.out.with_suffix(".json"), json.dumps(results, indent=1, allow_nan=False))
    write_text(args.out.with_suffix(".md"), page(results))
    print(page(results))


if __name__ == "__main__":
    exit_politely(main)
