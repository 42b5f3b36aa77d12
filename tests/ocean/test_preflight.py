"""What is seen in a state before a model starts from it."""

import numpy as np
import pytest

from ldm_ocean.errors import UserError
from ldm_ocean.ocean.preflight import MOST_SEA_LEVEL, check, preflight

from ..conftest import small_states

DAY = 86400.0


@pytest.fixture
def state():
    """Stably stratified, at rest, level."""
    one = small_states().isel(sample=[0]).load()
    depth = one.gdept
    still = {"toce": 20 - depth / 50, "soce": 35.0, "uoce": 0.0, "voce": 0.0, "ssh": 0.0}
    for name, value in still.items():
        attrs = one[name].attrs
        filled = value + 0 * one[name]
        one[name] = filled.transpose(*one[name].dims).assign_attrs(attrs)
    return one


def changed(state, name, cell, value):
    new = state[name].copy(deep=True)
    new.values[(0, *cell)] = value
    return state.assign({name: new})


def wet(state, name):
    mask = state[state[name].attrs["mask"]].values.astype(bool)
    return tuple(np.argwhere(mask if "depth" in state[name].dims else mask[0])[0])


def test_nothing_is_said_of_a_stable_ocean_at_rest(state):
    found = preflight(state, DAY)
    assert found.stops == found.warns == []
    assert found.numbers == pytest.approx({"inverted": 0, "cfl": 0, "sea_level": 0, "emptied": 0}, abs=1e-6)


def test_the_courant_number_is_cells_crossed_in_a_step_and_stops_the_model_at_one(state):
    cell = wet(state, "uoce")
    width = float(state.e1u[cell[1:]])
    assert preflight(changed(state, "uoce", cell, 0.5), 0.8 * width).numbers["cfl"] == pytest.approx(0.4)
    assert "1.50 cells" in " ".join(preflight(changed(state, "uoce", cell, 1.5), width).stops)


def test_a_uniform_sea_level_is_its_own_mean_and_too_much_water_is_warned_of(state):
    raised = state.assign(ssh=(state.ssh + 2 * MOST_SEA_LEVEL).assign_attrs(state.ssh.attrs))
    found = preflight(raised, DAY)
    assert found.numbers["sea_level"] == pytest.approx(2 * MOST_SEA_LEVEL, rel=1e-6)
    assert not found.stops and "volume of water" in found.warns[0]


def test_a_dry_column_stops_the_model(state):
    cell = wet(state, "ssh")
    floor = float((state.e3t * state.tmask).sum("depth")[cell])
    assert preflight(changed(state, "ssh", cell, -floor / 2), DAY).numbers["emptied"] == pytest.approx(0.5)
    assert "dry" in " ".join(preflight(changed(state, "ssh", cell, -floor), DAY).stops)


def test_a_turned_over_ocean_is_unstable_everywhere_and_may_still_start(state):
    found = preflight(state.assign(toce=(40 - state.toce).assign_attrs(state.toce.attrs)), DAY)
    assert found.numbers["inverted"] == pytest.approx(100)
    assert not found.stops and "--fix" in found.warns[0]


def test_half_an_ocean_that_is_all_but_neutral_is_nothing_to_warn_of(state):
    """Mixed layers: of the volume they are much, of the stratification next to nothing."""
    upper = state.toce.where(state.depth > state.depth[len(state.depth) // 2], 20 + 1e-6 * state.gdept)
    found = preflight(state.assign(toce=upper.transpose(*state.toce.dims).assign_attrs(state.toce.attrs)), DAY)
    assert 0 < found.numbers["inverted"] < 1 and not found.warns


@pytest.mark.parametrize(("name", "value"), [("toce", 60.0), ("soce", 0.0), ("voce", 11.0), ("ssh", 21.0)])
def test_values_that_no_ocean_has_are_refused_by_name(state, name, value):
    with pytest.raises(UserError, match=name):
        check(changed(state, name, wet(state, name), value), 1.0, "start")


def test_currents_across_are_counted_by_the_length_of_a_cell_and_those_along_by_its_width(state):
    """Their sum; cells that are not square tell e1 from e2."""
    v = wet(state, "voce")
    state["e2v"] = 0 * state.e2v + 3e5
    across = changed(state, "voce", v, -1.5)
    assert preflight(across, 1e5).numbers["cfl"] == pytest.approx(0.5)
    assert "1.20 cells" in " ".join(preflight(across, 2.4e5).stops)
    both = changed(across, "uoce", v, 0.1 * float(state.e1u[v[1:]]) / 1e5)
    assert preflight(both, 1e5).numbers["cfl"] == pytest.approx(0.6)
    with pytest.raises(UserError, match="currents cross"):
        check(across, 2.4e5, "start")


@pytest.mark.parametrize("name", ["toce", "soce", "uoce", "voce", "ssh"])
def test_a_hole_in_any_variable_is_refused_by_name(state, name):
    with pytest.raises(UserError, match=f"{name} is not finite"):
        preflight(changed(state, name, wet(state, name), np.nan), 1.0)
