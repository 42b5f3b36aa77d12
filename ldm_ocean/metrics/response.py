"""Does a generated ocean answer to a parameter as the simulated one does?

    g_s = a + b x_s + e_s,    b = Σ (x − x̄)(g − ḡ)/Σ (x − x̄)²,    R² = [Σ (x − x̄)(g − ḡ)]²/[Σ (x − x̄)² Σ (g − ḡ)²]

x_s is the mean of a scalar diagnostic over the simulated states of setting s, g_s that over the generated ones, and s
runs over a sweep: settings that differ in one parameter only. A slope b of one is the right response, below one too
weak; R² tells whether it has the right shape.
"""

from dataclasses import dataclass

import numpy as np

from .bootstrap import bootstrap


@dataclass(frozen=True)
class Response:
    """Slope b with its bootstrap interval over settings, R², both dimensionless; NaN without a simulated response."""

    slope: float
    low: float
    high: float
    r2: float


def response(simulated: np.ndarray, generated: np.ndarray, seed: int = 0) -> Response:
    """Of one diagnostic, (S,) against (S,)."""
    simulated, generated = np.asarray(simulated, "float64"), np.asarray(generated, "float64")
    slope, low, high = bootstrap(_slope, simulated, generated, seed=seed)
    return Response(slope, low, high, _slope(simulated, generated) * _slope(generated, simulated))


def sweeps(parameters: np.ndarray) -> list[np.ndarray]:
    """For each parameter the indices of the settings, among (S, P), that differ from the centre in it alone.

    The centre holds the most frequent value of each parameter; it belongs to every sweep.
    """
    centre = [values[counts.argmax()] for values, counts in (np.unique(p, return_counts=True) for p in parameters.T)]
    same = np.isclose(parameters, centre, rtol=1e-6, atol=0)
    return [np.flatnonzero(np.delete(same, p, 1).all(1)) for p in range(parameters.shape[1])]


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    square = (x * x).sum()
    return float((x * y).sum() / square) if square > 0 else np.nan
