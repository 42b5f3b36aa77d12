"""Finished runs of NEMO: what they left is measured as runs of Veros are, and what is wrong with them is said."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ldm_ocean.commands.cli import main
from ldm_ocean.io.prepare import prepare_all
from ldm_ocean.io.simulations import Simulation
from ldm_ocean.spinup.nemo import _calendar, _one_season

from ..io.test_run_stat import line
from ..nemo_files import MESH, NEMO, RESTART, run_folder

REGIONS = "regions: {boxes: {deep_water: {depth: [500, 3000], latitude: [-30, 30]}}}"
STEP = 21600.0  # [s], four steps a day
DAY = round(86400 / STEP)
SPREAD = 1.0  # [°C] between the settings of the reference, r0, r1, r2, of three states each
VARIANCE = 6 / 8 * SPREAD**2


def stat(steps: int, swing: float = 0.0, **last) -> str:
    """|ssh|_max goes up and down by ``swing`` for the first ten days; what the last step has otherwise."""
    rows = [line(k, ssh=1 + swing * (k % 2) * (k < 10 * DAY)) for k in range(1, steps)]
    return "".join(rows) + line(steps, **last)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A reference of three settings, ``SPREAD`` apart in temperature, and the runs of the middle one."""
    root = tmp_path_factory.mktemp("runs")
    told = [
        Simulation(
            [*run_folder(root / f"r{n}", [n * SPREAD]).glob("*grid*")], f"r{n}", parameters={"rn_x": n}, mesh=MESH
        )
        for n in range(3)
    ]
    prepare_all(told, root / "states.zarr", equation_of_state="seos")
    steps = {"rn_dt": STEP, "nn_itend": 2 * 360 * DAY}
    whole = 2 * 360 * DAY
    run_folder(root / "near", [1.5, 1.25], stat(whole, 0.1), **steps, rn_x=1.0)
    run_folder(root / "far", [0.0, 0.5], stat(whole, 0.2), **steps)
    run_folder(root / "wild", [], stat(70, u=12.5), **steps)
    run_folder(root / "late", [1.75], stat(480 * DAY, 0.1), **steps)
    run_folder(root / "rest", [9.0, 5.0, 3.0, 1.3], **steps | {"nn_itend": 0})
    return root


def ask(place: Path, rows: list[str], out: Path, *more: str, head: str = "folder,setting,road") -> dict:
    table = out.with_suffix(".csv")
    relative = [f"{os.path.relpath(place, out.parent)}/{row}" for row in rows]
    table.write_text("\n".join([head, *relative]))
    config = out.with_suffix(".yaml")
    config.write_text(REGIONS)
    asked = [str(table), str(place / "states.zarr"), "--mesh", str(MESH), "--config", str(config), "--out", str(out)]
    main(["spinup", "--model", "nemo", *asked, *more])
    return json.loads((out / "spinup.json").read_text())


ROWS = ["near,r1,generated", "wild,r1,generated", "late,r1,generated", "far,r1,nearest_setting", "rest,r1,rest"]


