"""The design of the experiment."""

import json
from pathlib import Path

import numpy as np
import pytest

from ldm_ocean.errors import UserError
from ldm_ocean.simulate.channel import Channel
from ldm_ocean.simulate.design import SWEEP, design, twins
from ldm_ocean.simulate.dino import Dino

BASIN = Dino()
PUBLISHED = Path(__file__).resolve().parents[2] / "data/dino-coarse"
RANGES, LOGARITHMIC = Dino.ranges, {"rn_avt0"}


def unit(parameters) -> np.ndarray:
    """Place of a setting in the unit cube."""
    place = []
    for name, (low, high) in RANGES.items():
        value = parameters[name]
        along = np.log(value / low) / np.log(high / low) if name in LOGARITHMIC else (value - low) / (high - low)
        place.append(along)
    return np.array(place)


def test_every_split_has_the_settings_asked_for():
    splits = [s.split for s in design(BASIN)]
    wanted = {"centre": 1, "train": 24, "validation": 4, "test": 5, "edge": 3, "sweep": len(SWEEP) * len(RANGES)}
    assert {k: splits.count(k) for k in set(splits)} == wanted
    few = [s.split for s in design(BASIN, {"train": 2, "validation": 1, "test": 1, "edge": 0})]
    assert (few.count("train"), few.count("validation"), few.count("test"), few.count("edge")) == (2, 1, 1, 0)


def test_names_and_noise_seeds_are_unique():
    settings = design(BASIN, seed=3)
    assert len({s.name for s in settings}) == len({s.seed for s in settings}) == len(settings)
    assert not {s.seed for s in settings} & {s.seed for s in design(BASIN, seed=4)}


def test_edge_settings_sit_on_the_edge_one_parameter_each_and_all_others_inside():
    settings = design(BASIN)
    edges = [unit(s.parameters) for s in settings if s.split == "edge"]
    on_edge = np.array([np.isclose(u, 0) | np.isclose(u, 1) for u in edges])
    assert (on_edge.sum(1) == 1).all()
    assert on_edge.any(0).all()
    for s in settings:
        if s.split in ("train", "validation", "test"):
            assert (unit(s.parameters) > 0.04).all() and (unit(s.parameters) < 0.96).all(), s.name


def test_the_interior_settings_spread_over_every_parameter():
    places = np.array([unit(s.parameters) for s in design(BASIN) if s.split == "train"])
    for axis in places.T:
        assert np.histogram(axis, 4, (0, 1))[0].min() >= 3


def test_sweeps_vary_one_parameter_at_a_time_from_the_centre():
    settings = design(BASIN)
    centre = next(s.parameters for s in settings if s.split == "centre")
    swept = dict.fromkeys(RANGES, 0)
    for s in settings:
        if s.split == "sweep":
            moved = [k for k in RANGES if s.parameters[k] != centre[k]]
            assert len(moved) == 1 and moved[0] in s.name
            swept[moved[0]] += 1
    assert set(swept.values()) == {len(SWEEP)}


def test_every_parent_comes_before_its_child_and_only_the_centre_starts_from_rest():
    seen = set()
    for s in design(BASIN, seed=5):
        assert (s.parent is None) == (s.split == "centre")
        assert s.parent is None or s.parent in seen
        seen.add(s.name)


def test_every_setting_starts_from_its_nearest_neighbour_among_those_before_it():
    places = {}
    for s in design(BASIN):
        here = unit(s.parameters)
        if s.parent:
            gaps = {k: np.linalg.norm(here - p) for k, p in places.items()}
            assert gaps[s.parent] == pytest.approx(min(gaps.values()))
        places[s.name] = here


def test_the_same_seed_gives_the_same_design_and_another_one_does_not():
    assert design(BASIN, seed=1) == design(BASIN, seed=1)
    assert [s.parameters for s in design(BASIN, seed=1)] != [s.parameters for s in design(BASIN, seed=2)]


def test_the_published_settings_are_those_of_the_design():
    records = {r["name"]: r["parameters"] for r in json.loads((PUBLISHED / "manifest.json").read_text())["settings"]}
    settings = {s.name: s.parameters for s in design(BASIN)}
    assert settings.keys() == records.keys()
    for name, parameters in settings.items():
        assert parameters == pytest.approx(records[name], rel=1e-12), name


def test_twins_have_the_names_and_parameters_of_their_coarse_settings_and_no_parent():
    found = twins(Dino(degrees=2.0), PUBLISHED, {"train": 3, "test": 2, "validation": 0, "edge": 0})
    coarse = {s.name: s.parameters for s in design(BASIN)}
    assert [s.name for s in found] == ["train-00", "train-01", "train-02", "test-00", "test-01"]
    assert all(s.parameters == pytest.approx(coarse[s.name]) and s.parent is None for s in found)
    with pytest.raises(UserError, match="another ocean"):
        twins(Channel(), PUBLISHED, {"train": 1})
    with pytest.raises(UserError, match="ask for no more"):
        twins(BASIN, PUBLISHED, {"train": 25})
