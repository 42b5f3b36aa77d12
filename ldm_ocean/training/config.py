"""Configuration: typed schemas, small YAML groups, ``key=value`` overrides; an unknown key names the nearest one.

A command line is a list of ``group=name`` (a file ``configs/<group>/<name>.yaml`` or a path to one),
``experiment=name`` (a file that chooses groups for each stage) and ``dotted.key=value``; later ones win.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from omegaconf import OmegaConf

from ..errors import UserError, nearest
from ..io import plain_yaml
from ..io.schema import COUNT, SHARE, built, check_keys, merged, one_of, table, within
from ..shipped import ASSETS, find

CONFIGS = ASSETS / "configs"
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
            check_keys([stage], chosen, f"experiment {value}")
            for name, content in chosen[stage].items():
                config = _merged(config, name, content, f"experiment {value}")
        else:
            content = value if key in GROUPS else plain_yaml.parse(value, f"{key}={value}")
            config = _merged(config, key, content, "the command line")
    if config.train.precision == "False":  # as YAML reads a bare `no`
        config.train.precision = "no"
    return built(config)


def _merged(config, key: str, content, where: str):
    """``content`` of a group may be the name of its file."""
    if key in GROUPS and isinstance(content, str):
        content = _read(key, content)
    return merged(config, key, content, where)


def _read(group: str, name: str) -> dict:
    path = find(name) if name.endswith((".yaml", ".yml")) else CONFIGS / group / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in (CONFIGS / group).glob("*.yaml"))
        raise UserError(f"no {group} config {name!r}{nearest(name, known)}")
    return table(path)
