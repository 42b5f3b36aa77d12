"""States on another mesh: nothing changes on their own, linear stays linear in the open water, land never counts."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.commands import cli
from ldm_ocean.errors import UserError
from ldm_ocean.io.nemo import difference, read_grid
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.ocean.regrid import over_land, regrid
from ldm_ocean.physics.eos import seos
from ldm_ocean.physics.stratification import unstable_volume

from ..conftest import small_mesh, small_states
from ..nemo_files import FIELDS, MESH, RESTART, raw, save_mesh, states_of, with_overlap


def wet_mesh(lat, lon, depth) -> xr.Dataset:
    """An ocean without land."""
    shape = (len(depth), len(lat), len(lon))
    plane = (("y", "x"), np.full(shape[1:], 1e5))
    data = {f"{p}mask": (("depth", "y", "x"), np.ones(shape, "int8")) for p in "tuv"}
    data |= {f"{e}{p}": plane for e in ("e1", "e2") for p in "tuv"}
    data |= {f"e3{p}": (("depth", "y", "x"), np.full(shape, 10.0)) for p in "tuv"}
    data["nav_lat"] = (("y", "x"), np.repeat(np.asarray(lat, "f8")[:, None], shape[2], 1))
    data["nav_lon"] = (("y", "x"), np.repeat(np.asarray(lon, "f8")[None], shape[1], 0))
    data["gdept"] = ("depth", np.asarray(depth, "f8"))
    return xr.Dataset(data, attrs={"periodic_x": 0})


def linear(mesh: xr.Dataset, mask: str) -> np.ndarray:
    """1 + λ/10 + ϕ/5 − z/100 at the points of a uniform mesh."""
    lat, lon = mesh.nav_lat.values, mesh.nav_lon.values
    lon = lon + (mask == "umask") * (lon[0, 1] - lon[0, 0]) / 2
    lat = lat + (mask == "vmask") * (lat[1, 0] - lat[0, 0]) / 2
    return 1 + lon / 10 + lat / 5 - mesh.gdept.values[:, None, None] / 100


def on(mesh: xr.Dataset, mask: str, values) -> xr.Dataset:
    values = np.where(mesh[mask].values, values, np.nan)[None]
    return mesh.assign(field=(("sample", "depth", "y", "x"), values, {"mask": mask}))


def test_on_its_own_mesh_a_state_stays_as_it_is():
    for states, grid in (
        (states_of(RESTART, mesh=MESH), read_grid(MESH)),
        (small_states(), OceanGrid.from_dataset(small_mesh())),
    ):
        again = regrid(states, grid)
        for name in FIELDS:
            np.testing.assert_array_equal(again[name].values, states[name].values)
            assert again[name].dims == states[name].dims and again[name].attrs == states[name].attrs


@settings(max_examples=20, deadline=None)
@given(
    mask=st.sampled_from(["tmask", "umask", "vmask"]),
    n=st.tuples(st.integers(2, 5), st.integers(2, 6), st.integers(2, 6)),
    turn=st.sampled_from([-360, 0, 360]),
)
def test_linear_fields_stay_linear_in_open_water(mask, n, turn):
    own = wet_mesh(np.linspace(-50, 50, 6), np.linspace(0, 100, 11), np.linspace(0, 100, 5))
    depth, lat, lon = (np.linspace(a, b, k) for (a, b), k in zip(((10, 90), (-40, 30), (10, 80)), n, strict=True))
    mesh = wet_mesh(lat, lon, depth)
    expected = linear(mesh, mask)
    mesh["nav_lon"] = mesh.nav_lon + turn
    new = regrid(on(own, mask, linear(own, mask)), OceanGrid.from_dataset(mesh))
    # half a cell of the coarser mesh may lie beyond the last U or V point: there the rim's value goes on
    inside = (slice(None), slice(None), slice(0, -1), slice(0, -1))
    np.testing.assert_allclose(new.field.values[inside], expected[None][inside], atol=1e-12)


def test_a_periodic_ocean_has_no_seam():
    lon = np.arange(0.0, 360.0, 30.0)
    own = wet_mesh([-10, 0, 10], lon, [5, 15]).assign_attrs(periodic_x=1)
    wave = np.broadcast_to(np.cos(np.deg2rad(lon)), own.tmask.shape)
    mesh = wet_mesh([-5, 5], [-15.0, 15.0, 345.0, 375.0], [5, 15])
    new = regrid(on(own, "tmask", wave), OceanGrid.from_dataset(mesh)).field.values
    np.testing.assert_allclose(new, (1 + np.cos(np.deg2rad(30))) / 2, rtol=1e-12)


def test_land_never_counts():
    states, grid = small_states(), OceanGrid.from_dataset(small_mesh((5, 9, 7)).assign_attrs(periodic_x=1))
    mesh = grid.to_dataset()
    wetter = OceanGrid.from_dataset(mesh.assign(tmask=mesh.tmask * 0 + 1))
    plain = regrid(states, wetter)
    for rubbish in (1e30, -7.0, 0.0):
        spoilt = states.assign(toce=states.toce.fillna(rubbish).assign_attrs(states.toce.attrs))
        np.testing.assert_array_equal(regrid(spoilt, wetter).toce.values, plain.toce.values)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.02, 0.9), periodic=st.booleans())
def test_what_is_new_lies_between_the_extremes_of_its_level(seed, share, periodic):
    rng = np.random.default_rng(seed)
    wet = rng.random((4, 6, 5)) < share
    wet[0, 2, 2] = True
    values = np.where(wet, rng.normal(size=wet.shape), 0.0)
    filled = over_land(values, wet, periodic)
    np.testing.assert_array_equal(filled[wet], values[wet])
    for k in range(4):
        source = max(i for i in range(k + 1) if wet[i].any())  # a level without water takes the one above
        water = values[source][wet[source]]
        assert (filled[k] >= water.min() - 1e-12).all() and (filled[k] <= water.max() + 1e-12).all()


def test_a_cell_beside_water_gets_the_mean_of_its_wet_neighbours():
    wet = np.zeros((1, 3, 4), bool)
    wet[0, 1, 0], wet[0, 0, 1], wet[0, 2, 3] = True, True, True
    values = np.where(wet, [[[0, 5, 0, 0], [1, 0, 0, 0], [0, 0, 0, 9]]], 0.0)
    filled = over_land(values, wet, False)[0]
    assert filled[1, 1] == 3.0  # (1 + 5) / 2
    assert filled[0, 0] == 3.0 and filled[2, 2] == 9.0 and filled[2, 0] == 1.0
    assert over_land(values, wet, True)[0, 1, 3] == 5.0  # across the seam: (1 + 9) / 2


def test_currents_are_still_on_land_and_fall_off_towards_it():
    own = wet_mesh([0, 10, 20], [0, 10, 20, 30], [5, 15])
    own["umask"][:, :, 3] = 0
    mesh = wet_mesh([5, 15], [0, 10, 20, 25], [5, 15])
    new = regrid(on(own, "umask", 1.0), OceanGrid.from_dataset(mesh)).field.values[0, 0, 0]
    np.testing.assert_allclose(new, [1.0, 1.0, 1.0, 0.75])  # at 5, 15, 22.5, 27.5; 25 is the last wet one, 35 land


def test_columns_are_stable_after_the_command(tmp_path):
    """Real water on a mesh of half the rows, wetter than its own."""
    mesh = raw(MESH).isel(y=slice(0, None, 2))
    for name in ("tmask", "umask", "vmask"):
        mesh[name][:, :-1, 1:-1, 1:-1] = 1
    mesh.to_netcdf(tmp_path / "mesh_mask.nc")
    cli.main(
        [
            "prepare",
            str(RESTART),
            "--mesh",
            str(MESH),
            "--out",
            str(tmp_path / "states.zarr"),
            "--equation-of-state=seos",
        ]
    )
    arguments = ["restart", str(tmp_path / "states.zarr"), "--mesh", str(tmp_path / "mesh_mask.nc")]
    out = tmp_path / "a_restart.nc"
    with pytest.raises(SystemExit) as stop:
        cli.main([*arguments, "--out", str(out)])
    assert stop.value.code == 2 and not out.exists()
    cli.main([*arguments, "--out", str(out), "--regrid"])
    states, grid = states_of(out, mesh=tmp_path / "mesh_mask.nc"), read_grid(tmp_path / "mesh_mask.nc")
    assert difference(states, grid) is None
    t, s = (np.nan_to_num(states[k].values[0].astype("float64")) for k in ("toce", "soce"))
    steep = unstable_volume(t, s, grid["gdept"][:, None, None], grid.volume(), lambda *x: seos(*x).round(5))
    assert steep == 0  # to single precision


def test_water_far_from_the_states_is_refused():
    states = small_states().isel(sample=[0])
    far = small_mesh()
    far["nav_lat"] = far.nav_lat + 30
    with pytest.raises(UserError, match="of latitude, the states reach from -40° to 40°"):
        regrid(states, OceanGrid.from_dataset(far))
    far = small_mesh()
    far["nav_lon"] = far.nav_lon * 2
    with pytest.raises(UserError, match="of longitude"):
        regrid(states, OceanGrid.from_dataset(far))


def test_states_on_a_curvilinear_grid_are_refused():
    states = small_states().isel(sample=[0])
    bent = states.assign(nav_lat=states.nav_lat + 0.1 * states.nav_lon)
    with pytest.raises(UserError, match="curvilinear"):
        regrid(bent, OceanGrid.from_dataset(small_mesh()))


def test_a_mesh_with_overlap_columns_is_filled_whole(tmp_path):
    grid = read_grid(save_mesh(with_overlap(small_mesh()), tmp_path / "mesh_mask.nc"))
    new = regrid(small_states().isel(sample=[0]), grid)
    assert new.sizes["x"] == 9 and "x_overlap" not in new.attrs
    assert (np.isfinite(new.toce.values[0]) == grid["tmask"]).all()


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_a_constant_ocean_stays_constant_on_a_wetter_mesh(turn):
    """Wherever the new water is: at the coast, under an island, on levels that had none."""
    states, mesh = small_states().isel(sample=[0, 5]), small_mesh()
    constant = {"toce": 7.25, "soce": 35.5, "ssh": -0.125}
    states = states.assign({k: (states[k] * 0 + v).assign_attrs(states[k].attrs) for k, v in constant.items()})
    mesh["nav_lon"], mesh["tmask"] = mesh.nav_lon + turn, mesh.tmask * 0 + 1
    new = regrid(states, OceanGrid.from_dataset(mesh))
    assert int(mesh.tmask.sum()) > int(small_mesh().tmask.sum()) + 50
    for name, value in constant.items():
        np.testing.assert_allclose(new[name].values, value, rtol=1e-6)
        assert new[name].dims == states[name].dims and new[name].sizes["sample"] == 2
