"""A generator that the first release wrote: what it answered then, it answers now."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ldm_ocean import artefacts
from ldm_ocean.errors import UserError
from ldm_ocean.generative.conditions import Condition

FOLDER = Path(__file__).parents[1] / "fixtures" / "generator-schema-1"


@pytest.fixture(scope="module")
def old():
    return artefacts.load_generator(FOLDER, artefacts.load_codec(FOLDER))


@pytest.fixture(scope="module")
def answers() -> dict[str, torch.Tensor]:
    return load_file(FOLDER / "answers.safetensors")


def test_mean_states_are_the_same(old, answers):
    found = old.denoiser.prior(answers["parameters"], answers["season"])
    torch.testing.assert_close(found, answers["mean"], atol=1e-4, rtol=1e-4)


def test_mean_states_are_as_much_in_doubt_and_in_the_same_directions(old, answers):
    prior, c, t = old.denoiser.prior, answers["parameters"][:1], answers["season"][:1]
    columns = [prior(c, t, row[None]) - prior(c, t) for row in torch.eye(len(prior.directions))]
    columns = torch.cat(columns).flatten(1)
    torch.testing.assert_close(columns.T @ columns, answers["doubt"], atol=1e-4, rtol=1e-3)


def test_the_denoiser_answers_the_same_with_parameters_and_without(old, answers):
    mean, known = answers["mean"], torch.ones(len(answers["mean"]))
    condition = Condition(answers["parameters"], answers["season"], mean, known)
    with torch.no_grad():
        found = old.denoiser(answers["noisy"], answers["sigma"], condition)
        free = old.denoiser(answers["noisy"], answers["sigma"], condition.without_parameters())
    torch.testing.assert_close(found, answers["denoised"], atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(free, answers["unconditional"], atol=2e-4, rtol=1e-3)


def test_it_samples_but_knows_no_context_any_more(old):
    assert not old.knows_context
    assert torch.isfinite(old.denoiser.prior(torch.randn(3, 2), torch.eye(2)[[0, 1, 0]])).all()


def test_saved_again_it_has_the_newest_schema_and_answers_alike(old, answers, tmp_path):
    codec = artefacts.load_codec(FOLDER)
    artefacts.save_codec(tmp_path, codec)
    artefacts.save_generator(tmp_path, old)
    again = artefacts.load_generator(tmp_path, codec)
    assert again.about["schema"] == artefacts.SCHEMAS["generator"][0]
    found = again.denoiser.prior(answers["parameters"], answers["season"])
    torch.testing.assert_close(found, old.denoiser.prior(answers["parameters"], answers["season"]))


def test_a_schema_of_the_future_is_refused_by_its_number(tmp_path):
    for file in FOLDER.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "generator.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    with pytest.raises(UserError, match="schema 9, this version reads 2 and 1"):
        artefacts.load_generator(tmp_path, artefacts.load_codec(tmp_path))