@pytest.fixture(scope="module")
def result(place, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "out"
    return ask(place, ROWS, out), (out / "spinup.html").read_text()


def distance(warmer: float) -> float:
    """All variables but temperature, one of five, are those of equilibrium."""
    return abs(warmer - SPREAD) / np.sqrt(5 * VARIANCE)


def test_distance_is_that_of_the_annual_means_from_the_settings_own_states(result):
    roads = result[0]["settings"]["r1"]["roads"]
    assert roads["generated"]["starts"][0]["distance"] == pytest.approx([distance(1.5), distance(1.25)], rel=1e-3)
    assert roads["rest"]["starts"][0]["distance"] == pytest.approx([distance(x) for x in (9, 5, 3, 1.3)], rel=1e-3)
    assert result[0]["settings"]["r1"]["parameters"] == {"rn_x": 1.0}


def test_drift_is_the_trend_of_the_annual_means(result):
    roads = result[0]["settings"]["r1"]["roads"]
    assert roads["generated"]["starts"][0]["drift"]["deep_water.toce"] == pytest.approx(-2.5, rel=1e-3)
    assert roads["nearest_setting"]["starts"][0]["drift"]["deep_water.toce"] == pytest.approx(5.0, rel=1e-3)


def test_shock_is_every_rise_and_fall_of_the_sea_level_in_the_first_month(result):
    roads = result[0]["settings"]["r1"]["roads"]
    assert roads["generated"]["starts"][0]["shock"] == pytest.approx(0.1 * (10 * DAY - 1))
    assert roads["nearest_setting"]["starts"][0]["shock"] == pytest.approx(0.2 * (10 * DAY - 1))


def test_equivalent_years_are_those_of_the_start_from_rest(result):
    """It is within 0.5 of equilibrium in its fourth year, and the starts are in their second at 0.25 and 0.5."""
    roads = result[0]["settings"]["r1"]["roads"]
    assert roads["nearest_setting"]["equivalent_years"] == [4.0] and roads["generated"]["equivalent_years"] == [None]


def test_a_blow_up_is_noted_with_its_step_whether_there_is_output_or_not(result):
    generated = result[0]["settings"]["r1"]["roads"]["generated"]
    assert [s["blown"] for s in generated["starts"]] == [False, True, True]
    assert generated["starts"][1] == {"blown": True, "step": 70}
    assert generated["starts"][2]["step"] == 480 * DAY and len(generated["starts"][2]["distance"]) == 1
    said = " ".join(generated["warnings"])
    assert "wild: blew up at step 70 (|U|_max 12.5)" in said
    assert f"late: ended at step {480 * DAY} of {720 * DAY}" in said


def test_the_page_is_the_one_that_veros_gets(result):
    assert result[1].count("<svg") == 3 and "equivalent years" in result[1] and "shock [m]" in result[1]
    assert "blew up at step 70" in result[1] and "Cost" not in result[1] and "4 years from rest" in result[1]


def test_a_long_run_of_the_setting_goes_before_the_states(place, tmp_path):
    """The truth's years are 1.5 and 1.25, so it is from 1.375 that distance is taken, and drifts are held or not."""
    own = ask(place, ["near,r1,truth", "far,r1,generated"], tmp_path / "out")["settings"]["r1"]
    scale = np.sqrt(5 * VARIANCE)
    assert own["control"]["distance"] == pytest.approx([0.125 / scale] * 2, rel=1e-3)
    assert own["roads"]["generated"]["starts"][0]["distance"] == pytest.approx([1.375 / scale, 0.875 / scale], rel=1e-3)
    assert own["control"]["drift"]["deep_water.toce"] == pytest.approx([-2.5, -2.5], rel=1e-3)


def test_a_setting_without_states_is_measured_by_the_end_of_its_start_from_rest(place, tmp_path):
    result = ask(place, ["far,new,generated", "rest,new,rest"], tmp_path / "out")
    assert "control" not in result["settings"]["new"]
    assert "equilibrium is not known" in (tmp_path / "out/spinup.html").read_text()


def test_the_restart_of_a_start_is_looked_at(place, tmp_path):
    row = f"near,r1,generated,{RESTART}"
    own = ask(place, [row], tmp_path / "out", head="folder,setting,road,start")["settings"]["r1"]["roads"]["generated"]
    assert 0 < own["preflight"]["inverted"] < 5 and 0 < own["preflight"]["cfl"] < 1


def test_output_that_no_ocean_has_is_a_blow_up_after_a_good_year(place, tmp_path):
    run_folder(tmp_path / "silent", [1.5, np.nan])
    row = f"{os.path.relpath(tmp_path / 'silent', place)},r1,generated"
    own = ask(place, [row], tmp_path / "out")["settings"]["r1"]["roads"]["generated"]
    assert own["starts"][0]["blown"] and own["starts"][0]["distance"] == pytest.approx([distance(1.5)], rel=1e-3)
    assert "silent: holds what no ocean does (toce is missing" in " ".join(own["warnings"])


def test_an_abort_of_nemo_is_a_blow_up_at_the_step_that_it_had_reached(place, tmp_path):
    run_folder(tmp_path / "aborted", [1.5])
    (tmp_path / "aborted/output.abort.nc").touch()
    (tmp_path / "aborted/time.step").write_text("     1441\n")
    row = f"{os.path.relpath(tmp_path / 'aborted', place)},r1,generated"
    own = ask(place, [row], tmp_path / "out")["settings"]["r1"]["roads"]["generated"]
    assert own["starts"][0]["blown"] and own["starts"][0]["step"] == 1441


def test_shock_is_not_guessed_from_the_run_stat_of_a_later_job(place, tmp_path):
    run_folder(tmp_path / "chained", [1.5, 1.25], stat(40 * DAY, 0.1), rn_dt=STEP)
    row = f"{os.path.relpath(tmp_path / 'chained', place)},r1,generated"
    own = ask(place, [row], tmp_path / "out")["settings"]["r1"]["roads"]["generated"]
    assert own["starts"][0]["shock"] is None and "run.stat covers 40 days" in own["warnings"][0]
    assert ">Shock<" not in (tmp_path / "out/spinup.html").read_text()


# --- years


class Dates:
    """Output of a run, as far as its calendar goes: every ``gap`` days in years of ``length``."""

    def __init__(self, gap: float, length: float, count: int):
        days = gap / 2 + gap * np.arange(count)
        self.seasons = days % length / length
        step = type("Step", (), {"source": type("Source", (), {"data": {}})})
        self.timeline = {"toce": [type("S", (step,), {"day": day})() for day in days]}


@pytest.mark.parametrize(
    ("gap", "length"), [(30, 360), (5, 360), (1, 360), (360, 360), (365.25 / 12, 365.25), (5, 365), (365, 365)]
)
def test_years_are_counted_in_whatever_calendar(gap, length):
    years = 60
    number, spacing = _calendar(Dates(gap, length, round(years * length / gap)), None)
    assert spacing == pytest.approx(gap)
    assert np.bincount(number).tolist() == [round(length / gap)] * years


def test_seasons_are_many_or_one():
    assert not _one_season(np.arange(4) / 4) and _one_season(np.array([0.97, 0.0, 0.02]))


# --- refused, in one line with the mend


def broken(place: Path, tmp_path: Path, what: str) -> tuple[list[str], str]:
    """Rows of a table, and its head."""
    new = tmp_path / "new"
    relative = os.path.relpath(new, place)
    head = "folder,setting,road"
    if what == "empty":
        run_folder(new, [])
    elif what == "grid":
        for point in "TUV":
            with xr.open_dataset(NEMO / f"DINO_1m_grid_{point}.nc", decode_times=False) as data:
                new.mkdir(exist_ok=True)
                data.isel(y=slice(0, 40)).to_netcdf(new / f"cut_grid_{point}.nc")
    elif what == "variables":
        run_folder(new, [1.0])
        (new / "DINO_4m_grid_V.nc").unlink()
    elif what == "frequencies":
        run_folder(new, [1.0])
        run_folder(tmp_path / "other", [1.0])
        for point in "TUV":
            with xr.open_dataset(tmp_path / f"other/DINO_4m_grid_{point}.nc", decode_times=False) as data:
                data["time_counter"] = data.time_counter + 86400.0
                data.to_netcdf(new / f"DINO_x_grid_{point}.nc")
    elif what == "parameters":
        run_folder(new, [1.0], rn_x=2.0)
    elif what == "nan":
        run_folder(new, [np.nan])
    elif what == "yearly restarts":
        new.mkdir()
        for year in range(2):
            with xr.open_dataset(RESTART, decode_times=False) as data:
                moved = data.load().assign(adatrj=data.adatrj + 360 * year, kt=data.kt + 5760 * year)
                moved.to_netcdf(new / f"{year}_restart.nc")
        return [f"{relative},r1,generated,*_restart.nc"], "folder,setting,road,files"
    return [f"{relative},r1,generated"], head


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("empty", "no output of NEMO .* join the ranks' pieces, or name its files"),
        ("folder", "no folder .* correct the column folder"),
        ("grid", "the mesh .* give the mesh_mask of this grid"),
        ("variables", "lack voce: name all of grid_T, grid_U, grid_V"),
        ("frequencies", "name files of one frequency"),
        ("parameters", "rn_x of setting 'r1' is 1, but 2 .* correct the column setting"),
        ("nan", "missing"),
        ("yearly restarts", "one restart a year .* name its means"),
    ],
)
def test_what_is_wrong_with_a_run_is_said_in_one_line(place, tmp_path, capsys, what, said):
    rows, head = broken(place, tmp_path, what)
    refused(capsys, said, lambda: ask(place, rows, tmp_path / "out", head=head))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("row", "head", "said"),
    [
        ("far,new,generated", "folder,setting,road", "nothing to measure setting 'new' by.* road truth"),
        ("near,r1,generated,x", "folder,setting,road,strat", "unknown column 'strat' .*'start'"),
        ("near,r1,", "folder,setting,road", "no road"),
        ("near,r1,generated,none.nc", "folder,setting,road,start", "no file .*none.nc"),
        ("near,r1,generated,none_*.nc", "folder,setting,road,files", "no file matches"),
        ("near,r1,generated\n{}/near,r1,rest", "folder,setting,road", "twice"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_line(place, tmp_path, capsys, row, head, said):
    rows = [row.format(os.path.relpath(place, tmp_path))]
    refused(capsys, said, lambda: ask(place, rows, tmp_path / "out", head=head))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--members", "3"], "--members means nothing with --model nemo"),
        (["--years", "0.5"], "whole model years"),
    ],
)
def test_options_of_the_other_model_are_refused(place, tmp_path, capsys, more, said):
    refused(capsys, said, lambda: ask(place, ROWS[:1], tmp_path / "out", *more))


def refused(capsys, said: str, call) -> None:
    with pytest.raises(SystemExit) as stopped:
        call()
    error = capsys.readouterr().err.strip()
    assert stopped.value.code == 2 and len(error.splitlines()) == 1
    assert re.search(said, error), error
