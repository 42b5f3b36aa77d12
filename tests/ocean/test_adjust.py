"""Adjustment of data sets: what must hold holds, what must stay stays."""

import numpy as np
import pytest

from ldm_ocean.errors import UserError
from ldm_ocean.ocean import adjust
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.balance import geostrophic_residual, hydrostatic_pressure, surface_tendency
from ldm_ocean.physics.eos import equation_of_state
from ldm_ocean.physics.stratification import density_steps


@pytest.fixture(scope="module")
def upset(states):
    """States with noise enough for inversions."""
    noise = np.random.default_rng(3).standard_normal(states.toce.shape)
    return states.assign(toce=(states.toce + noise.astype("float32")).assign_attrs(states.toce.attrs))


def inversions(states) -> int:
    fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
    x = fields.stack(states, grid).astype("float64")
    t, s = x[:, fields.index_of("toce")], x[:, fields.index_of("soce")]
    steps = density_steps(t, s, grid["gdept"][:, None, None], equation_of_state(grid.equation_of_state))
    return int(((steps < 0) & grid["tmask"][1:] & grid["tmask"][:-1]).sum())


def test_convective_adjustment_leaves_no_inversion_and_all_heat_and_salt(upset):
    calm = adjust.adjusted(upset, adjust.convective)
    assert inversions(upset) > 100 and inversions(calm) == 0
    for name in ("toce", "soce"):
        before, after = ((s[name].astype("float64") * s.e3t).sum("depth") for s in (upset, calm))
        np.testing.assert_allclose(after, before, rtol=1e-6)


def test_adjustment_changes_its_own_variables_only_and_no_coordinate_or_attribute(upset):
    currents = {"uoce", "voce", "ssh"}
    for adjusted, own in (
        (adjust.adjusted(upset, adjust.convective), {"toce", "soce"}),
        (adjust.adjusted(upset, adjust.geostrophic), currents),
    ):
        assert {k for k in upset.data_vars if not upset[k].identical(adjusted[k])} == own
        assert adjusted.attrs == upset.attrs and adjusted.coords.to_dataset().identical(upset.coords.to_dataset())
        for name in own:
            assert adjusted[name].dims == upset[name].dims and adjusted[name].attrs == upset[name].attrs
            assert (adjusted[name].isnull() == upset[name].isnull()).all()


def test_after_geostrophic_adjustment_no_column_fills_or_drains_and_the_balance_is_better(upset, monkeypatch):
    residuals, tendencies = [], []
    whole = adjust.adjusted(upset, adjust.geostrophic)
    monkeypatch.setattr(adjust, "balanced", lambda u, v, *_: (u, v))
    without_currents = adjust.adjusted(upset, adjust.geostrophic)
    assert not np.allclose(without_currents.uoce.fillna(0)[:, 2:], whole.uoce.fillna(0)[:, 2:], atol=1e-3)
    for states in (upset, without_currents, whole):
        fields, grid = Fields.from_dataset(states), OceanGrid.from_dataset(states)
        x = fields.stack(states, grid).astype("float64")
        t, s, u, v, eta = (x[:, fields.index_of(k)] for k in ("toce", "soce", "uoce", "voce", "ssh"))
        density = equation_of_state(grid.equation_of_state)(t, s, grid["gdept"][:, None, None])
        pressure = hydrostatic_pressure(density, grid["gdept"], eta[:, 0])
        residuals.append(geostrophic_residual(u, v, pressure, grid, True))
        tendencies.append(abs(surface_tendency(u, v, grid, True)).max())
    assert (residuals[1] < residuals[0]).all() and (residuals[2] < residuals[0]).all()
    assert max(tendencies[1:]) < 1e-5 * tendencies[0]


def test_without_an_equation_of_state_nothing_is_adjusted(upset):
    unknown = upset.copy()
    del unknown.attrs["equation_of_state"]
    for adjustment in (adjust.convective, adjust.geostrophic):
        with pytest.raises(UserError, match="equation of state"):
            adjust.adjusted(unknown, adjustment)
