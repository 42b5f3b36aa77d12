"""Spun-up ocean states from a latent diffusion model, conditioned on the parameters of the ocean model."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .io.states import open_states
    from .pipeline import OceanLDM

__version__ = "0.1.0"
__all__ = ["OceanLDM", "__version__", "open_states"]
HOMES = {"OceanLDM": ".pipeline", "open_states": ".io.states"}


def __getattr__(name: str):
    """What a notebook needs, imported when it is asked for: torch and xarray take seconds, `ldm-ocean --help` none."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(HOMES[name], __name__), name)
    return value
