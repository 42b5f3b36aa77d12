"""``ldm-ocean restart`` for NEMO: which files it writes and says, which it never touches."""

import re
import shutil

import f90nml
import netCDF4
import numpy as np
import pytest
import xarray as xr

from ldm_ocean.commands import cli
from ldm_ocean.io.nemo import read_grid, write_restart
from ldm_ocean.io.states import write_states

from ..conftest import small_mesh, small_states
from ..nemo_files import MESH, RESTART, same, save_mesh, states_of

WRITE = ["restart", "samples.zarr", "--mesh", "mesh_mask.nc", "--out"]


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
    assert sorted(p.name for p in (folder / "run").glob("*.nc")) == [f"X_m00{m}_restart.nc" for m in range(3)]
    assert "cn_ocerst_in = 'X_m001_restart'" in capsys.readouterr().out


def test_the_namelist_group_that_starts_the_run_is_printed_and_lies_beside_each_restart(folder, capsys):
    cli.main([*WRITE, "run/X_restart.nc", "--rdt", "2700"])
    printed = f90nml.reads(capsys.readouterr().out)["namrun"]
    assert len(printed) == 3
    for member, shown in enumerate(printed):
        (group,) = f90nml.read(folder / f"run/X_m00{member}_restart.namelist").todict().values()
        assert group == shown.todict() == {
            "ln_rstart": True,
            "cn_ocerst_in": f"X_m00{member}_restart",
            "cn_ocerst_indir": str(folder / "run"),
            "ln_1st_euler": True,
            "nn_rstctl": 2,
            "nn_it000": 2881,
            "nn_date0": 10401,  # the day after the 90th
        }  # fmt: skip


def test_no_namelist_of_ones_own_is_written_over(folder, capsys):
    own = folder / "run/X_m002_restart.namelist"
    own.write_text("&namrun\n/\n")
    with pytest.raises(SystemExit) as stop:
        cli.main([*WRITE, "run/X_restart.nc", "--overwrite"])
    assert stop.value.code == 2 and "X_m002_restart.namelist is there already" in capsys.readouterr().err
    assert list((folder / "run").iterdir()) == [own] and own.read_text() == "&namrun\n/\n"


RUN = """&namrun
 nn_it000 = 1
/
&namdom
 rn_Dt = 2700.
/
&namusr_def
 Wind = {wind}
 rn_Uv = {rn_uv}
/
"""


def start_beside(folder, wind: float, rn_uv: float, capsys) -> tuple[int, str]:
    """Exit code and output of one restart whose run has a namelist_cfg."""
    (folder / "run/namelist_cfg").write_text(RUN.format(wind=wind, rn_uv=rn_uv))
    code = 0
    try:
        cli.main([*WRITE, "run/X_restart.nc", "--member", "0"])
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().out


@pytest.fixture
def known(folder):
    """The same folder; the samples tell of the namelist that the prepared runs share."""
    attrs = {"parameters": ["wind", "mixing"], "namelist": '{"namusr_def": {"rn_uv": 1.5}, "namrun": {"nn_it000": 7}}'}
    states = xr.open_zarr(folder / "samples.zarr", consolidated=False).load().assign_attrs(attrs)
    shutil.rmtree(folder / "samples.zarr")
    write_states(states, folder / "samples.zarr")
    return folder


def test_the_run_s_own_namelist_tells_the_time_step(folder, capsys):
    assert "nn_it000 = 2881" in start_beside(folder, 0.2, 1.5, capsys)[1]


def test_a_run_with_another_parameter_than_the_state_s_is_spoilt(known, capsys):
    code, out = start_beside(known, 0.3, 1.5, capsys)
    assert code == 1 and "spoils: wind is 0.3 in " in out and "the state is of 0.2" in out


def test_values_that_differ_from_the_prepared_runs_are_named_those_that_steer_are_not(known, capsys):
    code, out = start_beside(known, 0.2, 0.27, capsys)
    assert code == 0 and "rn_uv (&namusr_def) is 0.27, not 1.5" in out and "nn_it000 (" not in out
    again = cli.main([*WRITE, "run/Y_restart.nc", "--member", "0", "--namelist", "run/namelist_cfg"])
    assert again is None and "rn_uv (&namusr_def) is 0.27, not 1.5" in capsys.readouterr().out
    assert "prepared runs" not in start_beside(known, 0.2, 1.5, capsys)[1]


def test_one_member_gets_the_name_asked_for(folder, capsys):
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2"])
    state = states_of(folder / "run/X_restart.nc", mesh=folder / "mesh_mask.nc")
    same(state, members().isel(sample=[2]))
    out = capsys.readouterr().out
    assert "nn_it000 = 90 * 86400 / rn_Dt + 1" in out and "nn_rstctl = 0" in out and "nn_date0 = 10401" in out


def test_the_first_step_asked_for_is_the_one_that_a_time_step_would_have_given(folder, capsys):
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2"])
    factor, unit = re.search(r"nn_it000 = (\d+) \* (\d+) / rn_Dt \+ 1", capsys.readouterr().out).groups()
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2", "--rdt", "2700", "--overwrite"])
    assert f"nn_it000 = {int(factor) * int(unit) // 2700 + 1}\n" in capsys.readouterr().out


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
