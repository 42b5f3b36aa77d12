"""Configuration: typed schemas, small YAML groups, ``key=value`` overrides; an unknown key names the nearest one.

A command line is a list of ``group=name`` (a file ``configs/<group>/<name>.yaml`` or a path to one),
``experiment=name`` (a file that chooses groups for each stage) and ``dotted.key=value``; later ones win.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..errors import UserError, nearest
from ..io import plain_yaml
from ..shipped import ASSETS, find

CONFIGS = ASSETS / "configs"
GROUPS = ("data", "model", "train")
SHARE = (0.0, 1.0)
COUNT = (1, 10**12)


def within(default: Any, limits: tuple[float, float]) -> Any:
    """A field whose numbers, in lists too, lie between ``limits``, both included."""
    make = {"default_factory": lambda: default} if isinstance(default, list) else {"default": default}
    return field(**make, metadata={"limits": limits})


def one_of(*choices: str) -> Any:
    """A field that takes one of ``choices``; the first by default."""
    return field(default=choices[0], metadata={"choices": choices})


@dataclass
class Data:
    """Where states and latents are; which variables (empty: all) and which splits train and validate."""

    states: str = "data/dino-coarse"
    latents: str = "runs/latents.zarr"
    variables: list[str] = field(default_factory=list)
    train: list[str] = field(default_factory=lambda: ["train"])
    validation: list[str] = field(default_factory=lambda: ["validation"])


@dataclass
class AutoencoderModel:
    """Shape of the autoencoder, and how it is regularised; see ``vae.Autoencoder``."""

    strides: list[list[int]] = within([[3, 2, 2], [2, 2, 2]], (1, 64))  # noqa: RUF009 (a factory)
    widths: list[int] = within([64, 96], (1, 2**16))  # noqa: RUF009
    blocks: list[int] = within([2, 2], (0, 1000))  # noqa: RUF009
    channels: int = within(11, (1, 2**16))
    mixtures: float = within(0.5, SHARE)  # share of training states replaced by random linear mixtures of anomalies
    latent_noise: float = within(0.02, (0, 100))  # noise on the latent in training, in units of its bound's scale
    vertical: float = within(0.1, (0, 1e6))  # weight of the loss on vertical differences
    power: float = within(0.5, (0, 2))  # 0: all levels count alike; 1: physical variance counts alike
    initial: str = ""  # a trained run whose weights to start from, where shapes agree


@dataclass
class DiffusionModel:
    """Shape of the transformer, and how conditions are dropped in training; see ``dit.DiT``."""

    width: int = within(128, (1, 2**16))
    depth: int = within(6, (1, 1000))
    heads: int = within(4, (1, 2**16))
    curve: str = one_of("edm", "flow")
    drop_parameters: float = within(0.1, SHARE)
    drop_context: float = within(0.5, SHARE)
    latent_noise: float = within(0.0, (0, 100))  # jitter of the training latents
    initial: str = ""


@dataclass
class Train:
    """One training run, counted in samples; see ``engine.fit``."""

    samples: int = within(32_000, COUNT)
    global_batch_size: int = within(16, COUNT)
    device_batch_size: int = within(64, COUNT)  # at most; accumulation follows
    lr: float = within(1e-3, (0, 1e3))
    warmup: float = within(0.05, (0, 0.99))  # share of the run
    weight_decay: float = within(0.01, (0, 1e3))
    clip: float = within(1.0, (1e-9, 1e9))
    ema: float = within(0.999, SHARE)
    validate_every: int = within(3200, COUNT)
    checkpoint_every: int = within(3200, COUNT)
    keep_last: int = within(2, COUNT)
    seed: int = within(0, (0, 2**31 - 1))
    device: str = one_of("auto", "cpu", "cuda")  # auto: a GPU of CUDA, else the CPU; Apple's knows no double precision
    precision: str = one_of("no", "bf16")  # fp16: anomalies at the edge of its range would overflow


@dataclass
class VaeConfig:
    """``train_vae.py``."""

    run: str = "runs/vae"
    data: Data = field(default_factory=Data)
    model: AutoencoderModel = field(default_factory=AutoencoderModel)
    train: Train = field(default_factory=Train)


@dataclass
class DiffusionConfig:
    """``train_diffusion.py``."""

    run: str = "runs/diffusion"
    codec: str = "runs/vae"
    data: Data = field(default_factory=Data)
    model: DiffusionModel = field(default_factory=DiffusionModel)
    train: Train = field(default_factory=Train)


@contextmanager
def named(keys: str) -> Iterator[None]:
    """Put the ``keys`` of the values at fault before a UserError that cannot know them."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{keys}: {error}") from error


