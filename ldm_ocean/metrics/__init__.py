"""Scores: pure kernels, their accumulators, baselines to beat, and diagnostics of one state."""

from .accumulators import EnsembleScore, StateError
from .baselines import BASELINES, Baselines, Climatology, EofRegression, NearestSetting
from .diagnostics import Diagnostics, Regions

__all__ = [
    "BASELINES",
    "Baselines",
    "Climatology",
    "Diagnostics",
    "EnsembleScore",
    "EofRegression",
    "NearestSetting",
    "Regions",
    "StateError",
]
