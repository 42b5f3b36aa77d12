"""What a run has to tell, whichever model it is of."""

from dataclasses import dataclass, field

import numpy as np

MONTHS = 12  # a year


@dataclass(frozen=True)
class Trajectory:
    """``annual[scalar]`` (years,) means; ``years``: annual mean states (V, D, Y, X), empty where it came through no
    month; ``shock`` of the first month, NaN where not known; ``blown``: it left what an ocean can be, at ``step`` of
    the model where that is known; ``costs`` in core-seconds by name, as far as they are known."""

    annual: dict[str, np.ndarray]
    years: list[np.ndarray]
    shock: float
    blown: bool = False
    step: int | None = None
    costs: dict[str, float] = field(default_factory=dict)


def annual(scalar: list[float]) -> np.ndarray:
    """Monthly values (months,) → annual means (years,); the last year may have fewer months."""
    values = np.asarray(scalar, "float64")
    starts = np.arange(0, len(values), MONTHS)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values))) if len(values) else values


def swings(values: np.ndarray) -> float:
    """∫|dq/dt| dt from q (time,) at instants: every rise and every fall. NaN from none."""
    return float(np.abs(np.diff(values)).sum()) if len(values) else np.nan
