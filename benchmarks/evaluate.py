"""What scoring costs: CPU seconds of `ldm-ocean evaluate` by part, whole and --quick, on one thread.

OMP_NUM_THREADS=1 python benchmarks/evaluate.py --model pretrained/dino-coarse --states data/dino-coarse [--quick]
"""

import argparse
import cProfile
import pstats
import time

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.metrics.config import load_config, quick
from ldm_ocean.metrics.generated import score_model

PARTS = {
    "network": "sample_latents",
    "decoder": "_decoded",
    "scores of ensembles": "_tally",
    "diagnostics": "_diagnose",
    "bootstrap": "bootstrap",
    "fitting the baselines": "fit",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pretrained/dino-coarse")
    parser.add_argument("--states", default="data/dino-coarse")
    parser.add_argument("--config", default="configs/evaluate/dino.yaml")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    config = load_config(args.config)
    model, states = OceanLDM.from_pretrained(args.model, "cpu"), open_states(args.states)
    profile = cProfile.Profile(time.process_time)
    profile.runcall(score_model, model, states, quick(config) if args.quick else config)
    stats = pstats.Stats(profile)
    print(f"{'all of score_model':24s} {stats.total_tt:8.1f} CPU s")
    for part, function in PARTS.items():
        found = [v[3] for (file, _, name), v in stats.stats.items() if name == function and "ldm_ocean" in file]
        print(f"{part:24s} {max(found, default=0.0):8.1f}")


if __name__ == "__main__":
    main()
