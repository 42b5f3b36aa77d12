"""The page about a packed data set: what it must hold, from manifests old and new."""

import json
import re

import numpy as np
import pytest

from benchmarks.oceans.__main__ import main
from ldm_ocean.io.packed import SUFFIX, write_packed

from ..conftest import CF, small_mesh, small_states

EACH = 13
SECTIONS = ["What it is", "What it looks like", "What there is to learn", "How sound it is"]
NEW = {"core_seconds_a_year": 36.0, "temperature_drift_degC_a_year": -0.2, "unstable_volume_percent": 3.0}


def pack(folder, year=360, **more):
    """Three finished settings of the small ocean and one that is not, as ``simulate`` leaves them."""
    folder.mkdir()
    mesh, states = small_mesh(), small_states(settings=3, each=EACH)
    mesh.to_netcdf(folder / "mesh.nc")
    records = []
    for k, split in enumerate(("train", "test", "train")):
        own = states[list(CF)].isel(sample=slice(EACH * k, EACH * (k + 1))).drop_vars(["setting", "split", "season"])
        file = folder / f"s{k}{SUFFIX}"
        write_packed(file, own.assign_coords(day=("sample", 102 * np.arange(EACH))), mesh)
        known = {"bytes": file.stat().st_size, "largest_rounding_error": {"toce": 0.01 * (k + 1)}}
        records.append({"name": f"s{k}", "split": split, "parameters": {}} | known | more.get("record", {}))
    records.append({"name": "s9", "split": "edge", "parameters": {}} | more.get("unfinished", {}))
    manifest = {"model": "made up", "ranges": {"wind": [0.1, 0.3]}, "days_per_year": year, "settings": records}
    (folder / "manifest.json").write_text(json.dumps(manifest | more.get("manifest", {})))
    return folder


@pytest.fixture
def written(tmp_path, capsys):
    """Writes the page of a folder; returns its text and facts."""

    def write(folder, *options):
        out = tmp_path / "docs" / folder.name
        main([str(folder), "--out", str(out), *options])
        assert all(out.with_name(f"{out.name}-{k}.png").stat().st_size > 1000 for k in ("map", "section"))
        return out.with_suffix(".md").read_text(), json.loads(out.with_suffix(".json").read_text())

    return write


def test_the_page_of_an_old_manifest_has_its_sections_pictures_and_one_line_that_makes_the_data(tmp_path, written):
    text, found = written(pack(tmp_path / "small"))
    assert re.findall("^## (.*)$", text, re.M) == SECTIONS
    assert "    ldm-ocean simulate data/small\n" in text and "prepare" not in text
    assert 'open_states("data/small", equilibrium=True)' in text
    assert all(f"]({name})" in text for name in ("small-map.png", "small-section.png"))
    assert "2 train, 1 test, 0 (of 1) edge" in text and "0.1 to 0.3" in text and "cost" not in text
    assert f"{EACH - 1} in equilibrium, 102 days apart and 1 on the way there; {3 * EACH} in all" in text
    assert found["soundness"]["largest_rounding_error"] == {"toce": 0.03}
    assert found["costs"]["model_years"] == pytest.approx(3 * 102 * (EACH - 1) / 360)


def test_the_page_tells_costs_drift_and_what_blew_up_where_the_manifest_knows(tmp_path, written):
    blown = {"blew_up_on_day": 40}
    folder = pack(tmp_path / "small", None, record=NEW, unfinished=blown, manifest={"ocean": "channel"})
    text, found = written(folder)
    assert "ldm-ocean simulate data/small --ocean channel\n" in text
    assert "`s9` on day 40" in text and "| temperature drift degC a year | -0.2 | -0.2 | -0.2 |" in text
    assert "36 core-seconds a model year" in text and "There are no seasons." in text
    assert found["costs"]["core_hours"] == pytest.approx(0.01 * found["costs"]["model_years"])


def test_shares_add_up_to_a_hundred_and_the_season_of_the_small_ocean_is_seen(tmp_path, written):
    text, found = written(pack(tmp_path / "small"))
    for bands in found["variance"]["parts"].values():
        for own in bands.values():
            assert own["between"] + own["season"] + own["weather"] == pytest.approx(own["total"])
    rows = [line.split(" | ") for line in text.splitlines() if "°C |" in line and "(`toce`)" in line]
    assert sum(map(float, rows[0][2:5])) == pytest.approx(100, abs=0.2)


def test_a_command_that_the_oceans_name_does_not_tell_is_said_as_given(tmp_path, written):
    line = "ldm-ocean simulate data/small --degrees 2"
    assert f"    {line}\n" in written(pack(tmp_path / "small"), "--command", line)[0]


def test_one_setting_has_a_page_too(tmp_path, written):
    folder = pack(tmp_path / "small")
    for k in (1, 2):
        (folder / f"s{k}{SUFFIX}").unlink()
    assert "There is one setting so far." in written(folder)[0]


def test_a_long_series_beside_the_settings_is_told_of_and_counts_among_the_years(tmp_path, written):
    folder = pack(tmp_path / "small")
    pack(folder / "series")
    text, found = written(folder)
    assert 'open_states("data/small/series")' in text and found["series"]["days_apart"] == [102.0, 102.0]
