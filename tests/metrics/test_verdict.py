"""What a table of scores says in sentences."""

import pytest

from ldm_ocean.metrics.verdict import verdict


def result(model=1.0, gp=2.0, ratio=1.0, lost=0.1) -> dict:
    """Two variables of one split, alike but for what is said."""
    both = ("toce", "soce")
    scores = {
        "model": {v: {"crps": model, "spread_skill": ratio} for v in both},
        "eof_gp": {v: {"crps": gp, "spread_skill": 0.5} for v in both},
        "simulation": {v: {"crps": 0.1, "spread_skill": 1.0} for v in both},
        "reconstruction": {v: {"rmse": lost} for v in both},
    }
    return {"splits": {"test": {"scores": {"truth": scores}, "weather": dict.fromkeys(both, 0.5)}}}


def test_nothing_is_said_of_a_model_that_is_better_than_the_baselines_spread_enough_and_sharp():
    assert verdict(result()) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gp": 0.9}, "test: better than the model by CRPS: eof_gp in toce, soce (`ldm-ocean sample --method gp`"),
        ({"ratio": 0.65}, "test: the members differ too little, spread/skill below 0.8: toce 0.65, soce 0.65"),
        ({"lost": 0.6}, "test: the autoencoder loses more than the weather of a setting is (RMS): toce 0.6 > 0.5"),
    ],
)
def test_a_better_baseline_a_narrow_ensemble_and_a_lossy_autoencoder_are_named(changed, said):
    (line,) = verdict(result(**changed))
    assert line.startswith(said)


def test_a_ratio_that_is_not_known_is_no_fault():
    assert verdict(result(ratio=None)) == []
