"""Options that several commands share."""

import argparse

from ..io.output import OVERWRITE


def device(parser: argparse.ArgumentParser) -> None:
    """``--device``; ``nn.device.device_named`` reads it."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda: where the networks run (auto)")


def overwrite(parser: argparse.ArgumentParser) -> None:
    """``--overwrite``; ``io.output`` says what it reaches."""
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE)


def settings(parser: argparse.ArgumentParser) -> None:
    """``key=value`` of a training; ``training.config`` reads them."""
    text = "settings (training/config.py has keys and defaults), groups of them by name or file, experiment=NAME"
    parser.add_argument("settings", nargs="*", metavar="key=value", help=text)
