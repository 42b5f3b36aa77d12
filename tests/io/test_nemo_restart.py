"""NEMO restarts: what is written is what is read, land is at rest, nothing of a template's own is touched."""

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ldm_ocean.errors import UserError
from ldm_ocean.io.nemo import calendar, difference, read_grid, write_restart
from ldm_ocean.ocean.grid import OceanGrid

from ..conftest import CF, small_mesh, small_states
from ..nemo_files import FIELDS, MESH, RESTART, WHOLE, raw, same, save_mesh, states_of, upper_mesh, with_overlap

NOW = ("tn", "sn", "un", "vn", "sshn")
DATE = ("kt", "ndastp", "adatrj", "ntime")


@pytest.fixture(scope="module")
def real() -> xr.Dataset:
    return states_of(RESTART, mesh=MESH)


@pytest.fixture(scope="module")
def upper(tmp_path_factory):
    """(mesh file, states) of the whole real restart's uppermost levels."""
    mesh = upper_mesh(tmp_path_factory.mktemp("upper") / "mesh_mask.nc")
    return mesh, states_of(WHOLE, mesh=mesh)


def test_what_is_written_is_read_back_to_the_last_bit(real, tmp_path):
    write_restart(tmp_path / "a_restart.nc", real, read_grid(MESH))
    same(states_of(tmp_path / "a_restart.nc", mesh=MESH), real)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(3, 9), st.integers(4, 7)),
    share=st.floats(0.3, 1.0),
    seed=st.integers(0, 2**32 - 1),
    season=st.integers(0, 359),
)
def test_any_ocean_is_read_back_to_the_last_bit_with_its_season(shape, share, seed, season, tmp_path):
    rng = np.random.default_rng(seed)
    mesh = small_mesh().isel({d: slice(n) for d, n in zip(("depth", "y", "x"), shape, strict=True)})
    for point in "tuv":
        mask = rng.random(shape) < share
        mask[0, 1:3, 1:3] = True
        mesh[f"{point}mask"][...] = mask
    data = {}
    for name, (mask, _, _) in CF.items():
        values = rng.uniform(*((1, 30) if mask == "tmask" and name != "ssh" else (-1, 1)), (1, *shape))
        values = np.where(mesh[mask], values, np.nan).astype("float32")
        dims = ("sample", "depth", "y", "x") if name != "ssh" else ("sample", "y", "x")
        data[name] = (dims, values if name != "ssh" else values[:, 0], {"mask": mask})
    state = mesh.assign(data).assign_coords(season=("sample", [season / 360]))
    file = save_mesh(mesh, tmp_path / "mesh_mask.nc")
    write_restart(tmp_path / "a_restart.nc", state, read_grid(file), rdt=2700)
    back = states_of(tmp_path / "a_restart.nc", mesh=file)
    same(back, state)
    assert float(back.season[0]) == pytest.approx(season / 360, abs=1e-9)


def test_five_fields_are_enough_in_double_precision_in_nemo_s_order(real, tmp_path):
    write_restart(tmp_path / "a_restart.nc", real, read_grid(MESH))
    file = raw(tmp_path / "a_restart.nc")
    assert set(file.variables) == {*NOW, "nav_lev", "nav_lat", "nav_lon", "time_counter"}
    for name in NOW:
        deep = () if name == "sshn" else ("nav_lev",)
        assert file[name].dims == ("time_counter", *deep, "y", "x") and file[name].dtype == "float64"
    assert (file.tn.shape, file.sshn.shape) == ((1, 36, 51, 14), (1, 51, 14))


def test_land_is_exactly_zero_on_each_field_s_own_points(real, tmp_path):
    write_restart(tmp_path / "a_restart.nc", real, read_grid(MESH))
    file, mesh = raw(tmp_path / "a_restart.nc"), raw(MESH)
    for name, mask in zip(NOW, ("tmask", "tmask", "umask", "vmask", "tmask"), strict=True):
        land = (mesh[mask].values if name != "sshn" else mesh[mask].values[:, 0]) == 0
        assert land.any() and (file[name].values[land] == 0).all()
        assert np.isfinite(file[name].values).all() and (file[name].values[~land] != 0).any()


