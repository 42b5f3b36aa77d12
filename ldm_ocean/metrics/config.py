"""What to score, and its YAML."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ..errors import UserError
from ..io.schema import COUNT, built, merged, table, within
from ..shipped import find
from .baselines import BASELINES
from .regions import Regions

QUICK = {"settings": 2, "members": 8, "verifying": 2}


@dataclass
class EvaluateConfig:
    """What to score: splits of the truth, members an ensemble, verifying states a setting, baselines, regions.

    ``settings`` of each split at most (0: all); ``context``: whether starts from unfinished states are scored;
    ``train``: splits that the baselines learn from.
    """

    splits: list[str] = field(default_factory=lambda: ["test", "edge"])
    train: list[str] = field(default_factory=lambda: ["train"])
    settings: int = within(0, (0, COUNT[1]))
    members: int = within(16, (2, COUNT[1]))  # ensemble scores need two
    verifying: int = within(6, COUNT)
    context: bool = True
    seed: int = 0
    baselines: list[str] = field(default_factory=lambda: list(BASELINES))
    regions: Regions = field(default_factory=Regions)


def quick(config: EvaluateConfig) -> EvaluateConfig:
    """A small sample of what ``config`` asks for: a twentieth of the network evaluations."""
    fewer: dict[str, Any] = {k: min(n, getattr(config, k) or n) for k, n in QUICK.items()}
    return replace(config, context=False, **fewer)


def load_config(path: str | Path | None) -> EvaluateConfig:
    """``EvaluateConfig`` from YAML, or its defaults; UserError names an unknown key's nearest neighbour."""
    if path is None:
        return EvaluateConfig()
    path = find(path)
    if not path.exists():
        raise UserError(f"no evaluation config at {path}: configs/evaluate holds examples")
    return built(merged(OmegaConf.structured(EvaluateConfig), "", table(path), str(path)), str(path))
