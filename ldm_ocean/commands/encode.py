"""``ldm-ocean encode``: states → the latent store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.output import result, work_folder
from ..shipped import find, find_model
from . import options

if TYPE_CHECKING:
    from ..autoencoder.codec import IdentityCodec

EXAMPLES = """examples:
  ldm-ocean encode data/dino-coarse --codec runs/vae --out runs/latents.zarr
  ldm-ocean encode data/dino-coarse --identity runs/pixel --out runs/pixel.zarr     latent = state, no autoencoder
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``ldm-ocean encode``."""
    parser.add_argument("states", type=find, help="a folder from `simulate` or a store from `prepare`")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--codec", type=find_model, help="a run of train_vae.py, or a saved model: its folder or name")
    how.add_argument("--identity", type=Path, help="write an identity codec into this folder and use it")
    parser.add_argument("--out", type=Path, required=True, help="the latent store to write")
    options.device(parser)
    options.overwrite(parser)


def run(args: argparse.Namespace) -> None:
    """Encode every state that is not yet there and say how large the result is."""
    inputs = [args.states, *filter(None, [args.codec])]
    with result(args.out, "encode", args.codec is None, inputs, args.overwrite) as mark:
        _encode(args, mark)


def _encode(args: argparse.Namespace, mark: str) -> None:
    from .. import artefacts
    from ..autoencoder.latents import write_latents
    from ..io.states import open_states
    from ..nn.device import device_named

    device = device_named(args.device)  # refused before anything is read
    states = open_states(args.states)
    codec = artefacts.load_codec(args.codec) if args.codec else identity_codec(args.states, args.identity)
    count, megabytes = states.sizes["sample"], 2e-6 * states.sizes["sample"] * codec.n_tokens * codec.channels
    print(f"{count} states → {codec.n_tokens} × {codec.channels} latents each, {megabytes:.1f} MB")
    write_latents(args.out, codec.to(device), states, mark=mark)


def identity_codec(states_path: Path, folder: Path) -> IdentityCodec:
    """An ``IdentityCodec`` with the statistics of the training states, saved in ``folder``."""
    import torch

    from .. import artefacts
    from ..autoencoder.codec import IdentityCodec
    from ..autoencoder.normaliser import Normaliser
    from ..io.states import open_states
    from ..ocean.fields import Fields
    from ..ocean.grid import OceanGrid

    training = open_states(states_path, ["train"])
    grid, fields = OceanGrid.from_dataset(training), Fields.from_dataset(training)
    codec = IdentityCodec(fields, grid)
    states = fields.stack(training, grid)
    codec.normaliser.load_state_dict(Normaliser.fit(states, fields.volumes(grid)).state_dict())
    codec.fit_statistics(torch.from_numpy(states))
    with work_folder(folder, "encode", artefacts.is_identity, [states_path]):
        artefacts.save_codec(folder, codec)
    return codec
