"""The few numbers by which a way to begin is judged, from the result of ``experiment.spin_up``.

A drift is held where it lies in the range of the control's own trends, or is at most twice the RMS drift of the
restarts from truth. Shock is over the mean of theirs. Equivalent years: medians, the cold start's length (as a lower
bound, ``capped``) where it never came as near.
"""

from statistics import median

import numpy as np

from .starts import REST, TRUTH


def summary(setting: dict, cold_years: float, scalars: list[str]) -> dict[str, dict]:
    """{road: numbers} of one setting; ``scalars`` are those whose drift is to be held."""
    roads = setting["roads"]
    whole = {road: [s for s in own["starts"] if "distance" in s] for road, own in roads.items()}
    shocks = [s["shock"] for s in whole.get(TRUTH, [])]
    out = {}
    for road, starts in whole.items():
        own = {"starts": len(roads[road]["starts"]), "blow_ups": sum(s["blown"] for s in roads[road]["starts"])}
        if road != REST and starts:
            own |= {"shock": [s["shock"] / np.mean(shocks) for s in starts]} if shocks else {}
            own |= {"held": {k: held(setting, road, k) for k in scalars}} if TRUTH in roads else {}
        if starts:
            own["start"] = [s["distance"][0] for s in starts]
            own["year_after"] = [s["distance"][min(1, len(s["distance"]) - 1)] for s in starts]
        years = roads[road].get("equivalent_years")
        if road != REST and years:
            own["equivalent"] = median(cold_years if y is None else y for y in years)
            own["capped"] = sum(y is None for y in years)
            own["nearer_than_cold_ever"] = sum(roads[road]["nearer_than_cold_ever"])
        out[road] = own
    return out


def held(setting: dict, road: str, scalar: str) -> float:
    """Share of the starts of a road whose drift of a scalar is held; NaN from less than two years."""
    low, high = np.array(setting["control"]["drift"][scalar], float)
    truth = np.sqrt((_drifts(setting, TRUTH, scalar) ** 2).mean())
    drifts = _drifts(setting, road, scalar)
    within = ((low <= drifts) & (drifts <= high)) | (np.abs(drifts) <= 2 * truth)
    return float(within.mean()) if np.isfinite(drifts).all() else np.nan


def _drifts(setting: dict, road: str, scalar: str) -> np.ndarray:
    return np.array([s["drift"][scalar] for s in setting["roads"][road]["starts"] if "drift" in s], float)
