"""Canonical fields into Veros and back, and restart files that Veros itself would take."""

import h5py
import numpy as np
import pytest

pytest.importorskip("veros")

from ldm_ocean.errors import UserError
from ldm_ocean.io.history import read_history
from ldm_ocean.simulate.dino import Dino
from ldm_ocean.simulate.ocean import DAY as SECONDS
from ldm_ocean.simulate.pool import the_model
from ldm_ocean.spinup.run import Record

PARAMETERS, SEED, DAY = Dino().parameters(rn_ztau0=0.15), 3, 120
FIELDS = ("toce", "soce", "uoce", "voce", "ssh")


@pytest.fixture(scope="module")
def model():
    return the_model(Dino())


@pytest.fixture(scope="module")
def fields(model):
    """What sixty days from rest leave."""
    state, _ = model.advance(model.initial(), PARAMETERS, SEED, 10)
    return model.snapshot(state)


@pytest.fixture(scope="module")
def begun(model, fields):
    from ldm_ocean.simulate import veros_restart

    return veros_restart.begin(model, fields, PARAMETERS, SEED, DAY)


@pytest.fixture(scope="module")
def file(model, begun, tmp_path_factory):
    from ldm_ocean.simulate import veros_restart

    path = tmp_path_factory.mktemp("veros") / "dino.restart.h5"
    veros_restart.write(path, model, begun)
    return path


def test_fields_come_back_from_the_model_state_as_they_went_in(model, fields, begun):
    again = model.snapshot(begun)
    for name in FIELDS:
        assert np.allclose(again[name], fields[name], rtol=1e-12, atol=1e-14, equal_nan=True), name


def test_the_state_begins_on_its_day_of_the_year(begun):
    assert int(begun["step"]) * Dino().step / SECONDS == DAY


def test_what_follows_from_the_fields_is_what_the_model_itself_makes_of_them(model):
    """Of a state of the model: its own density, stability and vertical velocity, not those of an ocean at rest."""
    from ldm_ocean.simulate import veros_restart

    ran, _ = model.advance(model.initial(), PARAMETERS, SEED, 10)
    begun = veros_restart.begin(model, model.snapshot(ran), PARAMETERS, SEED, DAY)
    for name in ("rho", "Hd", "int_drhodT", "Nsqr", "w"):
        own, theirs = np.asarray(ran[name])[2:-2, 2:-2, ..., 1], np.asarray(begun[name])[2:-2, 2:-2, ..., 1]
        assert np.abs(own).max() > 0
        assert np.abs(own - theirs).max() < 1e-8 * np.abs(own).max(), name


def test_the_first_step_is_an_euler_step(model, begun):
    """Old and new tendencies agree, so that the Adams-Bashforth weights sum to one step."""
    trial, _ = model.advance(begun, PARAMETERS, SEED, 1)
    for name in ("du", "dv", "dtemp", "dsalt"):
        before, now = np.asarray(begun[name])[..., 0], np.asarray(trial[name])[..., 1]
        assert np.abs(now).max() > 0
        assert np.allclose(before, now, rtol=1e-9, atol=1e-12 * np.abs(now).max()), name


def test_a_run_from_the_file_is_the_run_that_was_never_interrupted(model, begun, file):
    from ldm_ocean.simulate import veros_restart

    straight, _ = model.advance(begun, PARAMETERS, SEED, 5)
    resumed, _ = model.advance(veros_restart.read(file, model), PARAMETERS, SEED, 5)
    for name, values in straight.items():
        assert np.array_equal(np.asarray(values), np.asarray(resumed[name])), name


def test_states_from_anywhere_have_the_types_that_one_compilation_serves(model, tmp_path, monkeypatch):
    """Weakly typed numbers count as another type: the model would be compiled again, at the cost of the first run."""
    import jax

    from ldm_ocean.simulate import veros_restart

    def types(state: dict) -> dict:
        return {k: (v.shape, v.dtype, v.weak_type) for k, v in jax.eval_shape(dict, state).items()}

    monkeypatch.setattr(model, "advance", lambda state, *_: (state, None))  # the trial run, which would compile
    begun = veros_restart.begin(model, model.snapshot(model.initial()), PARAMETERS, SEED, DAY)
    veros_restart.write(tmp_path / "a.restart.h5", model, begun)
    Record(begun).save(tmp_path / "a.npz")
    loaded = Record.load(tmp_path / "a.npz").state
    expected = types(model.initial())
    for state in (begun, veros_restart.read(tmp_path / "a.restart.h5", model), loaded):
        assert types(state) == expected


def test_veros_itself_takes_the_file(file, begun, tmp_path, monkeypatch):
    """Its own reader, in a new setup, with every check that it makes."""
    from ldm_ocean.simulate.setup import IdealisedSetup

    monkeypatch.chdir(tmp_path)
    setup = IdealisedSetup(Dino(), {"restart_input_filename": str(file)})
    setup.setup()
    for name in ("temp", "salt", "u", "v", "psi", "tke", "dtemp"):
        assert np.array_equal(np.asarray(getattr(setup.state.variables, name)), np.asarray(begun[name])), name
    assert int(setup.state.variables.tau) == 1
    assert float(setup.state.variables.time) == DAY * 86400


def test_a_file_that_stopped_at_another_time_level_is_turned(model, file, begun, tmp_path):
    from ldm_ocean.simulate import veros_restart

    turned = tmp_path / "turned.restart.h5"
    turned.write_bytes(file.read_bytes())
    with h5py.File(turned, "r+") as f:
        core = f["core"]
        for data in core.values():
            if data.ndim and data.shape[-1] == 3:
                data[...] = np.roll(data[...], 1, -1)
        for name in ("taum1", "tau", "taup1"):
            core[name][...] = (int(core[name][()]) + 1) % 3
    again = veros_restart.read(turned, model)
    assert np.array_equal(np.asarray(again["temp"]), np.asarray(begun["temp"]))


def test_the_reader_of_states_finds_the_fields_in_the_file(model, fields, file, tmp_path):
    mesh = model.mesh().assign_attrs(setup_settings="{}")
    path = tmp_path / "mesh_mask.nc"
    mesh.to_netcdf(path)
    states = read_history([file], path, variables=["toce", "soce", "uoce", "voce"]).load("dino")
    for name in ("toce", "soce", "uoce", "voce"):
        assert np.array_equal(states[name].values[0], fields[name].astype("float32"), equal_nan=True), name


@pytest.mark.parametrize("harm", ["truncated", "lacking", "missing"])
def test_a_broken_restart_is_named(model, file, tmp_path, harm):
    from ldm_ocean.simulate import veros_restart

    broken = tmp_path / "broken.restart.h5"
    if harm == "truncated":
        broken.write_bytes(file.read_bytes()[:3000])
    elif harm == "lacking":
        broken.write_bytes(file.read_bytes())
        with h5py.File(broken, "r+") as f:
            del f["core"]["tke"]
    with pytest.raises(UserError, match="tke" if harm == "lacking" else "broken.restart.h5"):
        veros_restart.read(broken, model)


def test_halo_and_levels_are_undone_by_the_way_back():
    from ldm_ocean.simulate.model import to_canonical
    from ldm_ocean.simulate.veros_restart import with_halo

    field = np.arange(np.prod(Dino().shape), dtype=float).reshape(Dino().shape)
    assert np.array_equal(to_canonical(with_halo(field)), field)
    assert with_halo(field[0]).shape == (Dino().shape[2] + 4, Dino().shape[1] + 4)
