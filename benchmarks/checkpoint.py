"""What exactness costs: order, noise and polling of every step, and a checkpoint in 500, as a share of the step.

python benchmarks/checkpoint.py          the published experiment, both stages; writes docs/checkpoint.json and .md
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator

from ldm_ocean.generative.sampling import generator
from ldm_ocean.training import checkpoint, engine
from ldm_ocean.training.autoencoder import AutoencoderTask
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
from ldm_ocean.training.diffusion import DiffusionTask
from ldm_ocean.training.ema import EMA
from ldm_ocean.training.stop import stop_flag

EVERY = 500  # steps between checkpoints
DOCS = Path(__file__).resolve().parent.parent / "docs"
STAGES = {"vae": (VaeConfig, AutoencoderTask), "diffusion": (DiffusionConfig, DiffusionTask)}
COLUMNS = {"step": "step", "order": "order", "noise": "noise", "polling": "polling", "save": "one save"}


def seconds(act: Callable[[], object], repeats: int) -> float:
    """Median time of ``act`` after one call that is not counted."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def measure(stage: str, repeats: int) -> dict[str, float]:
    """Seconds of a step and of what exactness adds to it, and the share of that [%]."""
    schema, new_task = STAGES[stage]
    arguments = ["experiment=dino", *(["codec=pretrained/dino-coarse"] if stage == "diffusion" else [])]
    config = load(schema, stage, arguments).train
    task = new_task(load(schema, stage, arguments))
    accelerator = Accelerator(cpu=config.device == "cpu", mixed_precision=config.precision)
    task.to(accelerator.device)
    optimiser, ema = torch.optim.AdamW(task.model.parameters(), lr=config.lr), EMA(task.model, config.ema)
    wrapped, order = accelerator.prepare(task), engine.Order(task.size, config.seed)
    micro, accumulation = engine.share_of_batch(config, accelerator.num_processes)
    batch = range(config.global_batch_size)
    noise = task.batch([0], range(1))["noise"][0]

    def step() -> None:
        engine._step(accelerator, wrapped, task, optimiser, config, order, 0, micro, accumulation)
        ema.update(task.model)

    def own_noise() -> None:
        for position in batch:
            torch.randn(noise.shape, generator=generator(config.seed, 1, position))

    with stop_flag(accelerator) as stop, tempfile.TemporaryDirectory() as folder:
        step()
        state = checkpoint.Standing(samples=0, best=0.0, loss=0.0, steps=0, seed=0, processes=1)

        def save() -> None:
            state["samples"] += 1
            checkpoint.save(Path(folder), task.model, ema, optimiser, state, config.keep_last)

        found = {
            "step": seconds(step, repeats),
            "order": seconds(lambda: [order[p] for p in batch], 100),
            "noise": seconds(own_noise, 100) - seconds(lambda: torch.randn(len(batch), *noise.shape), 100),
            "polling": seconds(stop, 100),
            "save": seconds(save, repeats),
        }
        found["megabytes"] = sum(p.stat().st_size for p in Path(folder).rglob("*.*")) / 1e6 / config.keep_last
    added = found["order"] + found["noise"] + found["polling"] + found["save"] / EVERY
    return {**found, "share": 100 * added / (found["step"] + found["save"] / EVERY)}


def page(results: dict[str, dict[str, float]]) -> str:
    """The table, in milliseconds."""
    lines = [
        "# What exactness costs",
        "",
        f"`python benchmarks/checkpoint.py`, {platform.machine()}, {torch.get_num_threads()} threads. Milliseconds; "
        f"the share is of the step time at one checkpoint in {EVERY} steps.",
        "",
        f"| | {' | '.join(COLUMNS.values())} | size of a checkpoint | share |",
        "|---" * (len(COLUMNS) + 3) + "|",
    ]
    for stage, r in results.items():
        times = " | ".join(f"{1e3 * r[k]:.3g}" for k in COLUMNS)
        lines.append(f"| {stage} | {times} | {r['megabytes']:.1f} MB | {r['share']:.2f} % |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    results = {stage: measure(stage, args.repeats) for stage in STAGES}
    (DOCS / "checkpoint.json").write_text(json.dumps(results, indent=1) + "\n")
    (DOCS / "checkpoint.md").write_text(page(results))
    print(page(results))


if __name__ == "__main__":
    main()
