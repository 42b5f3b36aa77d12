"""What the runs tell: drift, shock, distance from equilibrium, and the years of spin-up that a start is worth.

    drift        trend of the annual means of a scalar over the first years [unit a decade], least squares
    shock        ∫ |dKE/dt| dt over the first month [J]
    D²           mean over variables of Σ w (x − x̄)² / Σ w s², x an annual mean state, x̄ that of the control, s² the
                 variance among training states: D = 1 is as far as any state of any setting
    equivalent   the first year t of the cold start with D_cold(t) ≤ D of the start after a year of adjustment

The control is the truth's own continuation; its drifts are those of all windows of as many years. Where there is none,
x̄ is the mean of the last years of the cold start, which has not arrived: a distance from that is no D, and equivalent
years are not known. A start that blew up has no equivalent either, however near it was.
"""

import numpy as np

from .run import MONTHS, Record

DECADE = 10


def annual(scalar: list[float]) -> np.ndarray:
    """Monthly values (months,) → annual means (years,); the last year may have fewer months."""
    values = np.asarray(scalar, "float64")
    starts = np.arange(0, len(values), MONTHS)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values))) if len(values) else values


def trend(annual_means: np.ndarray) -> float:
    """Least-squares trend [unit a decade] of annual means (years,); NaN from fewer than two years."""
    if len(annual_means) < 2:
        return np.nan
    return float(DECADE * np.polyfit(np.arange(len(annual_means)), annual_means, 1)[0])


def shock(energy: np.ndarray) -> float:
    """∫|dKE/dt| dt [J] from kinetic energy (time,) at instants: what is out of balance sheds its excess as waves."""
    return float(np.abs(np.diff(energy)).sum())


def windows(annual_means: np.ndarray, years: int) -> np.ndarray:
    """The trends of every window of ``years`` of a longer series."""
    return np.array([trend(annual_means[i : i + years]) for i in range(max(1, len(annual_means) - years + 1))])


def distance(years: list[np.ndarray], equilibrium: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """D of annual mean states (years; V, D, Y, X), (years,); ``weights`` sum the square error over s² to a mean."""
    return np.array([np.sqrt((weights * (x - equilibrium) ** 2).sum()) for x in years])


def equivalent_years(cold: np.ndarray, near: float) -> float:
    """Years after which the cold start's ``cold`` (years,) first is as near as ``near``; inf where it never is."""
    reached = np.flatnonzero(cold <= near)
    return float(reached[0] + 1) if len(reached) else np.inf


def against_cold(starts: list[dict], cold: np.ndarray) -> dict[str, list]:
    """Of the described starts that did not blow up: equivalent years, of those that have a year after adjustment, and
    whether each is nearer at its start than the cold one, ``cold`` (years,), ever is."""
    whole = [s["distance"] for s in starts if not s["blown"]]
    return {
        "equivalent_years": [equivalent_years(cold, far[1]) for far in whole if len(far) > 1],
        "nearer_than_cold_ever": [far[0] <= cold.min() for far in whole],
    }


def describe(record: Record, length: int, years: int, reference: np.ndarray | None, weights: np.ndarray) -> dict:
    """One start over its first ``length`` years, its drift over the last ``years`` of them, its distance from
    ``reference``; of a start that blew up in its first month there is nothing else to tell."""
    if not record.years:
        return {"blown": True}
    means = {k: annual(v)[:length] for k, v in record.scalars.items()}
    far = {} if reference is None else {"distance": distance(record.years[:length], reference, weights).tolist()}
    return {
        "blown": record.blown,
        "annual": {k: v.tolist() for k, v in means.items()},
        "drift": {k: trend(v[-years:]) for k, v in means.items()},
        "shock": shock(np.array(record.energy)),
        **far,
        "seconds_a_year": record.seconds / record.months * MONTHS,
        "restart_seconds": record.restart_seconds,
    }


def control(record: Record, years: int, equilibrium: np.ndarray, weights: np.ndarray) -> dict:
    """Ranges of the truth's own continuation: of annual means and of the trends over ``years``."""
    means = {k: annual(v) for k, v in record.scalars.items()}
    trends = {k: windows(v, years) for k, v in means.items()}
    far = distance(record.years, equilibrium, weights)
    return {
        "years": len(record.years),
        "range": {k: [float(v.min()), float(v.max())] for k, v in means.items()},
        "drift": {k: [float(v.min()), float(v.max())] for k, v in trends.items()},
        "distance": [float(far.min()), float(far.max())],
    }
