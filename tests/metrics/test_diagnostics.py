"""Diagnostics of states known in closed form, and what is there to be had of which ocean."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from ldm_ocean.errors import UserError
from ldm_ocean.metrics.config import EvaluateConfig
from ldm_ocean.metrics.description import score_states
from ldm_ocean.metrics.diagnostics import Diagnostics
from ldm_ocean.metrics.regions import (
    Balance,
    Box,
    Cell,
    DensityCell,
    Flux,
    Gyre,
    HeatTransport,
    Level,
    MixedLayer,
    Regions,
    Section,
)
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

T, S, U, V, SSH = range(5)
BARE = {
    *("unstable_volume", "strongly_unstable_volume", "least_stable", "heat_content", "salt_content", "kinetic_energy"),
    *("geostrophic_residual", "thermal_wind_residual", "surface_tendency", "wall_normal_flow"),
}
REGIONS = Regions(
    boxes={"upper": Box((0, 200), (-30, 30)), "rest": Box((0, 200), (-30, 30), outside=True)},
    levels={"t50": Level(50, (-30, 30))},
    sections={"channel": Section(0, (-50, 0))},
    gyres={"north": Gyre((0, 40))},
)


def test_diagnostics_find_their_variables_by_standard_name_and_name_their_units(states, grid, tensor):
    own = Diagnostics(grid, Fields.from_dataset(states), REGIONS)
    values = own(tensor)
    assert own.units["t50"] == "degC" and own.units["channel"] == own.units["north"] == "Sv"
    assert {"upper.toce", "upper.soce", "rest.toce", "rest.soce"} | BARE <= set(own.units) == set(values)
    assert all(v.shape == (len(tensor),) and np.isfinite(v).all() for v in values.values())
    renamed = states.rename(toce="thetao", soce="so", uoce="uo", voce="vo", ssh="zos")
    other = Diagnostics(grid, Fields.from_dataset(renamed), REGIONS)(tensor)
    np.testing.assert_array_equal(other["channel"], values["channel"])
    np.testing.assert_array_equal(other["upper.thetao"], values["upper.toce"])


def test_a_state_without_currents_or_salinity_still_has_the_diagnostics_it_can_have(states, grid):
    fields = Fields.from_dataset(states, ["toce"])
    assert set(Diagnostics(grid, fields, REGIONS).units) == {"upper.toce", "rest.toce", "t50", "heat_content"}


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (Regions(boxes={"a": Box((0, 100), (80, 90))}), "box 'a'"),
        (Regions(levels={"b": Level(9000, (-30, 30))}), "level 'b'.*outside"),
        (Regions(levels={"b": Level(50, (80, 90))}), "level 'b'"),
        (Regions(sections={"c": Section(0, (30, 50))}), "section 'c'"),
        (Regions(gyres={"d": Gyre((80, 90))}), "gyre 'd'"),
    ],
)
def test_a_region_without_water_is_an_error_that_names_it(states, grid, fields, regions, message):
    with pytest.raises(UserError, match=message):
        Diagnostics(grid, fields, regions)


def test_the_transport_of_a_re_entrant_channel_is_read_at_its_opening(states, grid, fields):
    state = np.zeros((len(fields), *grid.shape))
    state[2] = 0.05 * grid["umask"]
    expected = (0.05 * grid["umask"] * grid["e3u"] * grid["e2u"]).sum(0)[:4, 0].sum() / 1e6
    assert Diagnostics(grid, fields, REGIONS)(state)["channel"] == pytest.approx(expected)
    assert OceanGrid.from_dataset(states).periodic_x


def test_without_regions_there_is_all_that_needs_none(states, grid, fields):
    assert set(Diagnostics(grid, fields, Regions()).units) == BARE
    dense = {"unstable_volume", "strongly_unstable_volume", "least_stable", "geostrophic_residual"}
    unknown = replace(grid, equation_of_state=None)
    assert set(Diagnostics(unknown, fields, Regions()).units) == BARE - dense - {"thermal_wind_residual"}


def test_a_grid_that_ends_above_the_balanced_depth_has_no_balance(grid, fields):
    shallow = Diagnostics(grid, fields, Regions(balance=Balance(below=5000))).units
    assert BARE - set(shallow) == {"geostrophic_residual", "thermal_wind_residual"}


def at_rest(grid, temperature=10.0, salinity=35.0, ssh=0.0) -> np.ndarray:
    """A homogeneous ocean (2, 5, D, Y, X)."""
    state = np.zeros((2, 5, *grid.shape))
    state[:, T], state[:, S] = temperature * grid["tmask"], salinity * grid["tmask"]
    state[:, SSH, 0] = ssh * grid["tmask"][0]
    return state


def test_a_homogeneous_ocean_at_rest_is_neutral_still_and_mixed_to_the_bottom(grid, fields):
    regions = Regions(mixed_layers={"mld": MixedLayer(0.03, (-90, 90))})
    found = Diagnostics(grid, fields, regions)(at_rest(grid))
    volume, area = grid.volume(), grid.area()
    deepest = np.where(grid["tmask"], grid["gdept"][:, None, None], 0).max(0)
    expected = {
        "unstable_volume": 0, "strongly_unstable_volume": 0, "least_stable": 0, "kinetic_energy": 0,
        "surface_tendency": 0, "wall_normal_flow": 0, "mld": (deepest * area).sum() / area.sum(),
        "heat_content": 1026 * 3991.868 * 10 * volume.sum(), "salt_content": 1026 * 0.035 * volume.sum(),
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value, value], rtol=1e-12, atol=1e-18, err_msg=name)
    assert np.isnan(found["geostrophic_residual"]).all()  # no flow to measure it by


def test_flow_through_a_wall_is_seen_in_either_velocity(grid, fields):
    for channel, mask, speed in ((U, "umask", 0.1), (V, "vmask", -0.3)):
        state = at_rest(grid)
        state[1, channel][~grid[mask]] = speed
        found = Diagnostics(grid, fields, Regions())(state)["wall_normal_flow"]
        np.testing.assert_allclose(found, [0, abs(speed)])


def cell_regions(grid) -> Regions:
    depth = tuple(np.cumsum(grid["e3t"][:, 0, 0])[[0, -1]].tolist())
    return Regions(
        overturning={
            "north": Cell((-1, depth[1]), (-90, 90)),
            "bottom": Cell((-1, depth[1]), (-90, 90), bottom=True),
        },
        overturning_in_density={"dense": DensityCell((1020, 1050), (-90, 90), reference=0, classes=300)},
        heat_transports={"heat": HeatTransport(3.0)},
    )


def test_an_overturning_cell_has_its_strength_in_depth_in_density_and_in_heat(grid, fields):
    state = at_rest(grid)
    state[:, T, 0] = 20 * grid["tmask"][0]
    j, i = 4, 2  # wet on the upper two levels on both sides
    width = grid["e1v"][j, i]
    state[:, V, 0, j, i], state[:, V, 1, j, i] = 2e6 / (width * grid["e3v"][:2, j, i])[:, None] * [[1], [-1]]
    found = Diagnostics(grid, fields, cell_regions(grid))(state)
    np.testing.assert_allclose(found["north"], 2)
    np.testing.assert_allclose(found["bottom"], 0, atol=1e-12)
    np.testing.assert_allclose(found["dense"], 2)
    np.testing.assert_allclose(found["heat"], 1026 * 3991.868 * 2e6 * (20 - 10) / 1e15)
    turned = Diagnostics(grid, fields, cell_regions(grid))(state * [[[[[1]]], [[[1]]], [[[1]]], [[[-1]]], [[[1]]]]])
    np.testing.assert_allclose(turned["bottom"], -2)
    np.testing.assert_allclose(turned["north"], 0, atol=1e-12)


def test_a_risen_surface_adds_its_water_to_contents_and_carries_more(grid, fields):
    regions = {"boxes": {"all": Box((-1, 1e5), (-90, 90))}, "sections": {"channel": Section(0, (-50, 0))}}
    state = at_rest(grid, ssh=2.0)
    state[:, U] = 0.05 * grid["umask"]
    still = Diagnostics(grid, fields, Regions(**regions))(state)
    moving = Diagnostics(grid, fields, Regions(**regions, moving_surface=True))(state)
    added = 1026 * 3991.868 * 10 * 2 * grid.area().sum()
    np.testing.assert_allclose(moving["heat_content"] - still["heat_content"], added, rtol=1e-9)
    np.testing.assert_allclose(moving["all.toce"], 10)
    rows = (grid["nav_lat"][:, 0] > -50) & (grid["nav_lat"][:, 0] < 0) & grid["umask"][0, :, 0]
    more = 0.05 * 2 * grid["e2u"][rows, 0].sum() / 1e6
    np.testing.assert_allclose(moving["channel"] - still["channel"], more, rtol=1e-9)


def test_two_diagnostics_of_one_name_are_refused(grid, fields):
    regions = Regions(gyres={"heat_content": Gyre((0, 40))})
    with pytest.raises(UserError, match="two diagnostics are called 'heat_content'"):
        Diagnostics(grid, fields, regions)


TARGETS = {
    "heat": Flux("tstar", -40.0),
    "salt": Flux("sstar", -3.858e-3, "sea_water_salinity"),
}


@pytest.fixture
def restored(states) -> xr.Dataset:
    """Two kelvins and half a gram of salt off their targets everywhere, one of them given for each sample."""
    return states.assign(tstar=(states.toce - 2).isel(depth=0), sstar=(states.soce + 0.5).isel(depth=0, sample=0))


def test_surface_fluxes_are_those_towards_the_stored_targets(restored):
    config = EvaluateConfig(regions=Regions(fluxes=TARGETS))
    found = score_states(restored.isel(sample=[0]), config)
    assert found["units"]["heat"] == "W m-2" and found["units"]["salt"] == "kg m-2 s-1"
    own = found["settings"]["s00"]
    assert own["heat"]["mean"] == pytest.approx(-80, rel=1e-5)
    assert own["salt"]["mean"] == pytest.approx(3.858e-3 * 0.5e-3, rel=1e-4)


@pytest.mark.parametrize(
    ("flux", "message"),
    [
        (Flux("tsar", -40.0), "no 'tsar' .did you mean 'tstar'"),
        (Flux("toce", -40.0), "dimensions sample, depth, y, x: give"),
        (Flux("tstar", -40.0, "sea_water_x_velocity"), "no flux of 'sea_water_x_velocity'"),
    ],
)
def test_a_flux_towards_nothing_is_an_error_that_names_it(restored, flux, message):
    with pytest.raises(UserError, match=f"flux 'f'.*{message}"):
        score_states(restored, EvaluateConfig(regions=Regions(fluxes={"f": flux})))
