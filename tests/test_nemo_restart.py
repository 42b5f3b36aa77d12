"""NEMO restarts: what is written is what is read, land is at rest, nothing of a template's own is touched."""

import re
import shutil

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ldm_ocean import cli
from ldm_ocean.errors import UserError
from ldm_ocean.grid import OceanGrid
from ldm_ocean.io.nemo import calendar, difference, read_grid, write_restart
from ldm_ocean.sample import write_states

from .conftest import CF, small_mesh, small_states
from .nemo_files import FIELDS, MESH, RESTART, WHOLE, raw, save_mesh, states_of, upper_mesh, with_overlap

NOW = ("tn", "sn", "un", "vn", "sshn")
WRITE = ["restart", "samples.zarr", "--mesh", "mesh_mask.nc", "--out"]
DATE = ("kt", "ndastp", "adatrj", "ntime")


def same(a: xr.Dataset, b: xr.Dataset):
    for name in FIELDS:
        np.testing.assert_array_equal(a[name].values, b[name].values)


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
    raw(WHOLE).assign_attrs(note="ours").to_netcdf(template, format=format, unlimited_dims=["time_counter"])
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


def members() -> xr.Dataset:
    """Three states, cold below warm."""
    states = small_states(settings=4, each=1).isel(sample=slice(0, 3))
    colder = states.toce - 0.05 * states.gdept.astype("float32") + 20
    return states.assign(toce=colder.transpose(*states.toce.dims).assign_attrs(states.toce.attrs))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three members as `sample` writes them, and their mesh_mask."""
    states = members().drop_vars(["setting", "split", "equilibrium", "wind", "mixing", "season"])
    states = states.rename(sample="member")
    states = states.assign_coords(member=np.arange(3), season=0.25, wind=0.2, mixing=1e-5)
    write_states(states, tmp_path / "samples.zarr")
    save_mesh(small_mesh(), tmp_path / "mesh_mask.nc")
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_member_gets_a_file_with_its_number_before_the_ending(folder, capsys):
    cli.main([*WRITE, "run/X_restart.nc", "--rdt", "2700"])
    assert sorted(p.name for p in (folder / "run").iterdir()) == [f"X_m00{m}_restart.nc" for m in range(3)]
    out = capsys.readouterr().out
    assert "cn_ocerst_in = 'X_m001_restart'" in out and "nn_it000 = 2881, nn_rstctl = 2" in out


def test_one_member_gets_the_name_asked_for(folder, capsys):
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2"])
    state = states_of(folder / "run/X_restart.nc", mesh=folder / "mesh_mask.nc")
    same(state, members().isel(sample=[2]))
    assert "nn_it000 = 90 * 86400 / rn_Dt + 1, nn_rstctl = 0" in capsys.readouterr().out


def test_the_first_step_asked_for_is_the_one_that_a_time_step_would_have_given(folder, capsys):
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2"])
    factor, unit = re.search(r"nn_it000 = (\d+) \* (\d+) / rn_Dt \+ 1", capsys.readouterr().out).groups()
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2", "--rdt", "2700"])
    assert f"nn_it000 = {int(factor) * int(unit) // 2700 + 1}," in capsys.readouterr().out


@pytest.mark.parametrize("role", ["template", "mesh", "states"])
def test_no_file_that_is_read_is_written_over_and_nothing_is_written_before_that_is_known(role, folder, capsys):
    """Member 1 would meet the file; member 0 comes first."""
    states, read = ["samples.zarr"], "X_m001_restart.nc"
    arguments = {"--mesh": "mesh_mask.nc", "--out": "X_restart.nc"}
    if role == "mesh":
        shutil.copy("mesh_mask.nc", read)
        arguments["--mesh"] = read
    else:
        write_restart(folder / read, members().isel(sample=[1]), read_grid(folder / "mesh_mask.nc"))
        shutil.copy(read, "Y_restart.nc")
        if role == "template":
            arguments["--template"] = f"run/../{read}"
        else:
            with netCDF4.Dataset("Y_restart.nc", "a") as other, netCDF4.Dataset(read, "a") as one:
                other["time_counter"][:], one["time_counter"][:] = 0.0, 1.0
            states = ["Y_restart.nc", read]
    before = {p: p.read_bytes() for p in folder.glob("*.nc")}
    with pytest.raises(SystemExit) as stop:
        cli.main(["restart", *states, *(word for pair in arguments.items() for word in pair)])
    assert stop.value.code == 2 and "X_m001_restart.nc is one of the files to read" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in folder.glob("*.nc")} == before


def test_help_spells_models_as_they_are_spelt(capsys):
    with pytest.raises(SystemExit):
        cli.main(["restart", "--help"])
    assert "States → files that NEMO or Veros start from" in " ".join(capsys.readouterr().out.split())


def test_a_model_s_own_files_become_restarts_too(tmp_path):
    out = tmp_path / "a_restart.nc"
    cli.main(["restart", str(RESTART), "--mesh", str(MESH), "--rdt", "5400", "--out", str(out)])
    same(states_of(out, mesh=MESH), states_of(RESTART, mesh=MESH))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("samples.zarr --out run/X_restart.nc --member 3", "no state 3: there are 3"),
        ("samples.zarr --out run/X_0001.nc", "must end in _restart.nc"),
        ("samples.zarr --out nowhere/X_restart.nc", "no folder .*nowhere"),
        ("samples.zarr", "give states and --out"),
        ("--out run/X_restart.nc", "give states and --out"),
        ("samples.zarr --check run/X_restart.nc", "give only --mesh and --rdt"),
        ("samples.zarr --out X_restart.nc --member 0 --template X_restart.nc", "is one of the files to read"),
        ("samples.zarr --out X_restart.nc --template none.nc", "cannot read none.nc"),
        ("samples.zarr --out X_restart.nc --rdt 7000", "does not divide the day"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, words, folder, capsys):
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["restart", *arguments.split(), "--mesh", "mesh_mask.nc"])
    lines = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and len(lines) == 1
    assert re.search(words, lines[0]), lines[0]
    assert sorted(folder.rglob("*")) == before
