"""Starts that begin with a short run: what was reached is moved, part by part, and its cost is counted."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("veros")

from ldm_ocean.commands.cli import main
from ldm_ocean.spinup.run import Record
from ldm_ocean.training.config import DiffusionConfig, load
from ldm_ocean.training.diffusion import DiffusionTask

ROOT = Path(__file__).resolve().parents[2]
MODEL, STATES = ROOT / "pretrained/dino-coarse", ROOT / "data/dino-coarse"
SHORT = ["--members", "2", "--years", "0.1", "--cold", "0.1", "--control", "0.1", "--workers", "1"]
FIRST = ["--run-first", "0.1", "--run-first", "0.2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The best Gaussian on the published latents: it knows unfinished states."""
    folder = tmp_path_factory.mktemp("gaussian")
    data = [f"data.states={STATES}", f"data.latents={ROOT / 'data/dino-coarse-latents.zarr'}", f"codec={MODEL}"]
    small = ["model.width=32", "model.depth=1", "model.heads=2"]
    task = DiffusionTask(load(DiffusionConfig, "diffusion", [*data, *small]))
    task.publish(folder)
    return folder


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("first") / "spinup"
    main(["spinup", str(model), str(STATES), "--setting", "test-00", *SHORT, *FIRST, "--out", str(out)])
    return out


def test_a_short_run_of_two_parts_takes_the_place_of_a_generated_state(folder):
    roads = json.loads((folder / "spinup.json").read_text())["settings"]["test-00"]["roads"]
    assert set(roads) == {"settled", "nearest_setting", "eof_gp", "truth", "rest"}
    assert len(roads["settled"]["starts"]) == 2 and not any(s["blown"] for s in roads["settled"]["starts"])


def test_every_part_goes_on_from_what_was_made_of_the_part_before(folder):
    for part, (start, months) in enumerate([("nearest_setting", 1), ("settled-0", 2)]):
        record = Record.load(folder / f"runs/test-00-first-{part}-01.npz")
        assert record.months == months
        with xr.open_dataset(folder / f"starts/test-00-{start}.nc") as states:
            began = states.toce.isel(sample=1).fillna(0).values
        away = np.abs(record.years[0][0] - began)
        assert 0 < away.mean() < 0.1  # weeks change little


def test_what_was_reached_is_moved_by_degrees_of_a_tenth_and_keeps_its_season(folder):
    record = Record.load(folder / "runs/test-00-first-1-00.npz")
    with (
        xr.open_dataset(folder / "starts/test-00-settled.nc") as moved,
        xr.open_dataset(folder / "starts/test-00-settled-0.nc") as before,
    ):
        change = np.abs(moved.toce.isel(sample=0).fillna(0).values - record.last[0])
        assert 0.01 < change.mean() < 1
        assert np.allclose(moved.season, (before.season + 2 / 12) % 1)
        assert moved.attrs["seconds_a_state"] > before.attrs["seconds_a_state"] > record.seconds / 10


def test_a_model_that_knows_no_unfinished_states_says_so_before_anything_is_run(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["spinup", str(MODEL), str(STATES), "--setting", "test-00", *SHORT, *FIRST, "--out", str(tmp_path / "o")])
    assert stopped.value.code == 2 and "trained without unfinished states" in capsys.readouterr().err
    assert not (tmp_path / "o/runs").exists()


@pytest.mark.parametrize("wrong", [["--run-first", "0"], ["--run-first", "1", "--fix"]])
def test_years_that_are_none_and_adjusted_states_are_refused(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["spinup", str(MODEL), str(STATES), "--setting", "test-00", *wrong, "--out", str(tmp_path / "o")])
    assert stopped.value.code == 2 and "--run-first" in capsys.readouterr().err