@pytest.mark.parametrize(
    "season, rdt, date",
    [
        (60 / 360, 5400, (960, 10230, 60, 0)),  # NEMO's own after 60 days
        (1 / 360, 2700, (32, 10101, 1, 0)),
        (0.5, 900, (17280, 10630, 180, 0)),
        (0.0, 5400, (5760, 11230, 360, 0)),  # a year done, not the step before the first
        (1.0, 5400, (5760, 11230, 360, 0)),
        (0.9999, 5400, (5760, 11230, 360, 0)),
    ],
)
def test_the_last_step_done_is_the_one_that_belongs_to_the_season(season, rdt, date):
    assert tuple(calendar(season, rdt).values()) == date


@pytest.mark.parametrize("rdt", [0.0, -5400.0, 7000.0, float("nan")])
def test_a_step_that_does_not_divide_the_day_is_refused(rdt):
    with pytest.raises(UserError, match="does not divide the day"):
        calendar(0.5, rdt)


def test_step_and_date_are_written_together_or_not_at_all(real, tmp_path):
    assert write_restart(tmp_path / "a_restart.nc", real, read_grid(MESH)) is None
    assert not set(DATE) & set(raw(tmp_path / "a_restart.nc").variables)
    assert write_restart(tmp_path / "b_restart.nc", real, read_grid(MESH), rdt=5400) == 5760
    assert set(DATE) <= set(raw(tmp_path / "b_restart.nc").variables)


@pytest.mark.parametrize("format", ["NETCDF4", "NETCDF3_64BIT"])
def test_a_template_s_other_variables_are_kept_to_the_last_bit(format, upper, tmp_path):
    mesh, state = upper
    template = tmp_path / "own.nc"
    raw(WHOLE).assign_attrs(note="ours").to_netcdf(
        template, format=format, engine="netcdf4", unlimited_dims=["time_counter"]
    )
    with xr.set_options(keep_attrs=True):
        state = state.assign({k: state[k] + 0.01 for k in FIELDS}).assign_coords(season=("sample", [0.25]))
    write_restart(tmp_path / "a_restart.nc", state, read_grid(mesh), template)
    with netCDF4.Dataset(template) as old, netCDF4.Dataset(tmp_path / "a_restart.nc") as new:
        old.set_auto_maskandscale(False)
        new.set_auto_maskandscale(False)
        assert set(old.variables) - set(new.variables) == {"sshb", "tb", "sb", "ub", "vb"}
        assert set(new.variables) < set(old.variables) and new.data_model == old.data_model
        assert [str(new.getncattr(k)) for k in new.ncattrs()] == [str(old.getncattr(k)) for k in old.ncattrs()]
        changed = {k for k in new.variables if new[k][...].tobytes() != old[k][...].tobytes()}
        assert changed == {*NOW, "kt", "ndastp", "adatrj", "time_counter"}  # and the date, not of year 30
        for name in new.variables:
            assert (new[name].dtype, new[name].dimensions) == (old[name].dtype, old[name].dimensions)
            assert new[name].ncattrs() == old[name].ncattrs()
        for name, dim in old.dimensions.items():
            assert (len(new.dimensions[name]), new.dimensions[name].isunlimited()) == (len(dim), dim.isunlimited())


def test_a_whole_change_survives_a_template(upper, tmp_path):
    mesh, state = upper
    warmer = state.assign(toce=(state.toce + 1).assign_attrs(state.toce.attrs))
    write_restart(tmp_path / "a_restart.nc", warmer, read_grid(mesh), WHOLE)
    same(states_of(tmp_path / "a_restart.nc", mesh=mesh), warmer)
    file = raw(tmp_path / "a_restart.nc")
    assert "sshb" not in file and "tb" not in file  # no step before that could take half of the change back


def test_a_template_s_step_gives_the_date_unless_another_is_asked_for(upper, tmp_path):
    mesh, state = upper
    grid, path = read_grid(mesh), tmp_path / "a_restart.nc"
    spring = state.assign_coords(season=("sample", [0.25]))
    assert write_restart(path, spring, grid, WHOLE) == 90 * 16
    assert float(raw(path).rdt) == 5400
    assert write_restart(path, spring, grid, WHOLE, rdt=2700) == 90 * 32
    assert float(raw(path).rdt) == 2700 and float(raw(path).time_counter[0]) == 90 * 32


