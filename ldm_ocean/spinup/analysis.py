"""What the runs tell: drift, shock, distance from equilibrium, and the years of spin-up that a start is worth.

    drift        trend of the annual means of a scalar over the first years [unit a decade], least squares
    shock        ∫ |dq/dt| dt over the first month, q being the kinetic energy [J] or what else is known of every few
                 days: what is out of balance sheds its excess as waves
    D²           mean over variables of Σ w (x − x̄)² / Σ w s², x an annual mean state, x̄ that of the control, s² the
                 variance among training states: D = 1 is as far as any state of any setting
    equivalent   the first year t of the cold start with D_cold(t) ≤ D of the start after a year of adjustment

The control is the truth's own continuation; its drifts are those of all windows of as many years. Where there is none,
x̄ is the mean of states known to be in equilibrium. Where there are none either, it is the mean of the last years of the
cold start, which has not arrived: a distance from that is no D, and equivalent years are not known. A start that blew
up has no equivalent either, however near it was.
"""

import numpy as np

from ..ocean.preflight import Preflight
from .starts import REST, TRUTH
from .trajectory import Trajectory

DECADE = 10
SETTLED = 10  # years at the end of the cold start from which distance is taken where equilibrium is not known
SIGNED = "sea_level"  # of what preflight sees: too little water is as bad as too much


def trend(annual_means: np.ndarray) -> float:
    """Least-squares trend [unit a decade] of annual means (years,); NaN from fewer than two years."""
    if len(annual_means) < 2:
        return np.nan
    return float(DECADE * np.polyfit(np.arange(len(annual_means)), annual_means, 1)[0])


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


def describe(run: Trajectory, length: int, years: int, reference: np.ndarray | None, weights: np.ndarray) -> dict:
    """One start over its first ``length`` years, its drift over the last ``years`` of them, its distance from
    ``reference``; of a start that blew up in its first month there is nothing else to tell."""
    blown = {"blown": run.blown} if run.step is None else {"blown": run.blown, "step": run.step}
    if not run.years:
        return blown
    means = {k: v[:length] for k, v in run.annual.items()}
    far = {} if reference is None else {"distance": distance(run.years[:length], reference, weights).tolist()}
    return {
        **blown,
        "annual": {k: v.tolist() for k, v in means.items()},
        "drift": {k: trend(v[-years:]) for k, v in means.items()},
        "shock": run.shock,
        **far,
        **run.costs,
    }


def control(run: Trajectory, years: int, equilibrium: np.ndarray, weights: np.ndarray) -> dict:
    """Ranges of the truth's own continuation: of annual means and of the trends over ``years``."""
    trends = {k: windows(v, years) for k, v in run.annual.items()}
    far = distance(run.years, equilibrium, weights)
    return {
        "years": len(run.years),
        "range": {k: [float(v.min()), float(v.max())] for k, v in run.annual.items()},
        "drift": {k: [float(v.min()), float(v.max())] for k, v in trends.items()},
        "distance": [float(far.min()), float(far.max())],
    }


def compare(
    runs: dict[str, list[Trajectory]], years: int, weights: np.ndarray, known: np.ndarray | None = None
) -> dict[str, dict]:
    """The runs of one setting by road: ``roads[road]["starts"]``, each over ``years``, the cold start over all of its
    own; and ``control`` where equilibrium is known, as the mean of the truth's continuation or, for want of that, as
    the mean state ``known`` (V, D, Y, X), of which ``control`` then tells nothing else."""
    truth, rest = _whole(runs, TRUTH), _whole(runs, REST)
    reference = known
    if settled := truth.years if truth else rest.years[-SETTLED:] if rest and known is None else None:
        reference = np.mean(settled, 0, dtype="float64")
    out: dict[str, dict] = {"roads": {}}
    for road, own in runs.items():
        length = len(own[0].years) if road == REST else years
        out["roads"][road] = {"starts": [describe(r, length, years, reference, weights) for r in own]}
    if truth and reference is not None:
        out["control"] = control(truth, years, reference, weights)
    elif known is not None:
        out["control"] = {}
    if "control" in out and rest and reference is not None:
        cold = distance(rest.years, reference, weights)
        for own in out["roads"].values():
            own |= against_cold(own["starts"], cold)
    return out


def looked_at(found: list[Preflight]) -> dict:
    """The worst numbers of the starts of a road, and the warnings."""
    worst = {k: abs if k == SIGNED else float for p in found for k in p.numbers}
    numbers = {k: max((p.numbers[k] for p in found if k in p.numbers), key=by) for k, by in worst.items()}
    return {"preflight": numbers, "warnings": sorted({w for p in found for w in p.warns})}


def _whole(runs: dict[str, list[Trajectory]], road: str) -> Trajectory | None:
    """The first run of a road, to measure others by; None where there is none or it blew up."""
    return next((r for r in runs.get(road, [])[:1] if not r.blown), None)