def load(schema: type, stage: str, arguments: list[str]):
    """Build a ``schema`` instance from the command line ``arguments``; ``stage`` is its key in experiment files.

    UserError for unknown keys, files, or values of the wrong type.
    """
    config = OmegaConf.structured(schema)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise UserError(f"cannot read argument {argument!r}: write key=value, e.g. train.lr=1e-3")
        if key == "experiment":
            chosen = _read("experiment", value)
            if stage not in chosen:
                raise UserError(f"experiment {value} has no part {stage!r}{nearest(stage, chosen)}")
            for name, content in chosen[stage].items():
                config = _merge(config, schema, name, content, f"experiment {value}")
        else:
            content = value if key in GROUPS else plain_yaml.parse(value, f"{key}={value}")
            config = _merge(config, schema, key, content, "the command line")
    built: Any = OmegaConf.to_object(config)
    if built.train.precision == "False":  # as YAML reads a bare `no`
        built.train.precision = "no"
    _check_values(built, "")
    return built


def _check_values(part: Any, prefix: str) -> None:
    """UserError for the first value outside its field's limits or choices."""
    for f in fields(part):
        key, value, known = prefix + f.name, getattr(part, f.name), f.metadata
        if is_dataclass(value):
            _check_values(value, f"{key}.")
        elif value not in known.get("choices", [value]):
            raise UserError(f"{key}={value} is not accepted: choose {' or '.join(known['choices'])}")
        elif "limits" in known and not all(_inside(v, known["limits"]) for v in _flat(value)):
            low, high = known["limits"]
            raise UserError(f"{key}={value} is not accepted: choose {low:g} to {high:g}")


def _inside(value: float, limits: tuple[float, float]) -> bool:
    return math.isfinite(value) and limits[0] <= value <= limits[1]


def _flat(value: Any) -> list:
    return [w for v in value for w in _flat(v)] if isinstance(value, list) else [value]


def _read(group: str, name: str) -> dict:
    path = find(name) if name.endswith((".yaml", ".yml")) else CONFIGS / group / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in (CONFIGS / group).glob("*.yaml"))
        raise UserError(f"no {group} config {name!r}{nearest(name, known)}")
    content = plain_yaml.read(path) or {}
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no table: write `key: value`, one a line")
    return content


def _merge(config, schema, key: str, content, where: str):
    if key in GROUPS and isinstance(content, str):
        content = _read(key, content)
    tree: Any = content
    for part in reversed(key.split(".")):
        tree = {part: tree}
    _check_keys(tree, schema, "", where)
    try:
        return OmegaConf.merge(config, tree)
    except (OmegaConfBaseException, TypeError, ValueError) as error:  # OmegaConf has either
        raise UserError(f"{key} in {where}: {str(error).splitlines()[0]}") from error


def _check_keys(tree: dict, schema: type, prefix: str, where: str) -> None:
    known = {f.name: f for f in fields(schema)}
    for key, value in tree.items():
        if key not in known:
            raise UserError(f"unknown key {prefix + str(key)!r} in {where}{nearest(key, known)}")
        kind = known[key].default_factory
        if isinstance(value, dict) and is_dataclass(kind):
            _check_keys(value, kind, f"{prefix}{key}.", where)
        elif is_dataclass(kind):
            raise UserError(f"{prefix}{key} in {where} is a group: choose a file or set {prefix}{key}.<key>")