def test_overlap_columns_cut_off_in_reading_come_back(tmp_path):
    """Nothing but the mesh tells of them: what is generated knows its grid, not the files it was learnt from."""
    narrow = small_states(settings=4, each=1).isel(sample=[0])
    mesh = save_mesh(with_overlap(small_mesh()), tmp_path / "mesh_mask.nc")
    own = OceanGrid.from_dataset(narrow).to_dataset()
    generated = own.assign({k: narrow[k] for k in FIELDS})
    write_restart(tmp_path / "a_restart.nc", generated, read_grid(mesh))
    tn = raw(tmp_path / "a_restart.nc").tn.values
    assert tn.shape[-1] == narrow.sizes["x"] + 2
    np.testing.assert_array_equal(tn[..., 0], tn[..., -2])
    np.testing.assert_array_equal(tn[..., -1], tn[..., 1])
    back = states_of(tmp_path / "a_restart.nc", mesh=mesh)
    assert back.attrs["x_overlap"] == 1
    same(back, narrow)


def _wider(mesh):
    """Two columns more, which are an ocean of their own."""
    return mesh.isel(x=np.r_[0, 0 : mesh.sizes["x"], -1])


@pytest.mark.parametrize(
    "periodic, widen", [(True, _wider), (False, with_overlap)], ids=["no copies", "an ocean with two ends"]
)
def test_two_columns_more_are_another_grid_unless_they_repeat_a_periodic_ocean(periodic, widen, tmp_path):
    state = small_states(settings=4, each=1).isel(sample=[0]).assign_attrs(periodic_x=int(periodic))
    mesh = save_mesh(widen(small_mesh()), tmp_path / "mesh_mask.nc")
    assert difference(state, read_grid(mesh)) == "the states have 5 × 9 × 7 cells, the mesh 5 × 9 × 9"


def test_levels_without_water_that_the_states_leave_out_come_back(real, tmp_path):
    write_restart(tmp_path / "a_restart.nc", real.isel(depth=slice(0, 35)), read_grid(MESH))
    same(states_of(tmp_path / "a_restart.nc", mesh=MESH), real)


