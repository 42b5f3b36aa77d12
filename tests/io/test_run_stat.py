"""run.stat as NEMO's run control writes it, text and NetCDF, and where that control would have ended the run."""

import netCDF4
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm_ocean.errors import UserError
from ldm_ocean.io.run_stat import _number, read_run_stat

QUIET = {"|ssh|_max": 1.5, "|U|_max": 0.8, "S_min": 34.0, "S_max": 37.0}


def fortran(value: float, letter: str = "D") -> str:
    """D23.16, as Fortran prints it."""
    if not np.isfinite(value):
        return f"{value:>23}".replace("nan", "NaN").replace("inf", "Infinity")
    if value == 0:
        return f" 0.0000000000000000{letter}+00"
    mantissa, exponent = f"{abs(value):.15e}".split("e")
    exponent = int(exponent) + 1
    digits = mantissa.replace(".", "")
    tail = f"{letter}{exponent:+03d}" if abs(exponent) < 100 else f"{exponent:+04d}"
    return f"{'-' if value < 0 else ' '}0.{digits}{tail}"


def line(step: int, letter: str = "D", **changed) -> str:
    own = QUIET | {{"ssh": "|ssh|_max", "u": "|U|_max"}.get(k, k): v for k, v in changed.items()}
    numbers = {k: fortran(v, letter) for k, v in own.items()}
    return (
        f" it :{step:8d}    |ssh|_max: {numbers['|ssh|_max']} |U|_max: {numbers['|U|_max']}"
        f" S_min: {numbers['S_min']} S_max: {numbers['S_max']}\n"
    )


@given(st.floats(-1e300, 1e300), st.sampled_from("DE"))
def test_a_number_of_fortran_is_read_to_the_last_digit_printed(value, letter):
    assert _number(fortran(value, letter).strip()) == pytest.approx(value, rel=1e-14, abs=1e-300)


def test_the_text_is_read_step_by_step_and_a_quiet_run_sets_off_no_alarm(tmp_path):
    (tmp_path / "run.stat").write_text("".join(line(k, ssh=1 + k / 1000) for k in range(1441, 1444)))
    stat = read_run_stat(tmp_path)
    assert stat.steps.tolist() == [1441, 1442, 1443] and stat.alarm() is None
    assert stat.extremes["|ssh|_max"] == pytest.approx([2.441, 2.442, 2.443])
    assert stat.extremes["S_max"].tolist() == [37.0] * 3


@pytest.mark.parametrize(
    "harm",
    [{"ssh": 20.5}, {"u": 10.5}, {"u": np.nan}, {"u": np.inf}, {"S_min": 0.0}, {"S_max": 100.0}, {"S_min": -1.0}],
)
def test_the_alarm_goes_off_at_the_first_step_beyond_nemos_limits(tmp_path, harm):
    (tmp_path / "run.stat").write_text(line(1) + line(2) + line(3, **harm) + line(4, ssh=99.0))
    assert read_run_stat(tmp_path).alarm()[0] == 3


def test_the_last_line_of_a_blown_run_as_it_was_seen(tmp_path):
    seen = (
        " it :       4    |ssh|_max:                     NaN |U|_max:  0.0000000000000000E+00"
        " S_min:  0.1797693134862316+309 S_max: -0.1797693134862316+309\n"
    )
    (tmp_path / "run.stat").write_text(line(3, "E") + seen)
    assert read_run_stat(tmp_path).alarm() == (4, "|ssh|_max nan")


def test_a_version_that_writes_more_or_less_is_read_as_well(tmp_path):
    (tmp_path / "run.stat").write_text(line(1).replace(" S_min", " |V|_max:  0.1100000000000000D+02 S_min"))
    assert read_run_stat(tmp_path).alarm() == (1, "|V|_max 11")
    (tmp_path / "run.stat").write_text(line(1).partition(" S_max")[0] + "\n")
    assert "S_max" not in read_run_stat(tmp_path).extremes


def test_netcdf_counts_steps_from_one_and_leaves_out_what_was_never_written(tmp_path):
    with netCDF4.Dataset(tmp_path / "run.stat.nc", "w") as data:
        data.createDimension("time", None)
        for name, value in {"abs_ssh_max": 1.5, "abs_u_max": 0.8, "s_min": 34.0, "s_max": 37.0}.items():
            data.createVariable(name, "f8", ("time",))[9:12] = value
    stat = read_run_stat(tmp_path)
    assert stat.steps.tolist() == [10, 11, 12] and stat.alarm() is None
    (tmp_path / "run.stat").write_text(line(13))  # what is on disk in any case
    assert read_run_stat(tmp_path).steps.tolist() == [13]


def test_jobs_kept_side_by_side_are_one_run(tmp_path):
    (tmp_path / "run.stat").write_text(line(3, ssh=3.0) + line(4))
    (tmp_path / "run.stat.00000003").write_text(line(1) + line(2) + line(3))
    assert read_run_stat(tmp_path).steps.tolist() == [1, 2, 3, 4]


def test_a_line_cut_short_is_no_alarm(tmp_path):
    (tmp_path / "run.stat").write_text(line(1) + line(2)[:60])
    stat = read_run_stat(tmp_path)
    assert stat.steps.tolist() == [1] and stat.alarm() is None and "S_max" in stat.extremes


def test_no_file_is_no_run_stat_and_a_foreign_one_is_refused(tmp_path):
    assert read_run_stat(tmp_path) is None
    (tmp_path / "run.stat").write_text("step 1: all is well\n")
    with pytest.raises(UserError, match=r"no run\.stat"):
        read_run_stat(tmp_path)
