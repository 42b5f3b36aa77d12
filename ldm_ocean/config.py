"""Configuration: typed schemas, small YAML groups, ``key=value`` overrides; an unknown key names the nearest one.

A command line is a list of ``group=name`` (a file ``configs/<group>/<name>.yaml`` or a path to one),
``experiment=name`` (a file that chooses groups for each stage) and ``dotted.key=value``; later ones win.
"""

from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .errors import UserError, nearest

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
GROUPS = ("data", "model", "train")


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

    strides: list[list[int]] = field(default_factory=lambda: [[3, 2, 2], [2, 2, 2]])
    widths: list[int] = field(default_factory=lambda: [64, 96])
    blocks: list[int] = field(default_factory=lambda: [2, 2])
    channels: int = 11
    mixtures: float = 0.5  # share of training states replaced by random linear mixtures of anomalies
    latent_noise: float = 0.02  # noise on the latent in training, in units of its bound's scale
    vertical: float = 0.1  # weight of the loss on vertical differences
    power: float = 0.5  # 0: all levels count alike; 1: physical variance counts alike
    initial: str = ""  # a trained run whose weights to start from, where shapes agree


@dataclass
class DiffusionModel:
    """Shape of the transformer, and how conditions are dropped in training; see ``dit.DiT``."""

    width: int = 128
    depth: int = 6
    heads: int = 4
    curve: str = "edm"
    drop_parameters: float = 0.1
    drop_context: float = 0.5
    latent_noise: float = 0.0  # jitter of the training latents
    initial: str = ""


@dataclass
class Train:
    """One training run, counted in samples; see ``engine.fit``."""

    samples: int = 32_000
    global_batch_size: int = 16
    device_batch_size: int = 64  # at most; accumulation follows
    lr: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    validate_every: int = 3200
    checkpoint_every: int = 3200
    keep_last: int = 2
    seed: int = 0
    device: str = "auto"
    precision: str = "no"  # or bf16; fp16 is refused: anomalies at the edge of its range would overflow


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
            content = value if key in GROUPS else _parse(key, value)
            config = _merge(config, schema, key, content, "the command line")
    return OmegaConf.to_object(config)


def _parse(key: str, value: str) -> Any:
    if "${" in value:
        raise UserError(f"{key}={value}: interpolation is not accepted, write the value itself")
    try:
        parsed: Any = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={value}"]))
        return parsed["value"]
    except Exception as error:
        raise UserError(f"cannot read the value of {key}={value}: {error}") from error


def _read(group: str, name: str) -> dict:
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / group / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in (CONFIGS / group).glob("*.yaml"))
        raise UserError(f"no {group} config {name!r}{nearest(name, known)}")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except Exception as error:
        raise UserError(f"{path} is not readable YAML: {error}") from error
    return content or {}


def _merge(config, schema, key: str, content, where: str):
    if key in GROUPS and isinstance(content, str):
        content = _read(key, content)
    tree: Any = content
    for part in reversed(key.split(".")):
        tree = {part: tree}
    _check_keys(tree, schema, "", where)
    try:
        return OmegaConf.merge(config, tree)
    except OmegaConfBaseException as error:
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
