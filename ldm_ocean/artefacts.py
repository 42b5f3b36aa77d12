"""Models on disk: a folder of JSON and safetensors, complete in itself, nothing pickled.

``codec.json`` holds fields, hyperparameters (as ``shape``) and schema version, ``codec.safetensors`` weights,
statistics and the mesh; ``generator.json`` / ``generator.safetensors`` the same for the denoiser. Each of a pair knows
the other: the JSON holds the SHA-256 of the tensors' file, whose metadata hold that of everything else in the JSON.
Generators of schema 1 are read by way of ``generative.upgrade``.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from . import __version__
from .autoencoder.codec import Codec, IdentityCodec
from .autoencoder.vae import Autoencoder
from .errors import UserError
from .generative.conditions import ParameterScaler
from .generative.denoiser import Denoiser
from .generative.dit import DiT
from .generative.generator import Generator
from .generative.prior import Prior
from .generative.process import GaussianProcess
from .generative.upgrade import from_schema_1
from .generative.weather import Weather
from .io.atomic import published
from .ocean.fields import Fields
from .ocean.grid import OceanGrid
from .shipped import find_model

SCHEMAS = {"codec": (1,), "generator": (2, 1)}  # written first, read all
MESH = "mesh."
SUM = "sha256"  # what was published before the tensors knew the sum of their JSON is read without


def save_codec(folder: Path, codec: Codec) -> None:
    """Write a codec with its statistics and mesh."""
    mesh = {MESH + k: torch.from_numpy(v.copy()) for k, v in codec.grid.mesh.items()}
    ocean = {"periodic_x": codec.grid.periodic_x, "equation_of_state": codec.grid.equation_of_state}
    about = {"shape": codec.hyperparameters, "fields": codec.fields.records(), **ocean, "digest": codec.digest}
    _write(folder, "codec", {**codec.state_dict(), **mesh}, about)


def load_codec(folder: Path) -> Codec:
    """Read a codec; UserError when it is missing, of another schema, or altered."""
    about, tensors = _read(folder, "codec")
    with _readable(folder, "codec"):
        codec = _codec(about, tensors)
    if codec.digest != about["digest"]:
        raise UserError(f"{folder} was altered: its weights hash to {codec.digest[:12]}, not {about['digest'][:12]}")
    return codec.eval()


def _codec(about: dict, tensors: dict) -> Codec:
    mesh = {k.removeprefix(MESH): v.numpy() for k, v in tensors.items() if k.startswith(MESH)}
    grid = OceanGrid(mesh, about["periodic_x"], about.get("equation_of_state"))
    fields = Fields.from_records(about["fields"])
    _check_size(about["shape"] or {}, tensors)
    codec = Autoencoder(fields, grid, **about["shape"]) if about["shape"] else IdentityCodec(fields, grid)
    codec.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(MESH)})
    return codec


def is_identity(folder: Path) -> bool:
    """Whether ``folder`` holds an ``IdentityCodec`` and nothing else."""
    names = {p.name for p in folder.iterdir()}
    return (
        names <= {"codec.json", "codec.safetensors"}
        and json.loads((folder / "codec.json").read_text())["shape"] is None
    )


def save_generator(folder: Path, generator: Generator) -> None:
    """Write denoiser and parameter scaler; its ``about`` holds ``shape`` (width, depth, heads) or None without a
    network, ``curve``, ``codec``, and ``namelist`` where those of the training settings are known.
    """
    tensors = {f"denoiser.{k}": v for k, v in generator.denoiser.state_dict().items()}
    tensors |= {f"scaler.{k}": v for k, v in generator.scaler.state_dict().items()}
    _write(folder, "generator", tensors, {**generator.about, "parameters": generator.scaler.names})


def load_generator(folder: Path, codec: Codec) -> Generator:
    """Read a generator made for ``codec``; UserError when it belongs to another one, with both hashes."""
    about, tensors = _read(folder, "generator")
    if about.get("codec") != codec.digest:
        raise UserError(
            f"generator {folder} was trained on codec {str(about.get('codec'))[:12]}, this one is {codec.digest[:12]}: "
            "load them as a pair"
        )
    with _readable(folder, "generator"):
        if about["schema"] == 1:
            tensors = from_schema_1(tensors)
        scaler = ParameterScaler(about["parameters"])
        scaler.load_state_dict(_part(tensors, "scaler."))
        network = None
        if about["shape"] is not None:
            _check_size(about["shape"], tensors)
            network = new_network(codec, len(scaler.names), about["shape"])
            network.load_state_dict(_part(tensors, "denoiser.network."))
        process = GaussianProcess(**_part(tensors, "denoiser.prior.process."))
        own = {k: v for k, v in _part(tensors, "denoiser.prior.").items() if not k.startswith("process.")}
        denoiser = Denoiser(network, Prior(process, **own), Weather(**_part(tensors, "denoiser.weather.")))
        _check_fit(denoiser, codec, len(scaler.names))
    return Generator(denoiser.eval(), scaler, about)


def new_network(codec: Codec, n_parameters: int, hyperparameters: dict) -> DiT:
    """An untrained transformer for the latent cells of ``codec``."""
    position, period = codec.token_position, codec.grid.period
    return DiT(codec.channels, n_parameters, **hyperparameters, position=position, period=period)


def _check_fit(denoiser: Denoiser, codec: Codec, n_parameters: int) -> None:
    """ValueError for statistics of other latents or parameters than these."""
    prior, weather, process = denoiser.prior, denoiser.weather, denoiser.prior.process
    latents, directions, rank = (codec.n_tokens, codec.channels), len(prior.directions), len(weather.basis)
    settings = len(process.places)
    expected = {
        "middle": (prior.middle, (5, *latents)),
        "directions": (prior.directions, (directions, 5, *latents)),
        "pooled": (prior.pooled, (5, *latents)),
        "gain": (prior.gain, (directions,)),
        "doubt": (prior.doubt, (directions,)),
        "places": (process.places, (settings, n_parameters)),
        "values": (process.values, (settings, directions)),
        "lengths": (process.lengths, (directions, n_parameters)),
        **{k: (getattr(process, k), (directions,)) for k in ("slope", "size", "nugget")},
        "basis": (weather.basis, (rank, latents[0] * latents[1])),
        "variances": (weather.variances, (rank + 1,)),
        "slopes": (weather.slopes, (n_parameters,)),
        "limits": (weather.limits, (2,)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} is of shape {tuple(tensor.shape)}, not {shape}")


def load_matching(model: nn.Module, run: Path, name: str = "codec", prefix: str = "") -> None:
    """Copy every weight of a trained run whose name and shape agree: the warm start of a new grid or ratio."""
    _, tensors = _read(run, name)
    own = model.state_dict()
    trained = _part(tensors, prefix)
    same = {k: v for k, v in trained.items() if k in own and own[k].shape == v.shape and "normaliser" not in k}
    if not same:
        raise UserError(f"nothing in {run} fits this model: choose a run with the same widths")
    model.load_state_dict({**own, **same})


def _part(tensors: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _write(folder: Path, name: str, tensors: dict, about: dict) -> None:
    tensors = {k: _smallest(v.detach().cpu()).contiguous() for k, v in tensors.items()}
    about = {**about, "schema": SCHEMAS[name][0], "version": __version__}
    path = folder / f"{name}.json"
    with published(path) as text, published(path.with_suffix(".safetensors"), SafetensorError) as file:
        save_file(tensors, file, {SUM: _sum_of(about)})
        text.write_text(json.dumps({**about, SUM: _sha256(file)}, indent=1))


def _sum_of(about: dict) -> str:
    """SHA-256 of what a model's JSON says, but for the sum of its tensors, however it is laid out."""
    rest = {k: v for k, v in about.items() if k != SUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _smallest(tensor: torch.Tensor) -> torch.Tensor:
    """Half precision where that loses nothing: weights rounded by the autoencoder's task take half the space."""
    half = tensor.half() if tensor.dtype == torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


def _read(folder: Path, name: str) -> tuple[dict, dict]:
    folder = find_model(folder)
    folder = folder if (folder / f"{name}.json").exists() else folder / "best"
    path = folder / f"{name}.json"
    if not path.exists():
        raise UserError(
            f"no {name} in {folder.parent if folder.name == 'best' else folder}: train it first, or give another folder"
        )
    with _readable(folder, name):
        about = dict(json.loads(path.read_text()))
    if about.get("schema") not in SCHEMAS[name]:
        read = " and ".join(map(str, SCHEMAS[name]))
        raise UserError(f"{path} has schema {about.get('schema')}, this version reads {read}: use the matching release")
    file = path.with_suffix(".safetensors")
    with _readable(folder, name):
        tensors = load_file(file)
        tensors = {k: v.float() if v.dtype == torch.float16 else v for k, v in tensors.items()}
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
    for what, known, found in ((file, about.get(SUM), _sha256(file)), (path, metadata.get(SUM), _sum_of(about))):
        if known not in (None, found):
            raise UserError(f"{what} was altered: copy or train it again")
    return about, tensors


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[None]:
    """Whatever JSON, safetensors or the networks say of a file that is not one of ours, in one line."""
    try:
        yield
    except Exception as error:
        raise UserError(f"{folder} holds no readable {name} ({error!r:.200}): copy or train it again") from error


def _check_size(claimed: dict, tensors: dict) -> None:
    """ValueError for a network larger than the tensors that are there for it, before it is built."""
    largest = max([len(tensors), *(size for t in tensors.values() for size in t.shape)])
    numbers = np.concatenate([np.ravel(v) for v in claimed.values()]) if claimed else np.zeros(0)
    if (numbers < 0).any() or (numbers > largest).any():
        raise ValueError(f"it claims a network of {claimed}, the largest of its tensors has {largest}")
