"""The closed loop in miniature: a published model, two starts of a kind, weeks instead of years."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("veros")

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.commands.cli import main
from ldm_ocean.errors import UserError
from ldm_ocean.generative.generator import Generator
from ldm_ocean.metrics.config import load_config
from ldm_ocean.simulate.dino import Dino
from ldm_ocean.spinup.experiment import _keep_apart, _starts, spin_up
from ldm_ocean.spinup.plan import Plan
from ldm_ocean.spinup.run import Record, Run, go_on
from ldm_ocean.spinup.starts import GENERATED, NEAREST, TRUTH, Case, Roads

ROOT = Path(__file__).resolve().parents[2]
MODEL, STATES = ROOT / "pretrained/dino-coarse", ROOT / "data/dino-coarse"
CONFIG = ROOT / "configs/evaluate/dino.yaml"
SHORT = ["--members", "2", "--years", "0.2", "--cold", "0.2", "--control", "0.3", "--workers", "1"]
ASKED = ["spinup", str(MODEL), str(STATES), "--setting", "test-00", *SHORT, "--config", str(CONFIG)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("loop") / "spinup"
    main([*ASKED, "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def result(folder):
    return json.loads((folder / "spinup.json").read_text())


def test_every_road_is_run_from_its_own_restarts(folder, result):
    roads = result["settings"]["test-00"]["roads"]
    assert set(roads) == {"generated", "nearest_setting", "eof_gp", "truth", "rest"}
    for road, own in roads.items():
        assert len(own["starts"]) == (1 if road == "rest" else 2)
        assert not any(s["blown"] for s in own["starts"])
    assert len(list((folder / "runs").glob("*.restart.h5"))) == 8


def test_the_result_tells_drift_shock_distance_and_cost_of_each(result):
    own = result["settings"]["test-00"]
    for road, record in own["roads"].items():
        for start in record["starts"]:
            assert start["shock"] > 0 and start["distance"][0] >= 0 and start["seconds_a_year"] > 0
            assert set(start["annual"]) == set(result["units"])
        assert result["costs"][road]["year"] > 0
    assert own["control"]["range"]["deep_water.toce"][0] > 0
    assert own["roads"]["generated"]["preflight"]["cfl"] < 1


def test_truth_is_nearer_to_its_equilibrium_than_the_ocean_at_rest(result):
    roads = result["settings"]["test-00"]["roads"]
    rest = roads["rest"]["starts"][0]["distance"][0]
    assert all(s["distance"][0] < rest / 2 for road in ("truth", "generated") for s in roads[road]["starts"])


def test_the_page_shows_the_figures(folder):
    page = (folder / "spinup.html").read_text()
    assert page.count("<svg") == 3 and "deep_water.toce" in page and "equivalent years" in page


def test_the_same_command_again_does_nothing_again_and_says_the_same(folder, result):
    before = {p: p.stat().st_mtime_ns for p in (folder / "runs").iterdir()}
    main([*ASKED, "--out", str(folder)])
    assert {p: p.stat().st_mtime_ns for p in (folder / "runs").iterdir()} == before
    assert json.loads((folder / "spinup.json").read_text()) == result


def test_another_plan_in_the_same_folder_is_refused(folder):
    with pytest.raises(SystemExit) as stopped:
        main([*ASKED, "--out", str(folder), "--seed", "1"])
    assert stopped.value.code == 2


def test_parameters_that_nobody_simulated_run_without_a_truth(tmp_path):
    asked = ["rn_ztau0=0.2", "rn_tstar_n=5", "rn_avt0=3e-5", "--fix", "--out", str(tmp_path / "asked")]
    main(["spinup", str(MODEL), str(STATES), *asked, *SHORT, "--members", "1", "--config", str(CONFIG)])
    own = json.loads((tmp_path / "asked" / "spinup.json").read_text())["settings"]["asked"]
    assert set(own["roads"]) == {"fixed", "nearest_setting", "eof_gp", "rest"} and "control" not in own
    assert not any("equivalent_years" in road or "nearer_than_cold_ever" in road for road in own["roads"].values())
    assert own["roads"]["fixed"]["preflight"]["inverted"] == 0


def test_states_that_do_not_tell_what_the_basin_needs_are_refused_before_the_work(tmp_path):
    model = OceanLDM.from_pretrained(MODEL, "cpu")
    case = Case("wind alone", {"rn_ztau0": 0.2}, 0.0)
    with pytest.raises(UserError, match="wind alone does not tell rn_tstar_n, rn_avt0"):
        spin_up(model, open_states(STATES, ["train"]), [case], Plan(1), tmp_path / "loop", 1)
    assert not (tmp_path / "loop").exists()


def test_every_setting_draws_members_of_its_own(tmp_path):
    """With one noise for all, an unlucky member would be met in every setting and count as many."""
    store, model = open_states(STATES, ["train", "test"]), OceanLDM.from_pretrained(MODEL, "cpu")
    test = Case.of_setting(store, "test-00", 1)
    drawn = [_starts(case, Roads(model, store), Plan(1, roads=(GENERATED,)), tmp_path)[GENERATED]["path"]
             for case in (test, replace(test, name="the same parameters"))]  # fmt: skip
    one, other = (xr.open_dataset(path).toce.values for path in drawn)
    assert np.nanmax(np.abs(one - other)) > 0.1


@pytest.fixture(scope="module")
def regions():
    return load_config(CONFIG).regions


def test_a_run_in_two_parts_is_the_run_in_one(folder, tmp_path, regions, monkeypatch):
    run = Run("whole", Dino().parameters(), 0, 0, 3)
    go_on(run, tmp_path, regions)
    monkeypatch.setattr("ldm_ocean.spinup.run.CHUNK", 1)
    parts = Run("parts", Dino().parameters(), 0, 0, 3)
    assert [go_on(parts, tmp_path, regions)[1:] for _ in range(3)] == [(1, False), (1, False), (1, True)]
    whole, parts = (Record.load(tmp_path / f"{name}.npz") for name in ("whole", "parts"))
    assert whole.scalars == parts.scalars and np.array_equal(whole.years, parts.years)
    assert whole.energy == parts.energy


def test_a_run_that_blows_up_is_recorded_as_such_and_ends(tmp_path, regions):
    store = open_states(STATES, ["test"])
    start = Case.of_setting(store, "test-00", 1).truth.load()
    start["voce"] = (start.voce + 500.0 * start.vmask).assign_attrs(start.voce.attrs)
    start.drop_attrs(deep=False).to_netcdf(tmp_path / "wild.nc", engine="h5netcdf")
    run = Run("wild", Dino().parameters(), 0, 0, 12, tmp_path / "wild.nc")
    _, _, over = go_on(run, tmp_path, regions)
    record = Record.load(tmp_path / "wild.npz")
    assert over and record.blown and record.months < 12


def test_a_killed_loop_goes_on_and_ends_as_if_nothing_had_been(tmp_path, folder, result):
    """Killed in the middle of the runs: what was finished is kept, no half-written file is taken for a whole one."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "ldm_ocean.commands.cli", *ASKED, "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)

    def finished() -> dict[str, int]:
        return {p.name: p.stat().st_mtime_ns for p in out.glob("runs/*.npz") if ".tmp" not in p.name}

    while not finished() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = finished()
    assert done and not (out / "spinup.json").exists()
    main([*ASKED, "--out", str(out)])
    again = json.loads((out / "spinup.json").read_text())
    assert {n: (out / "runs" / n).stat().st_mtime_ns for n in done} == done
    for road, own in again["settings"]["test-00"]["roads"].items():
        theirs = result["settings"]["test-00"]["roads"][road]
        assert [s["annual"] for s in own["starts"]] == [s["annual"] for s in theirs["starts"]]


