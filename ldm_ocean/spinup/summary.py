"""The few numbers by which a way to begin is judged, from the result of ``experiment.spin_up`` or ``nemo.read_runs``.

A drift is held where it lies in the range of the control's own trends, or is at most twice the RMS drift of the
restarts from truth; that of a start that blew up is not held. Shock is over the mean of theirs, in its own unit where
there are none. Equivalent years: medians, the cold start's length (as a lower bound, ``capped``) where it never came as
near. Distances are of the starts that did not blow up: D where there is a control, else from the end of the cold start.
"""

from statistics import median

import numpy as np

from .starts import REST, TRUTH


def summary(setting: dict, cold_years: float, scalars: list[str]) -> dict[str, dict]:
    """{road: numbers} of one setting; ``scalars`` are those whose drift is to be held."""
    unit, known = shock_unit(setting), "control" in setting
    out = {}
    for road, record in setting["roads"].items():
        own: dict = {"starts": len(record["starts"]), "blow_ups": sum(s["blown"] for s in record["starts"])}
        if road != REST and (shocked := shocks(record)):
            own |= {"shock": [s / unit for s in shocked]} if unit else {"shock_absolute": shocked}
        if road != REST and scalars and known:
            own["held"] = {k: held(setting, road, k) for k in scalars}
        far = [s["distance"] for s in record["starts"] if "distance" in s and not s["blown"]]
        if far:
            own["start" if known else "from_cold_end"] = [d[0] for d in far]
        if known and (later := [d[1] for d in far if len(d) > 1]):
            own["year_after"] = later
        if road != REST and (years := record.get("equivalent_years")):
            own["equivalent"] = median(cold_years if y is None else y for y in years)
            own["capped"] = sum(y is None for y in years)
        if road != REST and "nearer_than_cold_ever" in record:
            own["nearer_than_cold_ever"] = sum(record["nearer_than_cold_ever"])
        out[road] = own
    return out


def shocks(road: dict) -> list[float]:
    """Shock of the starts of a road that came through their first month."""
    return [s["shock"] for s in road["starts"] if s.get("shock") is not None]


def shock_unit(setting: dict) -> float | None:
    """Mean shock of the restarts from truth, if there are any."""
    theirs = shocks(setting["roads"].get(TRUTH, {"starts": []}))
    return float(np.mean(theirs)) if theirs else None


def held(setting: dict, road: str, scalar: str) -> float:
    """Share of the starts of a road whose drift of a scalar is held; NaN from less than two years."""
    low, high = np.array(setting["control"]["drift"][scalar], float)
    truth = np.sqrt((_drifts(setting, TRUTH, scalar) ** 2).mean())
    drifts = _drifts(setting, road, scalar)
    within = ((low <= drifts) & (drifts <= high)) | (np.abs(drifts) <= 2 * truth)
    every = len(setting["roads"][road]["starts"])
    return float(within.sum() / every) if np.isfinite(drifts).all() else np.nan


def _drifts(setting: dict, road: str, scalar: str) -> np.ndarray:
    """Of the starts that did not blow up."""
    return np.array([s["drift"][scalar] for s in setting["roads"][road]["starts"] if not s["blown"]], float)
