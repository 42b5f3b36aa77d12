"""prepare: many simulations in one call, from a table; parameters and the namelist that the store keeps."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ldm_ocean.commands import cli
from ldm_ocean.io.prepare import prepare
from ldm_ocean.io.states import open_states

from ..made_up_ocean import made_up, save

WIND = (0.1, 0.2, 0.3)


def namelist(wind: float, **others) -> str:
    more = "".join(f" {k} = {v}\n" for k, v in others.items())
    return f"&namrun\n nn_it000 = 1\n/\n&namdino ! idealised\n rn_ztau0 = {wind}\n{more}/\n"


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """Three runs in folders of their own, each of two files and a namelist_cfg."""
    for number, wind in enumerate(WIND):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        data = made_up(3)
        data["thetao"] = data.thetao + wind
        save(data.isel(time=slice(0, 2)), folder / "a_1.nc")
        save(data.isel(time=slice(2, 3)), folder / "a_2.nc")
        (folder / "namelist_cfg").write_text(namelist(wind, rn_Ue=1.5))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # the table's globs are seen from its folder
    return tmp_path


def by_hand(runs: Path):
    """The same store, one call for each run."""
    for n, (wind, split) in enumerate(zip(WIND, ("train", "train", "test"), strict=True)):
        files = sorted((runs / f"run{n}").glob("*.nc"))
        out = runs / "by_hand.zarr"
        prepare(files, out, parameters={"rn_ztau0": wind}, setting=f"w{n}", split=split, append=n > 0)
    return open_states(runs / "by_hand.zarr").load()


CSV = """files, setting, split, rn_ztau0
run0/a_*.nc, w0, , 0.1
"run1/a_1.nc run1/a_2.nc", w1, train,
run2/*.nc, w2, test, 0.3
"""
YAML = [
    {"files": "run0/a_*.nc", "setting": "w0", "rn_ztau0": None},
    {"files": ["run1/a_1.nc", "run1/a_2.nc"], "setting": "w1", "rn_ztau0": 0.2},
    {"files": "run2/*.nc", "setting": "w2", "split": "test", "rn_ztau0": 0.3, "namelist": "run2/namelist_cfg"},
]


@pytest.mark.parametrize("name, text", [("runs.csv", CSV), ("runs.yaml", yaml.safe_dump(YAML))])
def test_a_table_of_runs_gives_the_store_that_one_call_for_each_run_gives(runs, name, text):
    (runs / name).write_text(text)
    cli.main(["prepare", f"../{name}", "--out", "states.zarr"])
    states, expected = open_states("states.zarr").load(), by_hand(runs)
    for key in ("setting", "split", "season", "equilibrium", "rn_ztau0", "toce"):
        np.testing.assert_array_equal(states[key].values, expected[key].values)
    assert states.attrs["parameters"] == ["rn_ztau0"]


def test_parameters_come_from_the_namelist_beside_the_files_or_from_the_one_that_is_named(runs):
    save(made_up(), runs / "alone.nc")
    (runs / "other").write_text(namelist(0.7))
    (runs / "t.csv").write_text("files,setting,namelist\nrun1/*.nc,w1,\nalone.nc,x,other\n")
    cli.main(["prepare", "../t.csv", "--parameter", "rn_ztau0", "--out", "states.zarr"])
    assert list(open_states("states.zarr").rn_ztau0.values) == [0.2] * 3 + [0.7] * 2


def test_the_store_keeps_the_namelist_of_every_setting(runs):
    (runs / "t.csv").write_text("files,setting\nrun0/*.nc,w0\nrun1/*.nc,w1\n")
    cli.main(["prepare", "../t.csv", "--out", "s.zarr"])
    third = ["../run2/a_1.nc", "../run2/a_2.nc", "--setting", "w2"]
    cli.main(["prepare", *third, "--out", "s.zarr", "--append"])
    found = json.loads(open_states("s.zarr").attrs["namelists"])
    assert {k: v["namdino"] for k, v in found.items()} == {
        f"w{n}": {"rn_ztau0": wind, "rn_ue": 1.5} for n, wind in enumerate(WIND)
    }


def test_a_row_tells_its_season_and_whether_its_states_are_in_equilibrium(runs):
    (runs / "t.yaml").write_text(
        "- {files: run0/a_1.nc, setting: w0, equilibrium: false, season: 0.5}\n"
        "- {files: run0/a_2.nc, setting: w0}\n"
        "- {files: run1/*.nc, setting: w1, season: [0, 0.25, 1]}\n"
    )
    cli.main(["prepare", "../t.yaml", "--out", "s.zarr"])
    states = open_states("s.zarr")
    np.testing.assert_allclose(states.season, [0.5, 0.5, 75 / 360, 0, 0.25, 0], atol=1e-6)
    assert states.equilibrium.values.tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize("season, expected", [("0.25", [0.25] * 2), ("0,0.5", [0, 0.5]), ("phase", [0.1, 0.9])])
def test_files_without_a_date_take_the_season_that_is_told(season, expected, tmp_path):
    data = made_up().drop_vars("time").assign(phase=("time", [0.1, 0.9]))
    file = save(data, tmp_path / "in.nc")
    cli.main(["prepare", str(file), "--season", season, "--out", str(tmp_path / "s.zarr")])
    np.testing.assert_allclose(open_states(tmp_path / "s.zarr").season, expected)


def test_one_state_without_a_date_is_of_season_0_and_the_warning_names_the_mend(tmp_path, capsys):
    file = save(made_up().isel(time=0, drop=True), tmp_path / "in.nc")
    cli.main(["prepare", str(file), "--out", str(tmp_path / "s.zarr"), "--equation-of-state", "seos"])
    assert open_states(tmp_path / "s.zarr").season.values.tolist() == [0.0]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "--season" in line


def test_a_table_that_was_cut_short_goes_on_where_it_was(runs, monkeypatch):
    (runs / "t.csv").write_text("files,setting\nrun0/*.nc,w0\nrun1/*.nc,w1\nrun2/*.nc,w2\n")
    from ldm_ocean.io import history, store

    monkeypatch.setattr(store, "SHARD_BYTES", 1)  # one state a shard
    read = history.check_values

    def stopped(frame, name, names, mask, where):
        if "run1/a_2" in where:
            raise KeyboardInterrupt
        read(frame, name, names, mask, where)

    monkeypatch.setattr(history, "check_values", stopped)
    with pytest.raises(SystemExit):
        cli.main(["prepare", "../t.csv", "--out", "s.zarr"])
    seen = []
    monkeypatch.setattr(history, "check_values", lambda *a: seen.append(a[-1]))
    cli.main(["prepare", "../t.csv", "--out", "s.zarr"])
    assert not any("run0" in where or "run1/a_1" in where for where in seen)
    assert open_states("s.zarr").setting.values.tolist() == ["w0"] * 3 + ["w1"] * 3 + ["w2"] * 3


BAD = {
    "no file matches": "files,setting\nrun7/*.nc,w\n",
    "row 2 of .* has no setting": "files,setting\nrun0/*.nc,w\nrun1/*.nc,\n",
    "row 1 of .* has no files": "file,setting\nrun0/*.nc,w\n",
    "splt is 'test', not a number.*did you mean 'split'": "files,setting,splt\nrun0/*.nc,w,test\n",
    "more cells": "files,setting\nrun0/*.nc,w,3,4\n",
    "has no rows": "files,setting\n",
    "equilibrium is 'perhaps'": "files,setting,equilibrium\nrun0/*.nc,w,perhaps\n",
    "two splits": "files,setting,split\nrun0/a_1.nc,w,train\nrun0/a_2.nc,w,test\n",
    "rn_x has no value in .*namelist_cfg": "files,setting,rn_x\nrun0/*.nc,w,\n",
    "rn_ztau0=0.9 for setting 'w', 0.1 in": "files,setting,rn_ztau0\nrun0/*.nc,w,0.9\n",
    "cannot be called 'toce'": "files,setting,toce\nrun0/*.nc,w,1\n",
    "slashes": "files,setting\nrun0/*.nc,../w\n",
    "no file .*nowhere.nc": "files,setting,mesh\nrun0/*.nc,w,nowhere.nc\n",
    "not a Fortran namelist|no &group": "files,setting,namelist\nrun0/*.nc,w,run0/a_1.nc\n",
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_table_is_one_line_and_no_store(message, runs, capsys):
    (runs / "t.csv").write_text(BAD[message])
    with pytest.raises(SystemExit) as stop:
        cli.main(["prepare", "../t.csv", "--out", "s.zarr"])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and re.search(message, line), line
    assert not Path("s.zarr").exists()


def test_runs_of_two_oceans_are_refused_together(runs, capsys):
    shutil.rmtree(runs / "run1")
    (runs / "run1").mkdir()
    save(made_up().isel(lon=slice(1, None)), runs / "run1" / "a.nc")
    (runs / "t.csv").write_text("files,setting\nrun0/*.nc,w0\nrun1/*.nc,w1\n")
    with pytest.raises(SystemExit):
        cli.main(["prepare", "../t.csv", "--out", "s.zarr"])
    assert "the mesh of setting 'w1' lies on another grid" in capsys.readouterr().err