# --- before anything runs


@pytest.mark.parametrize(
    "wrong",
    [
        ["--setting", "test-99"],
        ["--setting", "test-00", "rn_ztau0=0.2"],
        [],
        ["--setting", "test-00", "--members", "0"],
        ["--setting", "test-00", "--years", "-1"],
        ["rn_ztau0=0.2"],
        ["rn_ztau0=0.2", "--season", "2"],
    ],
)
def test_bad_requests_end_with_exit_code_2_and_leave_nothing(tmp_path, wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["spinup", str(MODEL), str(STATES), *wrong, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out/starts/*"))


def test_truth_begins_in_the_season_of_its_last_state_and_around_it():
    store = open_states(STATES, ["test"])
    case = Case.of_setting(store, "test-00", 4)
    away = np.abs((case.truth.season.values - case.season + 0.5) % 1 - 0.5)
    assert away[0] == 0 and (away < 1 / 8).all() and case.truth.sizes["sample"] == 4
    assert set(case.truth.setting.values) == {"test-00"} and case.truth.equilibrium.values.all()


def test_roads_give_bare_states_on_the_models_grid():
    from ldm_ocean.spinup.starts import Roads

    model, store = OceanLDM.from_pretrained(MODEL, "cpu"), open_states(STATES, ["train", "test"])
    case, roads = Case.of_setting(store, "test-01", 2), Roads(model, store)
    for road in (GENERATED, NEAREST, TRUTH):
        states, seconds = roads.states(road, case, 2, 0)
        assert states.sizes["sample"] == 2 and states.season.dims == ("sample",) and seconds > 0
        assert set(states.data_vars) >= {"toce", "tmask"} and list(states.coords) == ["season"]


def test_states_on_another_grid_are_refused(states):
    from ldm_ocean.spinup.starts import Roads

    with pytest.raises(UserError, match="grid"):
        Roads(OceanLDM.from_pretrained(MODEL, "cpu"), states)


@pytest.fixture(scope="module")
def roads():
    return Roads(OceanLDM.from_pretrained(MODEL, "cpu"), open_states(STATES, ["train"]))


CASE = Case("a", {"rn_ztau0": 0.2}, 0.0)


def test_a_longer_run_is_no_other_experiment(tmp_path, roads):
    _keep_apart(roads, [CASE], Plan(years=1), tmp_path)
    _keep_apart(roads, [CASE], Plan(years=2), tmp_path)


@pytest.mark.parametrize("other", ["parameters", "generator", "training state"])
def test_a_folder_keeps_one_experiment(tmp_path, roads, other):
    """Another generator on the same codec and another store give other starts under the same names."""
    _keep_apart(roads, [CASE], Plan(), tmp_path)
    case, model, store = CASE, roads.model, roads.store
    if other == "parameters":
        case = Case("a", {"rn_ztau0": 0.3}, 0.0)
    elif other == "generator":
        own = model.generator
        model = OceanLDM(model.codec, Generator(own.denoiser, own.scaler, own.about | {"sha256": "another"}))
    else:
        store = store.assign(toce=store.toce.copy(deep=True))
        store.toce.values[int(store.equilibrium.values.argmax())] += 1e-3
    with pytest.raises(UserError, match="plan"):
        _keep_apart(Roads(model, store), [case], Plan(), tmp_path)
