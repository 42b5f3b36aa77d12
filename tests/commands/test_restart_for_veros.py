"""`restart` for Veros: samples become files that hold them, one a member; what the basin cannot run is refused."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("veros")

from ldm_ocean import open_states
from ldm_ocean.commands import cli
from ldm_ocean.io.states import write_states
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.simulate.dino import Dino
from ldm_ocean.simulate.pool import the_model

from ..nemo_files import FIELDS

DATA = Path(__file__).parents[2] / "data" / "dino-coarse"


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """Two states of the repository as `sample` writes them."""
    states = open_states(DATA).isel(sample=[0, 400]).load()
    parameters = {k: float(states[k][0]) for k in states.attrs["parameters"]}
    states = states.drop_vars([k for k in states.coords if "sample" in states[k].dims]).rename(sample="member")
    monkeypatch.chdir(tmp_path)
    return states.assign_coords(member=[0, 1], season=0.25, **parameters)


def test_every_member_is_in_its_file_to_the_last_bit_on_its_day(samples, tmp_path):
    write_states(samples, tmp_path / "samples.zarr")
    cli.main(["restart", "samples.zarr", "--out", "dino.restart.h5"])
    from ldm_ocean.simulate import veros_restart

    for member in (0, 1):
        state = veros_restart.read(tmp_path / f"dino_m{member:03d}.restart.h5", the_model(Dino()))
        fields = the_model(Dino()).snapshot(state)
        for name in FIELDS:
            own = samples[name].isel(member=member).values
            assert np.allclose(fields[name], own, rtol=1e-12, atol=1e-14, equal_nan=True), name
        assert int(state["step"]) == 45  # two-day steps to day 90


@pytest.mark.parametrize(
    "change, options, words",
    [
        (lambda s: s.drop_vars("rn_avt0"), [], "do not tell rn_avt0"),
        (lambda s: s.isel(y=slice(1, None)), [], "34 × 13 cells, the mesh .*--regrid"),
        (lambda s: s, ["--rdt", "5400"], "are NEMO's"),
        (lambda s: s, ["--member", "2"], "no state 2: there are 2"),
    ],
)
def test_what_the_basin_cannot_start_from_is_refused_in_one_line(change, options, words, samples, tmp_path, capsys):
    write_states(change(samples), tmp_path / "samples.zarr")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(["restart", "samples.zarr", "--out", "dino.restart.h5", *options])
    lines = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and len(lines) == 1
    assert re.search(words, lines[0]), lines[0]
    assert [p.name for p in tmp_path.iterdir()] == ["samples.zarr"]


@pytest.fixture
def begun(samples, monkeypatch):
    """The fields that the basin would begin with; no model is compiled for it."""
    from ldm_ocean.simulate import pool, veros_restart

    mesh, seen = OceanGrid.from_dataset(samples).to_dataset(), []
    monkeypatch.setattr(pool, "the_model", lambda ocean: SimpleNamespace(mesh=lambda: mesh))
    monkeypatch.setattr(veros_restart, "begin", lambda model, fields, *_: seen.append(fields))
    monkeypatch.setattr(veros_restart, "write", lambda *_: None)
    return seen


def test_whatever_a_state_holds_on_land_the_basin_begins_with_0_there(samples, begun, tmp_path):
    samples = samples.isel(member=[0])
    dirty = samples.assign({k: samples[k].fillna(5.0).assign_attrs(samples[k].attrs) for k in FIELDS})
    for name, states in (("clean", samples), ("dirty", dirty)):
        write_states(states, tmp_path / f"{name}.zarr")
        cli.main(["restart", f"{name}.zarr", "--out", f"{name}.restart.h5"])
    for name in FIELDS:
        np.testing.assert_array_equal(begun[1][name], begun[0][name])
        land = samples[name].isnull().values[0]
        assert land.any() and (begun[1][name][land] == 0).all() and (begun[1][name][~land] != 0).any()


@pytest.mark.parametrize("name", FIELDS)
def test_a_hole_in_any_field_is_refused_and_not_taken_for_0(name, samples, begun, tmp_path, capsys):
    values = samples[name].copy(deep=True)
    values.values[tuple(np.argwhere(np.isfinite(values.values))[40])] = np.nan
    write_states(samples.assign({name: values}), tmp_path / "samples.zarr")
    with pytest.raises(SystemExit) as stop:
        cli.main(["restart", "samples.zarr", "--member", "0", "--out", "dino.restart.h5"])
    assert stop.value.code == 2 and f"{name} is missing" in capsys.readouterr().err and not begun
