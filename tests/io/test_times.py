"""The season of a NEMO restart: that of its steps, which idealised forcing follows; the date is heard where alone."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.io.times import days_apart, read_times

from ..nemo_files import NEMO, RESTART, WHOLE, raw


def season(**date) -> float:
    return float(read_times(xr.Dataset({k: ((), float(v)) for k, v in date.items()}), None, {}).season[0])


@pytest.mark.parametrize("path", [RESTART, WHOLE, NEMO / "DINO_00000960_restart.nc"])
def test_steps_and_date_of_real_restarts_tell_one_season(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_times(raw(path), "time_counter", {})


@settings(deadline=None)
@given(st.integers(1, 10**5), st.sampled_from([900, 2700, 5400]), st.integers(0, 359))
def test_the_season_is_that_of_the_steps_and_a_date_elsewhere_is_told(day, rdt, dated):
    date = {"kt": day * 86400 / rdt, "rdt": rdt, "adatrj": day}
    date["ndastp"] = 20000 + (dated // 30 + 1) * 100 + dated % 30 + 1
    apart = min((day - dated - 1) % 360, (dated + 1 - day) % 360)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = season(**date)
    assert days_apart(found, day / 360) < 1e-6 and 0 <= found < 1
    assert bool(told) == (apart > 2)


def test_the_date_alone_tells_the_season_where_the_steps_do_not():
    for lacking in ({}, {"kt": 100}, {"rdt": 5400}, {"kt": np.nan, "rdt": 5400}):
        assert season(ndastp=300630, adatrj=1, **lacking) == pytest.approx(0.5)
    assert np.isnan(season(ndastp=np.nan, adatrj=1))


@given(st.floats(0, 1), st.floats(0, 1))
def test_seasons_are_half_a_year_apart_at_most_and_alike_from_either_side(a, b):
    assert days_apart(a, b) == pytest.approx(days_apart(b, a), abs=1e-9)
    assert days_apart(a, b) <= 180 + 1e-9 and days_apart(a, a + 1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("axis", [("t", ["a", "b"]), (("t", "y"), np.zeros((2, 3)))])
def test_an_axis_of_names_or_of_two_dimensions_tells_no_time(axis):
    times = read_times(xr.Dataset({"t": axis}), "t", {})
    assert np.isnan(times.days).all() and np.isnan(times.season).all() and len(times.days) == 2
