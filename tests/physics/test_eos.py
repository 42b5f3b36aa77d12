"""Equations of state against their own derivatives and against each other."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.errors import UserError
from ldm_ocean.physics.eos import EQUATIONS, EXPANSIONS, equation_of_state, expansion

WATER = (st.floats(-1, 29), st.floats(33, 38), st.floats(0, 4000))


@pytest.mark.parametrize("name", ["vallis", "seos"])
@settings(max_examples=50, deadline=None)
@given(*WATER)
def test_expansion_and_contraction_are_the_derivatives_of_density(name, temperature, salinity, depth):
    t, s = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (temperature, salinity))
    density = equation_of_state(name)(t, s, depth)
    by_t, by_s = (x / density.item() for x in torch.autograd.grad(density, (t, s)))
    alpha, beta = expansion(name)(temperature, salinity, depth)
    assert alpha == pytest.approx(-by_t.item(), rel=1e-12, abs=1e-18)
    assert beta == pytest.approx(by_s.item(), rel=1e-12)


def test_teos10_has_the_density_of_the_published_check_value():
    pytest.importorskip("gsw")
    # Roquet et al. (2015), Ocean Modelling 90: S = 30 g/kg, T = 10 °C at 1000 dbar is 1027.45140 kg/m³
    depth = 1000e4 / (1026 * 9.81)
    assert equation_of_state("teos10")(10.0, 30.0, depth) == pytest.approx(1027.4514, abs=2e-3)


@pytest.mark.parametrize("name", ["vallis", "seos"])
def test_the_simple_equations_expand_as_sea_water_does(name):
    pytest.importorskip("gsw")
    t, s, z = (x.ravel() for x in np.meshgrid([2.0, 10.0, 20.0], [34.0, 36.0], [0.0, 1000.0], indexing="ij"))
    alpha, beta = expansion(name)(t, s, z)
    true_alpha, true_beta = expansion("teos10")(t, s, z)
    np.testing.assert_allclose(alpha, true_alpha, rtol=0.25)
    np.testing.assert_allclose(beta, true_beta, rtol=0.1)


def test_without_gsw_the_error_is_one_line_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gsw", None)
    for function in (equation_of_state("teos10"), expansion("teos10")):
        with pytest.raises(UserError, match=r"pip install ldm-ocean\[physics\]") as error:
            function(10.0, 35.0, 0.0)
        assert "\n" not in str(error.value)


def test_every_equation_has_its_coefficients_and_an_unknown_one_is_refused():
    assert set(EQUATIONS) == set(EXPANSIONS)
    for lookup in (equation_of_state, expansion):
        with pytest.raises(ValueError, match="one of vallis, seos, teos10"):
            lookup("linear")
