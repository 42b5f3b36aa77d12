"""Spun-up ocean states from a latent diffusion model, conditioned on the parameters of the ocean model."""

__version__ = "0.1.0"

from .data.states import open_states  # noqa: E402
from .pipeline import OceanLDM  # noqa: E402

__all__ = ["OceanLDM", "__version__", "open_states"]
