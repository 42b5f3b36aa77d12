"""Bad input to ``ldm-ocean prepare``: one line, exit code 2, nothing half-written."""

import argparse
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ldm_ocean.commands.prepare import add_arguments, run
from ldm_ocean.errors import exit_politely
from ldm_ocean.io.prepare import prepare

from ..made_up_ocean import made_up, save

NEMO = Path(__file__).parents[1] / "fixtures" / "nemo_dino_4deg"


def edit(path: Path, change) -> xr.Dataset:
    data = made_up()
    out = change(data)
    save(data if out is None else out, path)


def _put(name, index, value):
    def change(data):
        data[name][index] = value

    return change


def _changed(folder, change, mesh_change=None):
    """Command-line arguments for a changed made-up ocean on the mesh derived from the whole one."""
    edit(folder / "in.nc", change)
    save(mesh_change(made_up()) if mesh_change else made_up(), folder / "whole.nc")
    return ["in.nc", "--mesh", "whole.nc"]


def _text(folder, name, text):
    (folder / name).write_text(text)
    return name


def _good(folder, name="good.nc"):
    return save(made_up(), folder / name).name


def _undated(folder, *options):
    save(made_up().drop_vars("time"), folder / "in.nc")
    return ["in.nc", *options]


DIC = "variables: {dic: {to: dic, point: t, deep: true}}"


def _truncated(folder):
    shutil.copy(NEMO / "DINO_1m_grid_T.nc", folder / "cut.nc")
    with open(folder / "cut.nc", "r+b") as f:
        f.truncate(20_000)
    return ["cut.nc", "--mesh", str(NEMO / "mesh_mask.nc")]


def _turned_square(folder):
    """Six rows of six columns, y and x exchanged under their names: only the latitudes can tell."""
    square = made_up().isel(lat=slice(0, 6)).rename(lat="y", lon="x").drop_vars(["y", "x"])
    lat, lon = np.meshgrid(np.linspace(-30, 20, 6), 10.0 * np.arange(6), indexing="ij")
    square = square.assign(nav_lat=(("y", "x"), lat), nav_lon=(("y", "x"), lon))
    save(square, folder / "whole.nc")
    save(square.rename(y="x", x="y"), folder / "in.nc")
    return ["in.nc", "--mesh", "whole.nc"]


def _two_settings(folder, *options):
    prepare([folder / _good(folder)], folder / "out.zarr", setting="one", parameters={"p": 1.0})
    return ["good.nc", *options]


