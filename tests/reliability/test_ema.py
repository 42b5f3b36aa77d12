"""The averaged weights: w̄ = Σ_n (1 − β_n) Π_{m>n} β_m w_n + Π_m β_m w_0,  β_n = min(β, (1 + n)/(10 + n))."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ldm_ocean.training import engine
from ldm_ocean.training.ema import EMA

from ..training.test_engine import CONFIG, Line


def closed_form(weights: list[torch.Tensor], decay: float) -> np.ndarray:
    """The average after weights w_0 (the start), w_1, ..."""
    n = np.arange(1, len(weights))
    beta = np.minimum(decay, (1 + n) / (10 + n))
    later = np.append(np.cumprod(beta[::-1])[::-1], 1.0)  # Π_{m≥n} β_m
    share = np.append(later[0], (1 - beta) * later[1:])
    return np.tensordot(share, np.stack([w.double().numpy() for w in weights]), 1)


@pytest.mark.reliability("R14")
def test_the_average_follows_its_closed_form_through_a_resume_and_a_validation_that_fails(tmp_path, monkeypatch):
    first, again = Line(), Line()
    raw = {0: flat(first.model)}
    update = EMA.update

    def watched(ema, model):
        update(ema, model)
        raw[ema.updates] = flat(model)

    def fails():
        raise ZeroDivisionError

    monkeypatch.setattr(EMA, "update", watched)
    steps = CONFIG.samples // CONFIG.global_batch_size
    calls = iter([first.validate, fails])
    first.validate = lambda: next(calls)()
    with pytest.raises(ZeroDivisionError):
        engine.fit(first, CONFIG, tmp_path)
    assert torch.equal(flat(first.model), raw[max(raw)])
    engine.fit(again, CONFIG, tmp_path)
    assert torch.equal(flat(again.model), raw[steps])
    average = load_file(tmp_path / "checkpoints" / f"{CONFIG.samples:010d}" / "ema.safetensors")
    found = torch.cat([average[name].flatten() for name, _ in again.model.named_parameters()])
    assert sorted(raw) == list(range(steps + 1))
    np.testing.assert_allclose(found, closed_form([raw[n] for n in sorted(raw)], CONFIG.ema), atol=1e-6)


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()
