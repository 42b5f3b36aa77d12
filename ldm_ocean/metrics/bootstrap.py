"""How far a score may be chance: the percentile bootstrap over settings (Efron 1979).

    θ* = θ(x_{i_1}, …, x_{i_S}),    i ~ uniform on 1 … S,    interval = the quantiles (1 ∓ level)/2 of θ*

Settings are drawn, not states: those of one simulation are alike, and count as one.
"""

from collections.abc import Callable

import numpy as np

DRAWS = 2000


def bootstrap(
    statistic: Callable[..., float], *samples: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """(θ, low, high) of ``statistic``, which asks for no order, over arrays (S, ...) that are resampled together along
    their first axis.

    Draws for which the statistic is not defined (NaN) are left out; NaN bounds if all are, or if S is one.
    """
    count = len(samples[0])
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.integers(0, count, (DRAWS, count)), 1)  # few settings make the same sample many times
    distinct, place = np.unique(drawn, axis=0, return_inverse=True)
    draws = np.array([statistic(*(x[i] for x in samples)) for i in distinct])[place.reshape(-1)]
    draws = draws[np.isfinite(draws)]
    if count < 2 or not len(draws):
        return float(statistic(*samples)), np.nan, np.nan
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(statistic(*samples)), float(low), float(high)
