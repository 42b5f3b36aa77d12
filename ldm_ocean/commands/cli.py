"""The command line: ``ldm-ocean <command>``; one file a command."""

import argparse
import sys
import warnings

from .. import __version__
from ..errors import DEBUG, DEBUG_HELP, UserError, exit_politely

COMMANDS = {
    "simulate": "run the DINO-like basin on Veros for a design of parameter settings",
    "prepare": "any ocean model's files → the canonical state store",
    "train-vae": "stage one: train the autoencoder on states",
    "encode": "states → latents, once, with the statistics and hashes that stage two needs",
    "train-diffusion": "stage two: train the generator on latents",
    "sample": "generate spun-up states for given parameters",
    "settle": "what a short run reached → where a long one would go",
    "evaluate": "score a model, or any prepared states",
    "restart": "states → files that NEMO or Veros start from; or judge such a file by NEMO's reading rules",
    "spinup": "Veros from generated states (or finished NEMO runs) beside other ways to begin: drift, shock",
    "demo": "train both stages small, sample unseen parameters, score, write report.html",
}


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line, like all others."""

    def error(self, message: str):
        raise UserError(f"{message}: see `{self.prog} --help`")


def main(arguments: list[str] | None = None) -> None:
    """Parse and run; a mistake in the input is one line on stderr and exit code 2."""
    given = sys.argv[1:] if arguments is None else arguments
    exit_politely(lambda: _run([a for a in given if a != DEBUG]), given)


def _run(arguments: list[str]) -> None:
    parser = Parser("ldm-ocean", description="Spun-up ocean states without the spin-up.")
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    chosen = next((a for a in arguments if a in COMMANDS), None)
    for name, summary in COMMANDS.items():
        sub = subparsers.add_parser(name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}.")
        sub.add_argument(DEBUG, action="store_true", default=argparse.SUPPRESS, help=DEBUG_HELP)
        if name == chosen:  # import only what runs: `--help` stays quick
            module = _module(name)
            sub.epilog, sub.formatter_class = module.EXAMPLES, argparse.RawDescriptionHelpFormatter
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    warnings.showwarning = _warn
    args.run(args)


def _warn(message, category, *_):
    """Our own warnings are one line for the user; those of libraries are not theirs to mend."""
    if category is UserWarning:
        print(f"warning: {message}", file=sys.stderr)


def _module(name: str):
    from importlib import import_module

    return import_module(f".{name.replace('-', '_')}", __package__)


if __name__ == "__main__":
    main()
