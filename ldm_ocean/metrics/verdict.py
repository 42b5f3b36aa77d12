"""What a table of scores means for whoever is to use the model, in sentences; none where all is well."""

from collections.abc import Iterator

from .scoring import MODEL, NOT_BASELINES, RECONSTRUCTION

NARROW = 0.8  # spread/skill below which the members of an ensemble are too alike
SERVED = "eof_gp"  # the baseline that `sample --method gp` draws from


def verdict(result: dict) -> list[str]:
    """Of a result of ``evaluate``: which baselines are better, whether members differ enough, what stage one loses."""
    return [
        f"{split}: {line}"
        for split, record in result["splits"].items()
        for sentences in (beaten, too_narrow, lossy)
        for line in sentences(record)
    ]


def beaten(record: dict) -> Iterator[str]:
    """Baselines with a lower CRPS than the model's, and in which variables."""
    scores = record["scores"]["truth"]
    model = {v: own["crps"] for v, own in scores[MODEL].items() if "crps" in own}
    better = {
        b: [v for v, crps in model.items() if own[v].get("crps", crps) < crps]
        for b, own in scores.items()
        if b not in NOT_BASELINES
    }
    if named := "; ".join(f"{b} in {', '.join(names)}" for b, names in better.items() if names):
        served = 2 * len(better.get(SERVED, [])) > len(model)
        mend = " (`ldm-ocean sample --method gp` draws from eof_gp)" if served else ""
        yield f"better than the model by CRPS: {named}{mend}"


def too_narrow(record: dict) -> Iterator[str]:
    """Variables in which the members of the model are more alike than they are near to the truth."""
    ratios = {v: own.get("spread_skill") for v, own in record["scores"]["truth"][MODEL].items()}
    if narrow := [f"{v} {x:.2f}" for v, x in ratios.items() if x is not None and x < NARROW]:
        yield f"the members differ too little, spread/skill below {NARROW:g}: {', '.join(narrow)}"


def lossy(record: dict) -> Iterator[str]:
    """Variables whose reconstruction is further from the truth than a setting's states are from their mean."""
    lost = {v: own["rmse"] for v, own in record["scores"]["truth"].get(RECONSTRUCTION, {}).items()}
    if worse := [f"{v} {x:.2g} > {record['weather'][v]:.2g}" for v, x in lost.items() if x > record["weather"][v]]:
        yield (
            f"the autoencoder loses more than the weather of a setting is (RMS): {', '.join(worse)}: "
            "train it longer, or with more model.channels"
        )