DIFFERENT = {
    "another shape": (lambda s: s.isel(y=slice(1, None)), "36 × 50 × 14 cells, the mesh 36 × 51 × 14"),
    "other levels": (lambda s: s.assign(gdept=s.gdept * 1.1), "levels of the states lie up to"),
    "too few levels": (lambda s: s.isel(depth=slice(0, 30)), "water below the 30 levels"),
    "other latitudes": (lambda s: s.assign(nav_lat=s.nav_lat + 0.1), "lie up to 0.1° from"),
    "another land": (lambda s: s.assign(umask=s.umask * (s.depth_number < 20)), "umask differs: .* wet cells"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_states_of_another_grid_are_refused_with_the_difference(case, real, tmp_path):
    change, words = DIFFERENT[case]
    number = xr.DataArray(np.arange(real.sizes["depth"]), dims="depth")
    state = change(real.assign_coords(depth_number=number))
    with pytest.raises(UserError, match=f"{words}.*--regrid"):
        write_restart(tmp_path / "a_restart.nc", state, read_grid(MESH))
    assert not list(tmp_path.iterdir())


def test_the_same_place_by_another_count_of_longitude_is_no_difference(real):
    assert difference(real.assign(nav_lon=real.nav_lon + 360), read_grid(MESH)) is None


def _put(name, value):
    def change(state):
        state = state.copy(deep=True)
        cell = tuple(np.argwhere(np.isfinite(state[name].values))[0])
        state[name].values[cell] = value
        return state

    return change


IMPLAUSIBLE = {
    "a hole in the water": (_put("toce", np.nan), r"toce is missing \(NaN\) at 1 of"),
    "no salt": (_put("soce", 0.0), "soce is 0 at wet cell"),
    "Kelvin": (lambda s: s.assign(toce=(s.toce + 273.15).assign_attrs(s.toce.attrs)), "Kelvin"),
    "too fast": (_put("uoce", 12.0), "uoce is 12 at wet cell"),
    "no currents": (lambda s: s.drop_vars("uoce"), "no uoce: NEMO starts from"),
    "two states": (lambda s: s.isel(sample=[0, 0]), "one state, not 2"),
}


@pytest.mark.parametrize("case", IMPLAUSIBLE)
def test_what_no_ocean_has_is_refused(case, real, tmp_path):
    change, words = IMPLAUSIBLE[case]
    with pytest.raises(UserError, match=words):
        write_restart(tmp_path / "a_restart.nc", change(real), read_grid(MESH))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["DINO_0000.nc", "DINO_restart_0001.nc", "DINO.nc", "restart.nc", "DINO_restart"])
def test_a_name_that_nemo_misreads_is_refused(name, real, tmp_path):
    with pytest.raises(UserError, match=r"must end in _restart\.nc"):
        write_restart(tmp_path / name, real, read_grid(MESH))


BAD_TEMPLATES = {
    "another grid's": (lambda d: d.isel(x=slice(0, 7)), "the mesh .*join the ranks"),
    "no restart": (lambda d: d.drop_vars("un"), "has no un"),
    "a date without a step": (lambda d: d.drop_vars("rdt"), "give it with --rdt"),
}


@pytest.mark.parametrize("packing", [{"scale_factor": 2.0}, {"add_offset": 273.15}])
def test_a_template_whose_values_nemo_would_scale_is_refused(packing, upper, tmp_path):
    template = raw(WHOLE)
    template["tn"].attrs |= packing
    template.to_netcdf(tmp_path / "own.nc")
    with pytest.raises(UserError, match=r"tn in .*own\.nc is packed.*: unpack the template"):
        write_restart(tmp_path / "a_restart.nc", upper[1], read_grid(upper[0]), tmp_path / "own.nc")


def test_a_date_that_only_the_states_could_tell_is_asked_of_them(upper, tmp_path):
    mesh, state = upper
    with pytest.raises(UserError, match="the states tell no season: give them the coordinate `season`"):
        write_restart(tmp_path / "a_restart.nc", state.drop_vars("season"), read_grid(mesh), WHOLE, rdt=5400)
    raw(WHOLE).drop_vars(DATE).to_netcdf(tmp_path / "own.nc")  # the other way that the message names
    write_restart(tmp_path / "a_restart.nc", state.drop_vars("season"), read_grid(mesh), tmp_path / "own.nc", rdt=5400)


@pytest.mark.parametrize("case", BAD_TEMPLATES)
def test_a_template_that_does_not_fit_is_refused_and_nothing_is_left(case, upper, tmp_path):
    change, words = BAD_TEMPLATES[case]
    change(raw(WHOLE)).to_netcdf(tmp_path / "own.nc")
    with pytest.raises(UserError, match=words):
        write_restart(tmp_path / "a_restart.nc", upper[1], read_grid(upper[0]), tmp_path / "own.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["own.nc"]


@pytest.mark.parametrize("template", [None, WHOLE])
def test_whatever_a_state_holds_on_land_a_restart_has_0_there(template, upper, tmp_path):
    """Currents of 5 m/s, which NEMO would move water with, and temperatures, each on its own points."""
    mesh, state = upper
    grid = read_grid(mesh)
    dirty = state.assign({k: state[k].fillna(5.0).assign_attrs(state[k].attrs) for k in FIELDS})
    write_restart(tmp_path / "clean_restart.nc", state, grid, template)
    write_restart(tmp_path / "dirty_restart.nc", dirty, grid, template)
    clean, found = raw(tmp_path / "clean_restart.nc"), raw(tmp_path / "dirty_restart.nc")
    for name, mask in zip(NOW, ("tmask", "tmask", "umask", "vmask", "tmask"), strict=True):
        land = ~grid[mask] if name != "sshn" else ~grid[mask][0]
        assert land.any() and (found[name].values[0][land] == 0).all()
        np.testing.assert_array_equal(found[name].values, clean[name].values)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", FIELDS)
def test_a_state_with_a_hole_in_any_field_is_not_written(name, value, upper, tmp_path):
    mesh, state = upper
    grid, hole = read_grid(mesh), state[name].copy(deep=True)
    mask = grid[state[name].attrs["mask"]]
    hole.values[(0, *np.argwhere(mask if name != "ssh" else mask[0])[7])] = value
    with pytest.raises(UserError, match=f"{name} is missing"):
        write_restart(tmp_path / "a_restart.nc", state.assign({name: hole}), grid)
    assert not list(tmp_path.glob("*_restart.nc"))
