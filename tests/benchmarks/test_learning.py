"""The learning curve: subsets of whole settings, fitted apart, and no method better for fewer of them."""

import json

import numpy as np
import pytest
import torch

from benchmarks import learning
from ldm_ocean import OceanLDM, open_states
from ldm_ocean.errors import UserError


@pytest.fixture(scope="module")
def training(road):
    model = OceanLDM.from_pretrained(road["diffusion"], device="cpu")
    return learning.Training(model, [open_states(road["states.zarr"])])


def test_a_subset_holds_whole_settings_as_many_as_asked_and_others_at_another_draw(training):
    seen = set()
    for draw in range(8):
        own = training.subset(2, draw)
        names = np.unique(training.setting[own])
        assert len(names) == 2 and len(own) == np.isin(training.setting, names).sum()
        seen.add(tuple(names))
    assert len(seen) > 1


def test_a_method_fitted_to_some_settings_knows_nothing_of_the_others(training):
    own = training.subset(2, 0)
    out = np.setdiff1d(np.arange(len(training.states)), own)
    asked = (training.parameters[own[0]], 0.3, 2, 0)
    before = {m: training.fitted(m, own)(*asked) for m in learning.METHODS}
    states, latents = training.states.clone(), training.latents.clone()
    try:
        training.states[out], training.latents[out] = 99.0, 9.0
        for method, members in before.items():
            assert torch.equal(training.fitted(method, own)(*asked), members), method
    finally:
        training.states, training.latents = states, latents


def test_the_command_writes_page_numbers_and_picture_and_goes_on_where_it_was(road, tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "COUNTS", (2,))
    monkeypatch.setattr(learning, "DRAWS", 1)
    given = {"--model": road["diffusion"], "--states": road["states.zarr"], "--split": "validation"}
    given |= {"--run": tmp_path / "run", "--out": tmp_path / "page"}
    command = [str(x) for pair in given.items() for x in pair]
    learning.main(command)
    found = json.loads((tmp_path / "page.json").read_text())
    assert set(found["curves"]) == set(learning.METHODS) and list(found["curves"]["stage two"]) == ["2", "3"]
    assert (tmp_path / "page.png").stat().st_size > 5000
    assert "| stage two | " in (tmp_path / "page.md").read_text()
    monkeypatch.setattr(learning, "score", lambda *_: pytest.fail("it was scored already"))
    learning.main(command)
    assert json.loads((tmp_path / "page.json").read_text()) == found
    with pytest.raises(UserError, match="choose another --split"):
        learning.main([*command, "--split", "nothing"])
