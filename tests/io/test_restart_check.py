"""`restart --check`: real restarts are clean; every way to spoil one is named."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ldm_ocean.commands import cli
from ldm_ocean.errors import UserError
from ldm_ocean.io.nemo import read_grid
from ldm_ocean.io.restart_file import FIELDS
from ldm_ocean.io.restart_rules import NOTE, SPOILS, STOPS, check_restart

from ..nemo_files import MESH, NEMO, RESTART, WHOLE, raw, upper_mesh


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    mesh = read_grid(upper_mesh(tmp_path_factory.mktemp("mesh") / "mesh_mask.nc"))
    return replace(mesh, equation_of_state="seos")


def judged(data: xr.Dataset, folder, grid, name="a_restart.nc", **options) -> dict[str, str]:
    """Kind → all that was found of it, in one string."""
    data.to_netcdf(folder / name)
    found = check_restart(folder / name, grid, **options)
    return {k: " | ".join(f.text for f in found if f.kind == k) for k in (STOPS, SPOILS, NOTE)}


def test_a_whole_real_restart_is_clean(grid):
    found = check_restart(WHOLE, grid)
    assert {f.kind for f in found} == {NOTE}
    assert any("nn_it000 = 172801" in f.text for f in found)


def test_real_restarts_of_both_formats_are_clean_but_for_what_they_lack():
    assert {f.kind for f in check_restart(RESTART, read_grid(MESH))} == {NOTE}
    worst = check_restart(NEMO / "DINO_00000960_restart.nc", read_grid(MESH))[0]
    assert str(worst) == "stops: no un, vn, sshn: NEMO cannot start without"


def _at(name, value, wet):
    """``value`` at the first wet (or dry) cell of a field."""

    def spoil(data, grid):
        mask = grid[{"u": "umask", "v": "vmask"}.get(name[0], "tmask")]
        mask = mask[0] if data[name].ndim == 3 else mask
        data[name].values[(0, *np.argwhere(mask == wet)[0])] = value

    return spoil


def _warm_now_alone(data, grid):
    data.tn.values[0][grid["tmask"]] += 0.3


def _warm_one_level(data, grid):
    data.tn.values[0, 2][grid["tmask"][2]] += 0.3


def _upside_down(data, grid):
    for name in ("tn", "tb", "sn", "sb"):
        data[name].values[0, :3] = data[name].values[0, 2::-1].copy()


def _without(*names):
    return lambda data, grid: data.drop_vars(names)


def _swapped(data, grid):
    return data.assign(tn=data.tn.rename(y="x", x="y").transpose("time_counter", "nav_lev", "x", "y"))


def _off_date(data, grid):
    data["adatrj"] = data.adatrj + 30


def _all(name, value):
    def spoil(data, grid):
        data[name] = xr.full_like(data[name], value)

    return spoil


def _short(name):
    return lambda data, grid: data.assign({name: ("odd", np.zeros(5))})


def _half_a_year_on(data, grid):
    data["kt"], data["adatrj"] = data.kt + 500 * 16, data.adatrj + 500


SPOILT = {
    "no temperature": (_without("tn"), STOPS, "no tn: NEMO cannot start"),
    "another shape": (lambda d, g: d.isel(y=slice(1, None)), STOPS, "tn is .1, 3, 50, 14., the mesh .3, 51, 14."),
    "two states": (lambda d, g: xr.concat([d, d], "time_counter", data_vars="minimal"), SPOILS, "NEMO reads the first"),
    "NaN in water": (_at("tn", np.nan, True), STOPS, "tn is not finite at 1 cells.*in water"),
    "NaN on land": (_at("sn", np.nan, False), STOPS, "sn is not finite at 1 cells.*on land"),
    "infinity on land, of the sea level before": (
        _at("sshb", np.inf, False),
        STOPS,
        "sshb is not finite at 1 cells.*on land",
    ),
    "u on land": (_at("un", 0.1, False), SPOILS, "un is not 0 on land at 1 cells"),
    "v on land": (_at("vn", -0.1, False), SPOILS, "vn is not 0 on land at 1 cells"),
    "no salt in a wet cell": (_at("sn", 0.0, True), STOPS, "sn is 0 at 1 cells.*not between 0 and 100"),
    "negative salt": (_at("sn", -1.0, True), STOPS, "sn is -1 at 1 cells"),
    "Kelvin": (_at("tn", 290.0, True), SPOILS, "tn is 290 at 1 cells.*outside -5 to 45"),
    "a jet": (_at("un", 11.0, True), STOPS, "un is 11 at 1 cells"),
    "a wall of water": (_at("sshn", 25.0, True), STOPS, "sshn is 25 at 1 cells"),
    "sea level before without its company": (_without("utau_b", "tb"), STOPS, "sshb is there without tb, utau_b"),
    "a step without a date": (_without("ntime", "adatrj"), STOPS, "kt is there without adatrj, ntime"),
    "turbulence that is no number": (_all("en", np.nan), STOPS, "en is not finite at .*take it from another restart"),
    "mixing that is no number": (_all("avt_k", np.nan), STOPS, "avt_k is not finite at .* on land"),
    "forcing before that is no number": (_all("utau_b", np.nan), STOPS, "utau_b is not finite at"),
    "light before with an infinity": (_at("qsr_hc_b", np.inf, True), STOPS, "qsr_hc_b is not finite at 1 cells"),
    "turbulence of another shape": (_short("en"), STOPS, r"en is \(5,\), the mesh \(3, 51, 14\)"),
    "forcing before of another shape": (_short("qns_b"), STOPS, r"qns_b is \(5,\), the mesh \(51, 14\)"),
    "a step that is no number": (_all("kt", np.nan), STOPS, "kt: not one finite number"),
    "a date that is no number": (_all("ndastp", np.inf), STOPS, "ndastp: not one finite number"),
    "five dates": (_short("adatrj"), STOPS, "adatrj: not one finite number"),
    "steps moved, the date left": (_half_a_year_on, NOTE, "day 140 of a year of 360, ndastp 301230 on day 0.*DINO"),
    "the date moved, the steps left": (
        _all("ndastp", 310804),
        NOTE,
        "day 0 of a year of 360, ndastp 310804 on day 214",
    ),
    "date and step apart": (_off_date, NOTE, "10800 days, adatrj 10830"),
    "no date at all": (_without("kt", "ndastp", "adatrj", "ntime"), NOTE, "no kt: date and season come"),
    "temperature changed now, not before": (_warm_now_alone, SPOILS, "tn and tb differ by 0.3.*half of the change"),
    "one level changed now, not before": (_warm_one_level, SPOILS, "tn and tb differ by 0.3"),
    "no step before": (_without("sshb"), NOTE, "no sshb: the first step is a forward"),
    "no turbulence": (_without("en", "dissl"), NOTE, "no en, dissl: turbulence starts cold"),
    "no light before": (_without("qsr_hc_b"), NOTE, "no qsr_hc_b"),
    "heavy above light": (_upside_down, SPOILS, "% of the stratification .* is upside down.*convect at once"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_wrong_is_named_and_nothing_else_is(case, grid, tmp_path):
    spoil, kind, words = SPOILT[case]
    data = raw(WHOLE)
    changed = spoil(data, grid)
    found = judged(data if changed is None else changed, tmp_path, grid)
    assert re.search(words, found[kind]), found
    other = {STOPS: SPOILS, SPOILS: STOPS, NOTE: STOPS}[kind]
    assert not found[other], found


def test_stability_is_judged_by_no_guessed_equation_of_state(grid, tmp_path):
    found = judged(raw(WHOLE), tmp_path, replace(grid, equation_of_state=None))
    assert "the equation of state is not known" in found[NOTE] and "N²" not in found[NOTE]


def test_a_change_of_now_alone_is_no_harm_without_the_step_before(grid, tmp_path):
    data = raw(WHOLE).drop_vars("sshb")
    _warm_now_alone(data, grid)
    assert not judged(data, tmp_path, grid)[SPOILS]


@pytest.mark.parametrize("name", ["utau_b", "qsr_hc_b", "tb"])
def test_what_nemo_does_not_read_without_the_step_before_is_not_judged(name, grid, tmp_path):
    data = raw(WHOLE)
    _all(name, np.nan)(data, grid)
    assert judged(data, tmp_path, grid)[STOPS]
    assert not judged(data.drop_vars("sshb"), tmp_path, grid, "b_restart.nc")[STOPS]


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(day=st.integers(1, 720), off=st.integers(-180, 179))
def test_date_and_step_are_told_apart_beyond_the_days_of_a_real_calendar(day, off, grid, tmp_path):
    data, dated = raw(WHOLE), (day + off - 1) % 360
    _all("kt", day * 16)(data, grid)
    _all("adatrj", day)(data, grid)
    _all("ndastp", 20000 + (dated // 30 + 1) * 100 + dated % 30 + 1)(data, grid)
    assert ("follows the former" in judged(data, tmp_path, grid)[NOTE]) == (abs(off) > 2)


def test_weakly_unstable_water_which_nemo_mixes_without_harm_is_a_note(grid, tmp_path):
    data = raw(WHOLE)
    for now, before in (("tn", "tb"), ("sn", "sb")):
        for name in (now, before):
            data[name].values[0, 0, 20:30] = data[name].values[0, 1, 20:30] - (0.002 if name[0] == "t" else 0)
    found = judged(data, tmp_path, grid)
    assert not found[STOPS] and not found[SPOILS], found
    share = re.search(r"([\d.]+) % of the volume has N² < -1e-08", found[NOTE])
    assert float(share[1]) > 5


def test_a_file_of_one_rank_is_told_by_its_name(grid, tmp_path):
    assert "one rank's piece" in judged(raw(WHOLE), tmp_path, grid, "DINO_restart_0000.nc")[STOPS]


def test_axes_in_another_order_are_told_even_on_a_square(tmp_path):
    """NEMO goes by sizes: on a square it would read longitude as latitude without a word."""
    mesh = raw(MESH).isel(nav_lev=slice(3), y=slice(20, 34))
    mesh.to_netcdf(tmp_path / "mesh_mask.nc")
    data = _swapped(raw(WHOLE).isel(y=slice(20, 34)), None)
    found = judged(data, tmp_path, read_grid(tmp_path / "mesh_mask.nc"))
    assert "tn has the axes time_counter, nav_lev, x, y" in found[SPOILS]


def test_a_column_with_less_than_no_water_is_told(grid, tmp_path):
    depth = (grid["e3t"] * grid["tmask"]).sum(0)[grid["tmask"][0]].min()
    data = raw(WHOLE)
    data.sshn.values[0][grid["tmask"][0]] = -depth + 1e-3
    assert "no water" not in judged(data, tmp_path, grid, "wet_restart.nc")[STOPS]
    data.sshn.values[0][grid["tmask"][0]] = -depth - 1e-3
    assert "sshn leaves no water" in judged(data, tmp_path, grid)[STOPS]


def test_currents_are_judged_by_the_time_step(grid, tmp_path):
    data = raw(WHOLE)
    for u in ("un", "ub"):
        data[u].values[0][grid["umask"]] = 1.0
        data[u.replace("u", "v")].values[:] = 0.0
    step = grid["e1u"][grid["umask"][0]].min()  # [s] of a metre per second through the narrowest cell
    assert "in one step" not in judged(data, tmp_path, grid, "a_restart.nc", rdt=0.99 * step)[STOPS]
    assert "currents cross 1 cells in one step" in judged(data, tmp_path, grid, "b_restart.nc", rdt=1.01 * step)[STOPS]


def test_packed_values_count_as_nemo_reads_them(grid, tmp_path):
    """NEMO multiplies and adds before it looks."""
    data = raw(WHOLE).drop_vars("sshb")
    data["tn"] = (data.tn.dims, data.tn.values / 2, {"scale_factor": 2.0})
    data.to_netcdf(tmp_path / "a_restart.nc")
    assert all(f.kind == NOTE for f in check_restart(tmp_path / "a_restart.nc", grid))
    data["tn"].attrs["add_offset"] = 273.15
    data.to_netcdf(tmp_path / "b_restart.nc")
    assert any("outside -5 to 45" in f.text for f in check_restart(tmp_path / "b_restart.nc", grid))


def test_the_command_exits_with_0_for_a_clean_file_and_1_for_another(tmp_path, capsys):
    cli.main(["restart", "--check", str(RESTART), "--mesh", str(MESH)])
    assert "stops" not in capsys.readouterr().out
    shutil.copy(RESTART, tmp_path / "DINO_restart_0003.nc")
    with pytest.raises(SystemExit) as stop:
        cli.main(["restart", "--check", str(tmp_path / "DINO_restart_0003.nc"), "--mesh", str(MESH)])
    assert stop.value.code == 1 and "stops: NEMO takes" in capsys.readouterr().out


def test_what_is_no_netcdf_is_bad_input(grid, tmp_path):
    (tmp_path / "a_restart.nc").write_text("hello")
    with pytest.raises(UserError, match="cannot read"):
        check_restart(tmp_path / "a_restart.nc", grid)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_found_in_every_field_that_nemo_reads(name, value, grid, tmp_path):
    data = raw(WHOLE)
    _at(name, value, True)(data, grid)
    assert f"{name} is not finite at 1 cells" in judged(data, tmp_path, grid)[STOPS]


def test_currents_across_a_cell_count_by_its_length_and_add_to_those_along(grid, tmp_path):
    """On cells that are flat: on the mesh's own, nearly square ones e1 would do as well."""
    grid = replace(grid, mesh={**grid.mesh, "e2v": 0.7 * grid["e2v"]})
    data = raw(WHOLE)
    for name in ("un", "vn"):
        data[name].values[:] = 0.0
    cell = tuple(np.argwhere(grid["umask"] & grid["vmask"])[0])
    length, width = float(grid["e2v"][cell[1:]]), float(grid["e1u"][cell[1:]])
    data.vn.values[(0, *cell)] = -1.0
    assert "in one step" not in judged(data, tmp_path, grid, "a_restart.nc", rdt=0.99 * length)[STOPS]
    assert "cross 1 cells in one step" in judged(data, tmp_path, grid, "b_restart.nc", rdt=1.001 * length)[STOPS]
    data.un.values[(0, *cell)] = 0.5 * width / length
    assert "cross 1.1 cells" in judged(data, tmp_path, grid, "c_restart.nc", rdt=0.75 * length)[STOPS]
