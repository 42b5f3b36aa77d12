"""Slopes and coverage of mean states: one where they are known, nothing where they are not."""

import json

import pytest
import torch

from benchmarks import mean_states
from ldm_ocean import OceanLDM
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.errors import UserError

CONFIG = "regions: {boxes: {upper: {depth: [0, 100], latitude: [-30, 30]}}}"


@pytest.fixture
def judged(road, tmp_path):
    """The command on the small model, with other predictions."""

    def run(*more: str) -> dict:
        (tmp_path / "c.yaml").write_text(CONFIG)
        given = ["--model", road["diffusion"], "--latents", road["latents.zarr"], "--config", tmp_path / "c.yaml"]
        mean_states.main([str(x) for x in (*given, "--out", tmp_path / "page", *more)])
        return json.loads((tmp_path / "page.json").read_text())

    return run


def test_the_page_tells_of_every_box_and_of_all_settings_that_there_are(judged, tmp_path):
    found = judged()
    own = found["left out of training"]
    assert set(own) == {"upper.toce", "upper.soce"} and own["upper.toce"]["settings"] > 1
    assert all(0 <= row["covered"] <= 1 and row["r2"] <= 1 + 1e-9 for row in own.values())
    text = (tmp_path / "page.md").read_text()
    assert "| upper.toce | " in text and text.startswith("# Mean states")


def test_right_predictions_have_a_slope_of_one_and_half_a_response_one_half(judged, monkeypatch):
    def right(share):
        def predicted(model, latents, names, left_out):
            _, years = mean_states.true_years(model, latents, ("train",))
            likely = years.mean(0) + share * (years - years.mean(0))
            wide = torch.linspace(-3, 3, 9)[:, None, None, None]
            return likely, likely + wide * years.std()

        return predicted

    monkeypatch.setattr(mean_states, "SWEEP", ("none",))
    for share in (1.0, 0.5):
        monkeypatch.setattr(mean_states, "predicted", right(share))
        own = judged()["left out of training"]["upper.toce"]
        assert own["slope"] == pytest.approx(share, abs=0.15) and own["r2"] > 0.9
        assert own["covered"] == 1


def test_latents_of_one_setting_are_refused(road):
    model = OceanLDM.from_pretrained(road["diffusion"], device="cpu")
    latents = open_latents(road["latents.zarr"], model.codec)
    with pytest.raises(UserError, match="the latents hold 0 settings"):
        mean_states.true_years(model, latents, ("nothing",))
