"""The scale on which a physical parameter counts: in designs, in distances between settings, in what networks see."""

import numpy as np

LOGARITHMIC_SPAN = 5.0  # a positive parameter whose range spans more than this factor counts by its logarithm


def is_logarithmic(low, high):
    """Whether parameters of the ranges ``low`` … ``high`` (arrays or tensors) count by their logarithm."""
    return (low > 0) & (high > LOGARITHMIC_SPAN * low)


class ParameterScale:
    """Ranges ``low`` … ``high`` (P,) → [0, 1] and back, evenly on the scale on which each parameter counts."""

    def __init__(self, low: np.ndarray, high: np.ndarray):
        self.low, self.high = np.asarray(low, "float64"), np.asarray(high, "float64")
        self.logarithmic = is_logarithmic(self.low, self.high)

    def unit(self, parameters: np.ndarray) -> np.ndarray:
        """Physical (..., P) → share of the range (..., P); a parameter that never varied gives 0."""
        low, high, x = (self._counted(np.asarray(v, "float64")) for v in (self.low, self.high, parameters))
        return (x - low) / np.where(high > low, high - low, np.inf)

    def physical(self, unit: np.ndarray) -> np.ndarray:
        """Share of the range (..., P) → physical (..., P)."""
        ratio = np.where(self.logarithmic, self.high / np.where(self.logarithmic, self.low, 1.0), 1.0)
        return np.where(self.logarithmic, self.low * ratio**unit, self.low + (self.high - self.low) * unit)

    def _counted(self, values: np.ndarray) -> np.ndarray:
        return np.where(self.logarithmic, np.log(np.where(self.logarithmic, values, 1.0)), values)
