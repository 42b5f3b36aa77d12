"""``ldm-ocean restart`` for NEMO: which files it writes and says, which it never touches."""

import re
import shutil

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
    cli.main([*WRITE, "run/X_restart.nc", "--member", "2", "--rdt", "2700", "--overwrite"])
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
