"""prepare: files of any ocean model in, canonical states out, or one line that says how to mend the input."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
import zarr

from ldm_ocean.commands.cli import main
from ldm_ocean.errors import UserError
from ldm_ocean.io.prepare import prepare
from ldm_ocean.io.states import open_states, parameters_of
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from ..made_up_ocean import DEPTH, SHAPE, made_up, save

NEMO = Path(__file__).parents[1] / "fixtures" / "nemo_dino_4deg"
MESH = NEMO / "mesh_mask.nc"
MEANS = [NEMO / f"DINO_1m_grid_{p}.nc" for p in "TUV"]
RESTART = NEMO / "DINO_00172800_restart.nc"


def raw(path: Path) -> xr.Dataset:
    return xr.load_dataset(path, decode_times=False, decode_coords=False)


def prepared(data: xr.Dataset, folder: Path, encoding=None, **options) -> xr.Dataset:
    name = f"{len(list(folder.iterdir()))}"
    return prepare([save(data, folder / f"{name}.nc", encoding)], folder / f"{name}.zarr", **options).load()


def same_states(a: xr.Dataset, b: xr.Dataset, tolerance: float = 2e-6):
    for name in ("toce", "soce", "ssh"):
        np.testing.assert_allclose(a[name].values, b[name].values, rtol=tolerance, atol=tolerance, equal_nan=True)
    assert OceanGrid.from_dataset(a).digest == OceanGrid.from_dataset(b).digest


@pytest.fixture(scope="module")
def means(tmp_path_factory) -> xr.Dataset:
    out = tmp_path_factory.mktemp("means") / "states.zarr"
    return prepare(
        MEANS, out, mesh=MESH, parameters={"rn_ztau0": 0.2}, setting="dino", split="test", equation_of_state="seos"
    )


def test_nemo_means_become_canonical_states(means):
    grid, fields = OceanGrid.from_dataset(means), Fields.from_dataset(means)
    assert means.sizes == {"sample": 3, "depth": 36, "y": 51, "x": 14}
    assert set(fields.names) == {"toce", "soce", "uoce", "voce", "ssh"} and grid.periodic_x
    assert np.isfinite(fields.stack(means, grid)).all()
    assert float(means.toce.min()) > 2 and float(means.toce.max()) < 28  # °C, no longer multiplied by thickness
    assert float(means.soce.min()) > 35 and float(means.soce.max()) < 37
    assert means.attrs["parameters"] == ["rn_ztau0"] and (parameters_of(means) == 0.2).all()
    assert means.attrs["equation_of_state"] == "seos"
    assert set(means.setting.values) == {"dino"} and set(means.split.values) == {"test"} and means.equilibrium.all()


@pytest.mark.parametrize("told", [None, "seos"])
def test_an_equation_of_state_is_never_guessed(tmp_path, capsys, told):
    save(made_up(), tmp_path / "a.nc")
    said = ["--equation-of-state", told] if told else []
    main(["prepare", str(tmp_path / "a.nc"), "--out", str(tmp_path / "a.zarr"), *said])
    assert open_states(tmp_path / "a.zarr").attrs.get("equation_of_state") == told
    assert capsys.readouterr().err.count("warning: the files tell no equation of state") == (not told)
    main(["evaluate", str(tmp_path / "a.zarr"), "--out", str(tmp_path / "m.json")])
    assert ("unstable_volume" in json.loads((tmp_path / "m.json").read_text())["units"]) == bool(told)


def test_temperature_times_thickness_is_divided_by_the_thickness(means):
    file, wet = raw(MEANS[0]), raw(MESH).tmask.values[0] > 0
    expected = file.votemper.values[:, wet] / file.vovvle3t.values[:, wet]
    np.testing.assert_allclose(means.toce.values[:, wet], expected, rtol=1e-6)


def test_every_variable_is_nan_exactly_on_the_land_of_its_own_point(means):
    mesh = raw(MESH)
    for name, mask in (("toce", "tmask"), ("uoce", "umask"), ("voce", "vmask")):
        assert (np.isnan(means[name].values) == (mesh[mask].values == 0)).all()
    assert (np.isnan(means.ssh.values) == (mesh.tmask.values[:, 0] == 0)).all()


def test_season_is_the_share_of_the_360_day_year(means):
    np.testing.assert_allclose(means.season.values, [15 / 360, 135 / 360, 255 / 360], atol=1e-6)


def test_one_chunk_holds_one_state_in_shards(means):
    array = zarr.open_group(means.encoding["source"], mode="r")["toce"]
    assert array.chunks == (1, 36, 51, 14) and array.shards is not None and array.shards[1:] == array.chunks[1:]


def test_a_nemo_restart_opens_in_netcdf_4_and_3(tmp_path):
    states = prepare(
        [RESTART, NEMO / "DINO_00000960_restart.nc"], tmp_path / "a.zarr", mesh=MESH, variables=["toce", "soce"]
    )
    np.testing.assert_allclose(states.season.values, [60 / 360, 0.0], atol=1e-6)  # 960 steps come before 172800
    wet = raw(MESH).tmask.values[0] > 0
    np.testing.assert_allclose(states.toce.values[1][wet], raw(RESTART).tn.values[0][wet], rtol=1e-6)


def test_a_restart_holds_currents_and_sea_level_under_their_own_names(tmp_path):
    states = prepare([RESTART], tmp_path / "a.zarr", mesh=MESH)
    wet = raw(MESH).umask.values[0] > 0
    np.testing.assert_allclose(states.uoce.values[0][wet], raw(RESTART).un.values[0][wet], rtol=1e-6)
    assert {"voce", "ssh"} <= set(states.data_vars)


def test_xios_names_with_thickness_beside_them_are_plain_fields(tmp_path, means):
    wet = raw(MESH).tmask.values[0] > 0
    file = raw(MEANS[0])
    t = np.where(wet, file.votemper / file.vovvle3t, 1e20).astype("float32")
    s = np.where(wet, file.vosaline / file.vovvle3t, 1e20).astype("float32")
    dims = file.votemper.dims
    xios = xr.Dataset(
        {
            "toce": (dims, t, {"units": "degC"}),
            "soce": (dims, s, {"units": "1e-3"}),
            "e3t": (dims, file.vovvle3t.values),
        },
        coords={"time_counter": file.time_counter, "deptht": file.deptht},
    )
    states = prepare([save(xios, tmp_path / "T.nc")], tmp_path / "a.zarr", mesh=MESH)
    np.testing.assert_allclose(states.toce.values, means.toce.values, rtol=1e-5)
    assert set(Fields.from_dataset(states).names) == {
        "toce",
        "soce",
    }  # no currents, no sea level: that is what there is


SHAPES = {
    "shuffled dimensions": (lambda d: d.transpose("lon", "depth", "time", "lat"), {}),
    "bottom first": (lambda d: d.isel(depth=slice(None, None, -1)), {}),
    "height instead of depth": (
        lambda d: d.assign_coords(depth=("depth", -DEPTH, {"units": "m", "positive": "up"})).isel(
            depth=slice(None, None, -1)
        ),
        {},
    ),
    "north first": (lambda d: d.isel(lat=slice(None, None, -1)), {}),
    "times out of order": (lambda d: d.isel(time=[1, 0]), {}),
    "packed integers": (
        lambda d: d,
        {"thetao": {"dtype": "int16", "scale_factor": 0.001, "add_offset": 15.0, "_FillValue": -32767}},
    ),
    "fill value 1e20": (lambda d: d.fillna(1e20), {"thetao": {"_FillValue": None}}),
    "land as zeros": (lambda d: d.fillna(0.0), {}),
    "kelvin by its units": (lambda d: d.assign(thetao=(d.thetao + 273.15).assign_attrs(units="K")), {}),
    "names by standard_name": (lambda d: d.rename(thetao="v1", so="v2"), {}),
    "a dimension of length one": (lambda d: d.expand_dims(ensemble=1), {}),
    "2-D coordinates": (
        lambda d: (
            d.rename(lat="y", lon="x")
            .drop_vars(["y", "x"])
            .assign(
                nav_lat=(("y", "x"), np.repeat(d.lat.values[:, None], SHAPE[2], 1)),
                nav_lon=(("y", "x"), np.repeat(d.lon.values[None], SHAPE[1], 0)),
            )
        ),
        {},
    ),
}


@pytest.mark.parametrize("case", SHAPES)
def test_the_same_ocean_written_otherwise_gives_the_same_states(case, tmp_path):
    change, encoding = SHAPES[case]
    loose = 1e-3 if encoding.get("thetao", {}).get("dtype") else 2e-6
    same_states(prepared(made_up(), tmp_path), prepared(change(made_up()), tmp_path, encoding), loose)


def test_a_zarr_store_reads_like_netcdf(tmp_path):
    made_up().to_zarr(tmp_path / "in.zarr", zarr_format=3, consolidated=False)
    same_states(prepared(made_up(), tmp_path), prepare([tmp_path / "in.zarr"], tmp_path / "out.zarr").load())


def test_a_file_without_time_is_one_state(tmp_path):
    states = prepared(made_up().isel(time=0, drop=True), tmp_path)
    assert states.sizes["sample"] == 1 and float(states.season[0]) == 0.0


def test_files_of_one_run_join_by_time_whatever_their_order(tmp_path):
    data = made_up(4)
    late, early = save(data.isel(time=[2, 3]), tmp_path / "b.nc"), save(data.isel(time=[0, 1]), tmp_path / "a.nc")
    same_states(prepared(data, tmp_path), prepare([late, early], tmp_path / "c.zarr").load())


def test_a_yaml_map_names_variables_units_dimensions_and_land(tmp_path):
    data = made_up()
    odd = data.fillna(-999.0).rename(thetao="tk", so="saltiness", depth="levels", lat="rows", lon="columns")
    odd = odd.assign(tk=(odd.tk.where(odd.tk == -999.0, odd.tk + 273.15)))
    odd = odd.drop_vars(["rows", "columns"]).assign(
        breite=("rows", data.lat.values), laenge=("columns", data.lon.values)
    )
    for name in ("tk", "saltiness"):
        odd[name].attrs.clear()
    table = {
        "variables": {"tk": {"to": "toce", "offset": -273.15}, "saltiness": "soce"},
        "dimensions": {"levels": "depth", "rows": "y", "columns": "x"},
        "coordinates": {"breite": "nav_lat", "laenge": "nav_lon"},
        "land": -999,
    }
    (tmp_path / "map.yaml").write_text(yaml.safe_dump(table))
    same_states(prepared(data, tmp_path), prepared(odd, tmp_path, mapping=tmp_path / "map.yaml"))


def test_a_variable_the_library_never_heard_of_comes_through_a_map(tmp_path):
    data = made_up()
    data["dic"] = (data.so * 0.06).drop_attrs(deep=False)
    entry = {"to": "dic", "point": "t", "deep": True, "units": "mol m-3", "range": [0, 10]}
    (tmp_path / "map.yaml").write_text(yaml.safe_dump({"variables": {"dic": entry}}))
    states = prepared(data, tmp_path, mapping=tmp_path / "map.yaml")
    assert "dic" in Fields.from_dataset(states).names and states.dic.attrs["units"] == "mol m-3"
    np.testing.assert_allclose(states.dic.values, data.dic.values, rtol=1e-6)


def test_repeated_columns_of_a_cyclic_grid_are_cut_off(tmp_path):
    data = made_up().isel(lon=[1, 2, 3, 4])
    cyclic = data.isel(lon=[3, 0, 1, 2, 3, 0]).assign_coords(lon=("lon", 10.0 * np.arange(6), data.lon.attrs))
    table = tmp_path / "map.yaml"
    table.write_text("periodic_x: true")
    states = prepared(cyclic, tmp_path, mapping=table)
    assert states.sizes["x"] == 4 and states.attrs["periodic_x"] == 1 and states.attrs["x_overlap"] == 1
    np.testing.assert_allclose(states.toce.values, data.thetao.values, rtol=1e-6)


def test_appending_keeps_old_states_and_adds_the_new_setting(tmp_path):
    out, file = tmp_path / "s.zarr", save(made_up(3), tmp_path / "a.nc")
    first = prepare([file], out, setting="a", parameters={"p": 1.0}).load()
    both = prepare([file], out, setting="a longer name", split="test", parameters={"p": 2.0}, append=True)
    assert (
        list(both.setting.values) == ["a"] * 3 + ["a longer name"] * 3 and list(both.p.values) == [1.0] * 3 + [2.0] * 3
    )
    np.testing.assert_array_equal(both.toce.values[:3], first.toce.values)
    np.testing.assert_array_equal(both.toce.values[3:], first.toce.values)
    assert open_states(out, splits=["test"]).sizes["sample"] == 3


def test_a_failed_append_leaves_the_store_as_it_was(tmp_path):
    out = tmp_path / "s.zarr"
    before = prepare([save(made_up(), tmp_path / "a.nc")], out, setting="a").load()
    broken = made_up()
    broken.so[1, 1, 3, 3] = np.nan
    with pytest.raises(UserError):
        prepare([save(broken, tmp_path / "b.nc")], out, setting="b", append=True)
    xr.testing.assert_identical(open_states(out).load(), before)
    assert {p.name for p in tmp_path.iterdir()} == {"a.nc", "b.nc", "s.zarr"}


def test_a_full_disk_is_one_line_and_leaves_no_store(tmp_path, monkeypatch):
    file = save(made_up(), tmp_path / "a.nc")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "resize", full)
    with pytest.raises(UserError, match="No space left on device"):
        prepare([file], tmp_path / "s.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nc"]
