"""Scores: pure kernels, their accumulators, baselines to beat, and diagnostics of one state."""

from .accumulators import EnsembleScore, StateError
from .baselines import BASELINES, Baselines, Climatology, NearestSetting
from .diagnostics import Diagnostics, Regions
from .eof import EofGaussianProcess, EofRegression

__all__ = [
    "BASELINES",
    "Baselines",
    "Climatology",
    "Diagnostics",
    "EnsembleScore",
    "EofGaussianProcess",
    "EofRegression",
    "NearestSetting",
    "Regions",
    "StateError",
]
