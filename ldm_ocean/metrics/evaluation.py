"""Scores of a model, of generated states, or of any states: ``ldm-ocean evaluate`` as a function."""

from pathlib import Path

import xarray as xr

from ..errors import UserError
from .config import EvaluateConfig, load_config, quick
from .description import score_states
from .generated import score_model, score_store


def evaluate(
    states: xr.Dataset,
    model=None,
    reference: xr.Dataset | None = None,
    config: EvaluateConfig | str | Path | None = None,
    sample: bool = False,
) -> dict:
    """Scores, as ``metrics.json`` holds them (docs/scores.md).

    With a ``model`` (``OceanLDM``): of what it generates for the test settings of ``states``, beside baselines from the
    training settings. With a ``reference``: of the generated ``states`` against those of the same parameters in it.
    With neither: diagnostics of the ``states``.

    config: splits, members, regions, or a YAML file of them (configs/evaluate).
    sample: of a model's settings and members few, a twentieth of the work.
    """
    config = config if isinstance(config, EvaluateConfig) else load_config(config)
    if model is not None and reference is not None:
        raise UserError("a model is scored on the states, stored states against a reference: give one of the two")
    if sample and model is None:
        raise UserError("only a model can be scored on fewer settings: give one, or all of the work")
    if model is not None:
        return score_model(model, states, quick(config) if sample else config)
    return score_states(states, config) if reference is None else score_store(states, reference, config)
