"""Parameters on a common scale, for distances and regressions between settings."""

import numpy as np

LOGARITHMIC_SPAN = 5.0  # a positive parameter whose training range spans more than this factor counts by its logarithm


class ParameterScale:
    """Training range → [0, 1] for each parameter, logarithmically where it spans more than ``LOGARITHMIC_SPAN``."""

    def __init__(self, parameters: np.ndarray):
        low, high = parameters.min(0), parameters.max(0)
        self.log = (low > 0) & (high > LOGARITHMIC_SPAN * low)
        self.low, self.high = self._unlog(low), self._unlog(high)

    def __call__(self, parameters: np.ndarray) -> np.ndarray:
        """(..., P) → (..., P); a parameter that never varied gives 0."""
        span = np.where(self.high > self.low, self.high - self.low, np.inf)
        return (self._unlog(np.asarray(parameters, "float64")) - self.low) / span

    def _unlog(self, parameters):
        return np.where(self.log, np.log(np.where(self.log, parameters, 1.0)), parameters)