BAD = {
    "no such file": (lambda f: ["nowhere.nc"], "no file nowhere.nc"),
    "not a data file": (lambda f: [_text(f, "a.nc", "hello")], "neither NetCDF, Zarr nor"),
    "a truncated file": (_truncated, "truncated|whole"),
    "no known variable": (
        lambda f: _changed(f, lambda d: d[["zos"]].rename(zos="blob"))[:1],
        "no known variable .*blob",
    ),
    "a wanted variable is missing": (lambda f: [_good(f), "--variables", "toce", "uoce"], "no uoce in good.nc"),
    "NaN at a wet point": (lambda f: _changed(f, _put("so", (1, 1, 3, 3), np.nan)), r"soce is missing \(NaN\) at 1 of"),
    "1e20 at a wet point": (lambda f: _changed(f, _put("thetao", (0, 1, 3, 3), 1e20)), r"toce is missing \(NaN\)"),
    "Kelvin said to be Celsius": (
        lambda f: _changed(f, lambda d: d.assign(thetao=(d.thetao + 273.15).assign_attrs(units="degC"))),
        "toce is 29.*Kelvin",
    ),
    "Kelvin without units": (
        lambda f: _changed(f, lambda d: d.assign(thetao=(d.thetao + 273.15).drop_attrs(deep=False))),
        "Kelvin",
    ),
    "salinity in kg/kg said to be PSU": (
        lambda f: _changed(f, lambda d: d.assign(so=(d.so / 1e4).assign_attrs(units="PSU"))),
        "kg/kg",
    ),
    "units nobody knows": (
        lambda f: _changed(f, lambda d: d.assign(thetao=d.thetao.assign_attrs(units="furlong"))),
        "units 'furlong'",
    ),
    "another land than the mesh": (
        lambda f: _changed(
            f, lambda d: d.fillna(0.0), lambda d: d.fillna(0.0).isel(lat=[0, 0, 1, 2, 3, 4, 5]).assign_coords(lat=d.lat)
        ),
        "land of toce .* is not the mesh's|is not the mesh",
    ),
    "another shape than the mesh": (
        lambda f: _changed(f, lambda d: d.isel(lat=slice(1, None))),
        r"is \(4, 6, 6\), the mesh \(4, 7, 6\)",
    ),
    "swapped axes": (
        lambda f: _changed(f, lambda d: d.rename(lat="lon", lon="lat").drop_vars(["lat", "lon"])),
        "y and x are swapped",
    ),
    "swapped axes on a square": (_turned_square, "y and x are swapped"),
    "other levels than the mesh": (
        lambda f: _changed(f, lambda d: d.assign_coords(depth=d.depth * 3)),
        "levels of thetao .* differ",
    ),
    "a channel in metres": (
        lambda f: _changed(f, lambda d: d.assign_coords(lat=1e6 * (1 + d.lat / 100), lon=1e5 * d.lon))[:1],
        "lat in in.nc is no angle .up to 1.3e.06 .*give degrees; on an f- or β-plane",
    ),
    "a small channel in kilometres": (
        lambda f: _changed(f, lambda d: d.assign_coords(lon=d.lon.assign_attrs(units="km"), lat=d.lat))[:1],
        "lon in in.nc is no angle .up to 50 km",
    ),
    "no latitude and no mesh": (
        lambda f: _changed(f, lambda d: d.rename(lat="y", lon="x").drop_vars(["y", "x"]))[:1],
        "no latitude and longitude",
    ),
    "a mesh without a mask": (
        lambda f: [_good(f), "--mesh", save(xr.Dataset({"a": 1.0}), f / "m.nc").name],
        "neither tmask nor fields",
    ),
    "a dimension without a role": (
        lambda f: _changed(f, lambda d: xr.concat([d, d], "member"))[:1],
        "'member' with no known role",
    ),
    "one time given twice": (lambda f: [_good(f), _good(f, "again.nc")], "toce at one time is in"),
    "different numbers of steps": (
        lambda f: [
            save(made_up(2)[["thetao", "so"]], f / "t.nc").name,
            save(made_up(3)[["zos"]], f / "z.nc").name,
        ],
        "ssh has 3 time steps, toce 2",
    ),
    "a map with an unknown key": (
        lambda f: [_good(f), "--map", _text(f, "m.yaml", "variabels: {}")],
        "did you mean 'variables'",
    ),
    "a map to an unknown variable": (
        lambda f: [_good(f), "--map", _text(f, "m.yaml", "variables: {so: socee}")],
        "did you mean 'soce'",
    ),
    "a map that is not YAML": (lambda f: [_good(f), "--map", _text(f, "m.yaml", "a: [")], "is not readable YAML"),
    "a parameter without a value": (lambda f: [_good(f), "--parameter", "rn_ztau0"], "has no value .*rn_ztau0=VALUE"),
    "a parameter that is no number": (lambda f: [_good(f), "--parameter", "p=strong"], "name=value with a number"),
    "a parameter given twice": (lambda f: [_good(f), "--parameter", "p=1", "--parameter", "p=2"], "'p' is given twice"),
    **{
        f"a parameter called {name}": (lambda f, name=name: [_good(f), "--parameter", f"{name}=1"], "cannot be called")
        for name in ("toce", "ssh", "setting", "split", "season", "equilibrium", "tmask", "nav_lat", "depth", "member")
    },
    **{
        f"a parameter called {name}": (lambda f, name=name: [_good(f), "--parameter", f"{name}=1"], "letters, digits")
        for name in ("../../evil", "zarr.json", "", "a b")
    },
    "a parameter with the name of a mapped variable": (
        lambda f: [_good(f), "--map", _text(f, "m.yaml", DIC), "--parameter", "dic=1"],
        "cannot be called 'dic'",
    ),
    **{
        f"a parameter that is {value}": (lambda f, value=value: [_good(f), "--parameter", f"p={value}"], "finite value")
        for value in ("nan", "inf", "-inf")
    },
    "no time steps": (
        lambda f: [save(made_up().isel(time=slice(0)), f / "in.nc", {"time": {"dtype": "f8"}}).name],
        "hold no time step",
    ),
    "two dimensions that a map calls samples": (
        lambda f: [
            save(made_up().expand_dims(run=["a", "b"]), f / "in.nc").name,
            *("--map", _text(f, "m.yaml", "dimensions: {run: sample}")),
        ],
        "two of one role",
    ),
    "several states without a date": (lambda f: _undated(f), "tell no date for 2 states: say it with --season"),
    "seasons of another number": (lambda f: _undated(f, "--season", "0,0.2,0.4"), "3 seasons for 2 states"),
    "a season in days": (lambda f: _undated(f, "--season", "15"), "not a share of the year"),
    "a season that no file has": (lambda f: _undated(f, "--season", "phase"), "season=phase is not a share"),
    "a season of every cell": (lambda f: _undated(f, "--season", "thetao"), "not one number for each state"),
    "an existing store": (lambda f: _two_settings(f), "out.zarr exists"),
    "one setting in two splits": (
        lambda f: _two_settings(f, "--append", "--setting", "one", "--split", "test", "--parameter", "p=1"),
        "one setting, one split",
    ),
    "other parameters than the store's": (
        lambda f: _two_settings(f, "--append", "--parameter", "q=1"),
        "has parameters",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_exit_code_2_and_nothing_left_behind(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    build, expected = BAD[case]
    arguments = build(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args([*arguments, "--out", "out.zarr"])
    with pytest.raises(SystemExit) as stop:
        exit_politely(lambda: run(args))
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning:")]
    assert stop.value.code == 2 and len(lines) == 1 and lines[0].startswith("error: ")
    assert re.search(expected, lines[0]), lines[0]
    assert sorted(tmp_path.rglob("*")) == before
