"""Spun-up ocean states from a latent diffusion model, conditioned on the parameters of the ocean model."""

__version__ = "0.1.0"

from .io.states import open_states
from .pipeline import OceanLDM

__all__ = ["OceanLDM", "__version__", "open_states"]
