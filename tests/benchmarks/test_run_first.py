"""What else can be made of a short run: its rivals do what they claim where the answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.run_first import ROADS, anderson, page
from benchmarks.skill.rivals import StateGaussian
from ldm_ocean.io.states import parameters_of
from ldm_ocean.spinup.first import Reached


@pytest.fixture
def roads(fields, grid, tensor):
    return SimpleNamespace(fields=fields, grid=grid, training=(tensor,))


@pytest.mark.parametrize("rates", [(0.9,), (0.9, 0.1)])
def test_a_run_whose_modes_decay_is_carried_to_its_end(roads, fields, grid, states, rates):
    """n modes need n + 2 annual means."""
    rng = np.random.default_rng(0)
    wet = fields.stack(states, grid)[0] != 0
    end = fields.stack(states, grid)[0]
    modes = [wet * rng.standard_normal(end.shape).astype("float32") for _ in rates]
    years = [end + sum(r**t * m for r, m in zip(rates, modes, strict=True)) for t in range(len(rates) + 2)]
    reached = Reached(fields.unstack(years[-1][None], grid), [years], 0.0)
    found = fields.stack(anderson(roads, None, reached, 0), grid)[0]
    before, after = (np.abs(x - end)[wet].mean() for x in (years[-1], found))
    assert after < 0.2 * before


def test_from_two_annual_means_nothing_can_be_told(roads, fields, grid, states):
    x = fields.stack(states, grid)[:1]
    reached = Reached(fields.unstack(x, grid), [[x[0], 1.01 * x[0]]], 0.0)
    assert np.array_equal(fields.stack(anderson(roads, None, reached, 0), grid), x)


def test_states_are_moved_by_eofs_alone_towards_what_is_asked(states, tensor, fields, grid):
    parameters, setting = parameters_of(states), states.setting.values
    statistics = StateGaussian(fields.volumes(grid)).fit(tensor, parameters, states.season.values, setting)
    x = tensor.numpy()
    torch.testing.assert_close(statistics.states(statistics.coefficients(x)), tensor, atol=0.1, rtol=0.1)
    other = int(np.flatnonzero(setting != setting[0])[0])
    moved = statistics.settling(x[:1], parameters[other], states.season.values[:1])
    towards = torch.from_numpy(x[setting == setting[other]].mean(0) - x[setting == setting[0]].mean(0))
    weight = fields.volumes(grid)[0]
    assert float((weight * moved[0, 0] * towards[0]).sum()) > 0


def test_the_page_has_a_table_for_every_length_and_names_every_road():
    drift = {key: [-1, 1] for key in ("a.toce", "a.soce")}
    start = {"blown": False, "shock": 1.0, "distance": [0.5, 0.4], "drift": dict.fromkeys(drift, 0.1), "annual": {}}
    setting = {"roads": {road: {"starts": [start]} for road in ROADS}, "control": {"drift": drift}}
    text = page({"1": {"boxes": ["a"], "settings": {"one": setting, "two": setting}}}, "validation")
    assert text.count("tied") == len(ROADS) - 1 and text.count("| met |") == 3
    assert text.count("## 1 years first") == 1 and all(f"| {road} |" in text for road in ROADS)
