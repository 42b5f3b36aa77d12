"""Spun-up ocean states from a latent diffusion model, conditioned on the parameters of the ocean model."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .autoencoder.latents import encode
    from .io.prepare import prepare
    from .io.starts import restart
    from .io.states import open_states
    from .metrics.evaluation import evaluate
    from .pipeline import OceanLDM
    from .report.quicklook import plot

__version__ = "0.1.0"
__all__ = ["OceanLDM", "__version__", "encode", "evaluate", "open_states", "plot", "prepare", "restart"]
HOMES = {
    "OceanLDM": ".pipeline",
    "encode": ".autoencoder.latents",
    "evaluate": ".metrics.evaluation",
    "open_states": ".io.states",
    "plot": ".report.quicklook",
    "prepare": ".io.prepare",
    "restart": ".io.starts",
}


def __getattr__(name: str):
    """What a notebook needs, imported when it is asked for: torch and xarray take seconds, `ldm-ocean --help` none."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(HOMES[name], __name__), name)
    return value
