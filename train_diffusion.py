"""Stage two: train the conditional diffusion transformer.

``ldm-ocean train-diffusion`` as a script; ``--help`` has examples.
"""

import sys

from ldm_ocean.commands import cli


def main() -> None:
    cli.main(["train-diffusion", *sys.argv[1:]])


if __name__ == "__main__":
    main()
