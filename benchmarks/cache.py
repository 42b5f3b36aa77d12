"""Stage two from the latent cache against encoding on the fly: seconds a training step, and their ratio.

python benchmarks/cache.py --codec pretrained/dino-coarse
"""

import argparse
import statistics
import time

import torch

from ldm_ocean import open_states
from ldm_ocean.training.config import DiffusionConfig, load
from ldm_ocean.training.diffusion import DiffusionTask

BATCH, REPEATS = 32, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="pretrained/dino-coarse")
    args = parser.parse_args()
    task = DiffusionTask(load(DiffusionConfig, "diffusion", ["experiment=dino", f"codec={args.codec}"]))
    chosen = [int(i) for i in task.train_index[:BATCH]]
    states = open_states("data/dino-coarse").isel(sample=chosen)
    states = torch.from_numpy(task.codec.fields.stack(states, task.codec.grid))

    def cached() -> None:
        task(task.batch(list(range(BATCH)), range(BATCH))).mean().backward()

    def on_the_fly() -> None:
        with torch.no_grad():
            task.codec.encode(states)
        cached()

    times: dict[str, list[float]] = {"cached": [], "on the fly": []}
    for _ in range(REPEATS + 1):
        for name, step in (("cached", cached), ("on the fly", on_the_fly)):
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {k: statistics.median(v[1:]) for k, v in times.items()}
    ratio = medians["on the fly"] / medians["cached"]
    print(", ".join(f"{k} {1e3 * v:.0f} ms a step" for k, v in medians.items()), end="; ")
    print(f"on the fly costs {ratio:.2f} times the cache (reading states not counted)")


if __name__ == "__main__":
    main()
