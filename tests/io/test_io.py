"""The readers beneath prepare: names, times, Veros' peculiarities, the mesh, the store."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.errors import UserError
from ldm_ocean.io import mesh, store, veros
from ldm_ocean.io.names import Names
from ldm_ocean.io.prepare import prepare
from ldm_ocean.io.source import Source
from ldm_ocean.io.states import open_states
from ldm_ocean.io.times import read_times
from ldm_ocean.ocean.grid import OceanGrid

NAMES = Names.load()
NEMO = Path(__file__).parents[1] / "fixtures" / "nemo_dino_4deg"
NX, NY, NZ = 6, 5, 3
SETTINGS = {"enable_cyclic_x": True, "enable_streamfunction": False, "grav": 9.81, "eq_of_state_type": 3}


def calendar_time(values, units, calendar) -> xr.Dataset:
    return xr.Dataset(coords={"time": ("time", np.asarray(values), {"units": units, "calendar": calendar})})


@settings(deadline=None)
@given(st.integers(0, 400), st.floats(0, 359.99))
def test_season_in_a_360_day_year_is_the_day_over_360(year, day):
    for calendar in ("360_day", "360d"):
        data = calendar_time([360.0 * year + day], "days since 0001-01-01", calendar)
        season = read_times(data, "time", NAMES.calendars).season
        assert abs(season[0] - day / 360) < 1e-5 and 0 <= season[0] < 1


@pytest.mark.parametrize(
    ("calendar", "date", "season"),
    [
        ("standard", "2001-07-02 12:00", 182.5 / 365),
        ("standard", "2000-12-31", 365 / 366),
        ("noleap", "2000-12-31", 364 / 365),
    ],
)
def test_season_follows_the_calendar(calendar, date, season):
    times = read_times(calendar_time([0.0], f"days since {date}", calendar), "time", NAMES.calendars)
    assert times.season[0] == pytest.approx(season)


def test_days_without_a_calendar_belong_to_a_360_day_year_and_plain_numbers_tell_no_season():
    days = xr.Dataset(coords={"Time": ("Time", [90.0, 540.0], {"units": "days"})})
    np.testing.assert_allclose(read_times(days, "Time", NAMES.calendars).season, [0.25, 0.5])
    steps = xr.Dataset(coords={"time_counter": ("time_counter", [960.0, 2000.0])})
    times = read_times(steps, "time_counter", NAMES.calendars)
    assert np.isnan(times.season).all() and list(times.days) == [960.0, 2000.0]


def test_every_spelling_of_a_name_belongs_to_one_variable():
    spellings = [name for variable in NAMES.variables.values() for name in variable.names]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize(
    ("name", "units", "value", "canonical"),
    [
        ("toce", "K", 300.15, 27.0),
        ("toce", "deg C", 27.0, 27.0),
        ("soce", "kg/kg", 0.035, 35.0),
        ("uoce", "cm/s", 30.0, 0.3),
        ("ssh", None, 0.5, 0.5),
    ],
)
def test_units_convert_to_canonical_ones(name, units, value, canonical):
    scale, offset = NAMES.conversion(name, "raw", units, "file")
    assert value * scale + offset == pytest.approx(canonical)


def test_thickness_divides_only_where_the_field_was_multiplied():
    dims, one = ("deptht", "y", "x"), np.ones((2, 3, 4))
    data = xr.Dataset({"votemper": (dims, 100 * one), "vovvle3t": (dims, 10 * one)})
    assert Source(Path("a"), data, NAMES).read("toce", 0).values.max() == 10
    xios = data.assign_attrs(timeStamp="2023-Mar-28 10:42:16 GMT")
    assert Source(Path("a"), xios, NAMES).read("toce", 0).values.max() == 100


def veros_output(time=(90.0, 180.0)) -> xr.Dataset:
    """As Veros writes its averages: levels from the bottom, fill value on land, settings in an attribute."""
    z, y, x = np.meshgrid(np.arange(NZ), np.arange(NY), np.arange(NX), indexing="ij")
    wet = (y > 0) & (y < NY - 1) & ~((z == 0) & (x < 2))
    east, north = wet & np.roll(wet, -1, 2), wet & np.roll(wet, -1, 1)
    full = {
        "temp": (("Time", "zt", "yt", "xt"), np.where(wet, 4.0 + 5 * z + 0.1 * x, np.nan)),
        "salt": (("Time", "zt", "yt", "xt"), np.where(wet, 35.0 + 0.1 * y, np.nan)),
        "u": (("Time", "zt", "yt", "xu"), np.where(east, 0.1 + 0.01 * x, np.nan)),
        "v": (("Time", "zt", "yu", "xt"), np.where(north, 0.02, np.nan)),
        "psi": (("Time", "yt", "xt"), np.where(wet[-1], 0.981 * y[-1], np.nan)),
    }
    data = {k: (d, np.repeat(v[None], len(time), 0)) for k, (d, v) in full.items()}
    up = {"units": "m", "positive": "up"}
    coords = {
        "Time": ("Time", list(time), {"units": "days"}),
        "zt": ("zt", [-250.0, -100.0, -25.0], up),
        "zw": ("zw", [-150.0, -50.0, 0.0], up),
        "yt": ("yt", 4.0 * np.arange(NY), {"units": "degrees_north"}),
        "yu": ("yu", 4.0 * np.arange(NY) + 2, {"units": "degrees_north"}),
        "xt": ("xt", 4.0 * np.arange(NX), {"units": "degrees_east"}),
        "xu": ("xu", 4.0 * np.arange(NX) + 2, {"units": "degrees_east"}),
    }
    return xr.Dataset(data, coords=coords, attrs={"setup_settings": json.dumps(SETTINGS)})


def veros_restart(path: Path, output: xr.Dataset):
    """The first state of ``output`` as a restart: (x, y, z, time level), two ghost cells, the middle level is now."""
    with h5py.File(path, "w") as f:
        core = f.create_group("core")
        core["tau"], core["time"] = 1, 90 * 86400.0
        for name in ("temp", "salt", "u", "v", "psi"):
            field = np.nan_to_num(output[name].values[0]).T
            padded = np.pad(field, [(2, 2), (2, 2)] + [(0, 0)] * (field.ndim - 2), constant_values=77.0)
            core[name] = np.stack([padded + 1, padded, padded - 1], -1)


def test_veros_output_comes_surface_first_with_its_own_masks_and_sea_level(tmp_path):
    output = veros_output()
    output.to_netcdf(tmp_path / "acc.averages.nc")
    states = prepare([tmp_path / "acc.averages.nc"], tmp_path / "a.zarr")
    assert states.attrs["periodic_x"] == 1 and states.attrs["equation_of_state"] == "vallis"
    np.testing.assert_allclose(states.gdept.values, [25, 100, 250])
    np.testing.assert_allclose(states.e3t.values[:, 2, 2], [50, 100, 200])
    np.testing.assert_allclose(states.toce.values, output.temp.values[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(states.ssh.values[0, 2], 0.2, rtol=1e-6)  # p/ρ0 over g
    np.testing.assert_allclose(states.season.values, [0.25, 0.5])
    assert (states.umask.values == np.isfinite(output.u.values[0, ::-1])).all()


def test_a_veros_restart_gives_the_state_its_output_gives(tmp_path):
    output = veros_output(time=(90.0,))
    output.to_netcdf(tmp_path / "snapshot.nc")
    veros_restart(tmp_path / "restart.h5", output)
    a = prepare([tmp_path / "snapshot.nc"], tmp_path / "a.zarr")
    b = prepare([tmp_path / "restart.h5"], tmp_path / "b.zarr", mesh=tmp_path / "snapshot.nc")
    for name in ("toce", "soce", "uoce", "voce", "ssh", "season"):
        np.testing.assert_allclose(b[name].values, a[name].values, rtol=1e-6)
    assert OceanGrid.from_dataset(a).digest == OceanGrid.from_dataset(b).digest


def test_a_streamfunction_is_not_taken_for_sea_level():
    output = veros_output()
    assert "ssh" in veros.with_sea_level(output, SETTINGS)
    assert "ssh" not in veros.with_sea_level(output, SETTINGS | {"enable_streamfunction": True})
    assert "ssh" not in veros.with_sea_level(output, {})


def test_a_veros_restart_without_its_grid_is_refused(tmp_path):
    veros_restart(tmp_path / "restart.h5", veros_output())
    with pytest.raises(UserError, match="give --mesh"):
        prepare([tmp_path / "restart.h5"], tmp_path / "b.zarr")


def mesh_mask() -> xr.Dataset:
    return xr.load_dataset(NEMO / "mesh_mask.nc", decode_times=False, decode_coords=False)


def test_the_mesh_keeps_nemos_masks_metrics_and_reentrant_channel():
    raw = mesh_mask()
    out = mesh.read_mesh(Source(Path("mesh"), raw, NAMES))
    grid = OceanGrid.from_dataset(out)
    assert grid.shape == (36, 51, 14) and grid.periodic_x
    assert (grid["tmask"] == (raw.tmask.values[0] > 0)).all()
    expected = (raw.e1t * raw.e2t * raw.e3t_0 * raw.tmask).values.sum()
    assert grid.volume().sum() == pytest.approx(expected)


def test_a_mesh_closed_at_its_last_face_is_not_periodic():
    raw = mesh_mask()
    raw.umask[..., -1] = 0
    assert mesh.read_mesh(Source(Path("mesh"), raw, NAMES)).attrs["periodic_x"] == 0


def test_depths_are_one_a_level_unless_the_levels_slope():
    raw = mesh_mask()
    flat = mesh.read_mesh(Source(Path("mesh"), raw, NAMES))
    np.testing.assert_allclose(flat.gdept.values, raw.gdept_0.values[0, :, 25, 7])  # not the reference, gdept_1d
    raw["gdept_0"] = raw.gdept_0 * (1 + 0.01 * xr.DataArray(np.arange(14.0), dims="x"))
    sloping = mesh.read_mesh(Source(Path("mesh"), raw, NAMES))
    np.testing.assert_allclose(sloping.gdept.values, raw.gdept_0.values[0])


def test_velocity_masks_thickness_and_metrics_are_completed_as_nemo_does():
    raw = mesh_mask()
    whole = mesh.read_mesh(Source(Path("mesh"), raw, NAMES))
    bare = raw.drop_vars(["umask", "vmask", "e3u_0", "e3v_0", "e1u"]).assign_attrs(Iperio="1")
    made = mesh.read_mesh(Source(Path("mesh"), bare, NAMES))
    for name in ("umask", "vmask"):
        assert (made[name].values == whole[name].values).all()
    np.testing.assert_allclose(made.e3u.values, whole.e3u.values)
    np.testing.assert_allclose(made.e1u.values, whole.e1u.values)
    assert made.attrs["periodic_x"] == 1


def test_derived_cells_cover_the_sphere_they_lie_on(tmp_path):
    lat, lon = np.arange(-79.0, 80.0, 2.0), np.arange(1.0, 360.0, 2.0)
    t = np.ones((2, len(lat), len(lon)))
    data = xr.Dataset(
        {"so": (("depth", "lat", "lon"), 35 * t)},
        coords={
            "depth": ("depth", [10.0, 30.0], {"units": "m"}),
            "lat": lat,
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )
    source = Source(Path("a"), data, NAMES)
    grid = OceanGrid.from_dataset(mesh.derive_mesh({"soce": source}))
    zone = 4 * np.pi * mesh.RADIUS**2 * np.sin(np.deg2rad(80))
    assert grid.periodic_x and grid.area().sum() == pytest.approx(zone, rel=1e-3)
    np.testing.assert_allclose(grid["e3t"][:, 0, 0], 20.0)


def test_equal_columns_of_a_uniform_sea_do_not_count_as_overlap():
    wet = np.ones((2, 4, 8), bool)
    waves = np.broadcast_to(np.arange(6.0), (2, 4, 6))
    wrapped = np.concatenate([waves[..., -1:], waves, waves[..., :1]], -1)
    assert mesh.overlaps(wrapped, wet)
    assert not mesh.overlaps(np.zeros((2, 4, 8)), wet)
    assert not mesh.overlaps(wrapped + 0.1 * np.arange(8), wet)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 3), (4, 5), (2, 9)])
def test_appending_into_a_partly_filled_shard_loses_and_mixes_nothing(first, second, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_BYTES", 4 * 4 * NZ * NY * NX)  # four states a shard
    days = 30.0 * np.arange(first + second)
    output = veros_output(days)
    output["temp"] = output.temp + 0.01 * xr.DataArray(days, dims="Time")
    output.isel(Time=slice(0, first)).to_netcdf(tmp_path / "a.nc")
    output.isel(Time=slice(first, None)).to_netcdf(tmp_path / "b.nc")
    out = tmp_path / "s.zarr"
    prepare([tmp_path / "a.nc"], out)
    old = open_states(out)  # an open reader keeps reading what it opened, or fails; never half of each
    before = old.toce.values.copy()
    states = prepare([tmp_path / "b.nc"], out, append=True)
    np.testing.assert_allclose(states.toce.values, output.temp.values[:, ::-1], rtol=1e-6)
    np.testing.assert_array_equal(states.toce.values[:first], before)


def test_an_interrupted_append_never_touches_the_shards_of_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_BYTES", 4 * 4 * NZ * NY * NX)
    veros_output(30.0 * np.arange(3)).to_netcdf(tmp_path / "a.nc")
    out = tmp_path / "s.zarr"
    prepare([tmp_path / "a.nc"], out)
    files = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    broken = veros_output(30.0 * np.arange(3, 9))
    broken.salt[5, 1, 2, 3] = np.nan
    broken.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(UserError, match=re.escape("b.nc, step 5")):
        prepare([tmp_path / "b.nc"], out, append=True)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == files
