"""Configurations, weights and the ocean of the demo are found from any folder; what the user has goes before them."""

import shutil

import pytest

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.errors import UserError
from ldm_ocean.metrics.config import load_config
from ldm_ocean.shipped import ASSETS, find, find_model
from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load

PUBLISHED = "pretrained/dino-coarse"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LDM_OCEAN_MODELS", raising=False)
    return tmp_path


def test_the_paths_in_published_experiments_lead_somewhere_from_any_folder(elsewhere):
    for experiment in ("demo", "dino", "dino-96x"):
        vae, diffusion = load(VaeConfig, "vae", [f"experiment={experiment}"]), load(DiffusionConfig, "diffusion", [])
        assert open_states(vae.data.states, ["edge"]).sizes["sample"] > 0
        assert find(vae.data.latents).is_dir() and not find(diffusion.codec).exists()
        assert not vae.model.initial or find_model(vae.model.initial).is_dir()
    assert load_config("configs/evaluate/dino.yaml").regions.boxes
    assert load(VaeConfig, "vae", ["train=configs/train/vae-demo.yaml"]).train.samples == 8000


@pytest.mark.parametrize("name", ["dino-coarse", PUBLISHED])
def test_a_published_model_has_a_name_and_a_path(name, elsewhere):
    assert find_model(name) == ASSETS / PUBLISHED
    assert OceanLDM.from_pretrained(name, "cpu").parameters["rn_ztau0"] == pytest.approx((0.11981, 0.288293), rel=1e-4)


def test_what_lies_here_goes_before_what_comes_with_the_package(elsewhere):
    for path in ("configs/experiment/demo.yaml", PUBLISHED):
        (elsewhere / path).mkdir(parents=True)
        assert find(path).resolve() == find_model(path).resolve() == elsewhere / path


def test_nothing_else_of_a_checkout_is_found_from_another_folder(elsewhere):
    for path in ("docs", "runs/vae", "../configs", "", "configs/nothing.yaml"):
        assert str(find(path)) in (path, ".")


def test_a_model_of_ones_own_folder_goes_by_its_name_and_is_checked(elsewhere, monkeypatch):
    monkeypatch.setenv("LDM_OCEAN_MODELS", str(elsewhere / "models"))
    mine = elsewhere / "models" / "mine"
    shutil.copytree(ASSETS / PUBLISHED, mine)
    assert find_model("mine") == mine and find_model("dino-coarse") == ASSETS / PUBLISHED
    weights = mine / "generator.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="was altered"):
        OceanLDM.from_pretrained("mine", "cpu")


def test_a_name_that_nobody_has_is_one_line(elsewhere):
    with pytest.raises(UserError, match="no model at dino-fine"):
        OceanLDM.from_pretrained("dino-fine")
