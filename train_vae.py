"""Stage one: train the masked autoencoder.

``ldm-ocean train-vae`` as a script; ``--help`` has examples.
"""

import sys

from ldm_ocean.commands import cli


def main() -> None:
    cli.main(["train-vae", *sys.argv[1:]])


if __name__ == "__main__":
    main()
