"""What comes with the package: configurations, published models, and the ocean of the demo.

In a checkout it stands beside the package, in a wheel within it, under ``assets`` (pyproject.toml says what).
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ASSETS = PACKAGE / "assets" if (PACKAGE / "assets").is_dir() else PACKAGE.parent
FOLDERS = ("configs", "data", "pretrained")  # a checkout holds more, which is nobody's but its owner's
MODELS = "LDM_OCEAN_MODELS"  # environment variable: a folder of your own models, to be called by name


def find(path: str | Path) -> Path:
    """``path``, if it is there; else what comes with the package under this name; else ``path``."""
    return _first(Path(path), _ours(path))


def find_model(name: str | Path) -> Path:
    """The folder of a model: by path, as ``find`` does, or by name, of your own models or of the published ones."""
    own = [Path(os.environ[MODELS]) / name] if MODELS in os.environ else []
    return _first(Path(name), *own, _ours(name), ASSETS / "pretrained" / name)


def _ours(path: str | Path) -> Path:
    return ASSETS / path if Path(path).parts[:1] and Path(path).parts[0] in FOLDERS else Path(path)


def _first(given: Path, *others: Path) -> Path:
    return next((path for path in (given, *others) if path.exists()), given)
