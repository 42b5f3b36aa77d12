"""Bad input: one line that says what is wrong, exit code 2, nothing left behind; and help that shows an example."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import ldm_ocean
from ldm_ocean import artefacts, open_states
from ldm_ocean.autoencoder.codec import Codec
from ldm_ocean.autoencoder.latents import open_latents
from ldm_ocean.commands import cli
from ldm_ocean.errors import exit_politely

from ..bad_input import CASES, Place, sample
from ..conftest import CF, small_states

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ["torch", "xarray", "scipy", "pandas", "zarr", "netCDF4", "h5py", "matplotlib", "dask", "accelerate"]
HELP = """
import contextlib, io, sys
from ldm_ocean.commands import cli
for arguments in [["--help"], *([command, "--help"] for command in cli.COMMANDS)]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        cli.main(arguments)
    print(arguments, *({*sys.argv[1:]} & {*sys.modules}))
"""


def outside(folder: Path, *arguments: str) -> str:
    """What Python prints, run in ``folder`` with this package."""
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_store_without_an_order_of_its_variables_is_always_opened_in_the_same_one(road):
    names = [k for k, v in open_states(road["states.zarr"]).data_vars.items() if "mask" in v.attrs]
    assert names == sorted(CF)


def test_a_store_keeps_the_order_that_it_names(tmp_path):
    small_states().assign_attrs(variables=list(CF)).to_zarr(tmp_path / "s.zarr", consolidated=False)
    assert list(open_states(tmp_path / "s.zarr").data_vars)[: len(CF)] == list(CF)


def call(arguments: list, monkeypatch) -> int:
    """Run a command in this process; its exit code."""
    name, *rest = map(str, arguments)
    with pytest.raises(SystemExit) as end:
        if name.endswith(".py"):
            monkeypatch.setattr(sys, "argv", [name, *rest])
            exit_politely(import_module(name.removesuffix(".py")).main)
        else:
            cli.main([name, *rest])
    return end.value.code


def contents(folder: Path) -> dict:
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in folder.rglob("*")}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_bad_input_is_one_line_with_exit_code_2_and_leaves_nothing_behind(name, road, tmp_path, monkeypatch, capsys):
    message, build = CASES[name]
    if name.startswith("simulate"):
        pytest.importorskip("veros")
        monkeypatch.setattr("ldm_ocean.simulate.campaign.simulate", lambda *_: pytest.fail("it would have run"))
    arguments = build(Place(road, tmp_path))
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path), contents(road["states.zarr"].parent)
    code = call(arguments, monkeypatch)
    lines = capsys.readouterr().err.splitlines()
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert (contents(tmp_path), contents(road["states.zarr"].parent)) == before


def test_a_warning_is_one_line_with_the_training_range_and_the_sample_is_written(road, tmp_path, capsys):
    arguments = sample(Place(road, tmp_path), "--members", "1", parameters=["wind=0.25", "mixing=4e-5"])
    cli.main([str(a) for a in arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: wind=0.25 lies outside the training range [0.")
    assert "wind=0.25" in open_states(tmp_path / "s.zarr").attrs["outside_training_range"]
    assert [f.name for f in tmp_path.iterdir()] == ["s.zarr"]


def test_latents_of_the_identity_codec_decode_to_the_states(road, tmp_path):
    cli.main(["encode", str(road["states.zarr"]), "--identity", str(tmp_path / "c"), "--out", str(tmp_path / "z")])
    codec = artefacts.load_codec(tmp_path / "c")
    latents = open_latents(tmp_path / "z", codec).values
    states = codec.fields.stack(open_states(road["states.zarr"]), codec.grid)
    np.testing.assert_allclose(codec.decode(latents), states, atol=0.02)  # latents are half floats


@pytest.mark.parametrize("name", ["drawn.zarr", "drawn.nc"])
def test_samples_are_evaluated_like_any_states_and_serve_as_context_and_as_example(name, road, tmp_path):
    place = Place(road, tmp_path)
    draw = ["sample", str(road["diffusion"]), "wind=0.2", "mixing=4e-5", "--members", "2"]
    cli.main([*draw, "--out", str(tmp_path / name)])
    cli.main(["evaluate", str(tmp_path / name), "--out", str(tmp_path / "m.json")])
    found = json.loads((tmp_path / "m.json").read_text())["settings"]
    assert list(found) == ["drawn"] and found["drawn"]["samples"] == 2 and found["drawn"]["heat_content"]["mean"] > 0
    (tmp_path / "c.yaml").write_text(f"stratification: {{like: {tmp_path / name}, tolerance: 0.1}}")
    again = ["--context", str(tmp_path / name), "--constraints", str(tmp_path / "c.yaml")]
    cli.main([*draw, *again, "--out", str(place.folder / "again.zarr")])
    assert open_states(place.folder / "again.zarr").sizes["sample"] == 2


def test_the_last_state_of_a_short_run_is_settled_and_says_how(road, tmp_path):
    place, out = Place(road, tmp_path), tmp_path / "settled.nc"
    settle = ["settle", str(road["diffusion"]), str(place.states), "wind=0.2", "mixing=4e-5", "--out", str(out)]
    cli.main(settle)
    settled, last = open_states(out), open_states(place.states).isel(sample=[-1])
    assert settled.sizes["sample"] == 1 and "settled" in settled.attrs["source"] and float(settled.wind[0]) == 0.2
    assert 0 < float(np.abs(settled.toce - last.toce.values).max()) < 20
    cli.main([*settle, "--overwrite", "--seed", "1"])
    assert not open_states(out).toce.equals(settled.toce)


@pytest.mark.parametrize("arguments", [[], ["simulat"], ["sample"]])
def test_a_wrong_command_line_is_one_line_too(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert (end.value.code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--debug", "sample", "nowhere", "a=1", "--out", "s.nc"],
        ["evaluate", "nowhere", "--debug"],
        ["train_vae.py", "data.states=nowhere", "--debug"],
        ["train_diffusion.py", "--debug", "codec=nowhere"],
    ],
)
def test_with_debug_every_command_shows_the_traceback_before_its_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LDM_OCEAN_DEBUG", "")
    monkeypatch.chdir(tmp_path)
    assert call(arguments, monkeypatch) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("error: ") and "nowhere" in lines[-1]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_every_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: ldm-ocean")
    assert f"  ldm-ocean {command}" in out
    assert "--debug" in out


def test_help_of_the_whole_names_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in cli.COMMANDS)


@pytest.mark.parametrize("script", ["train_vae", "train_diffusion"])
def test_help_of_the_training_scripts_shows_an_example(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        import_module(script).main()
    assert end.value.code == 0
    assert f"{script}.py experiment=demo" in capsys.readouterr().out


def shell(line: str, **environment) -> subprocess.CompletedProcess:
    """Run ``line`` in bash; ``{}`` in it is ``ldm-ocean``."""
    line = line.format(f"{sys.executable} -m ldm_ocean")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env={**os.environ, **environment})


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word():
    done = shell("set -o pipefail; {} restart --help | sleep 0", PYTHONUNBUFFERED="")
    assert (done.stderr, done.returncode) == ("", 141)


def test_a_terminal_that_knows_no_arrow_gets_the_text_without_it():
    done = shell("{} restart --help", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.stderr, done.returncode) == ("", 0) and "States ? files that NEMO" in " ".join(done.stdout.split())


def test_help_is_quick_for_it_imports_no_library_that_takes_long(tmp_path):
    for line in outside(tmp_path, "-c", HELP, *HEAVY).splitlines():
        assert line.endswith("]"), line


def test_the_package_runs_as_a_module_from_any_folder(tmp_path):
    assert outside(tmp_path, "-m", "ldm_ocean", "--version").strip() == ldm_ocean.__version__


def test_what_a_notebook_needs_is_imported_when_it_is_asked_for(tmp_path):
    code = "import sys, ldm_ocean; before = 'torch' in sys.modules; print(before, ldm_ocean.OceanLDM.__name__)"
    assert outside(tmp_path, "-c", code).strip() == "False OceanLDM"
    with pytest.raises(AttributeError, match="no attribute 'OceanLMD'"):
        ldm_ocean.OceanLMD  # noqa: B018


@pytest.mark.parametrize("command", ["encode", "evaluate", "sample"])
def test_networks_run_on_the_device_that_is_named(command, road, tmp_path, monkeypatch):
    """``meta`` is a device without memory: the codec is asked there, and nothing is computed."""
    place, asked = Place(road, tmp_path), []

    def seen(codec, values):
        asked.append((codec.token_mean.device.type, values.device.type))
        raise KeyboardInterrupt

    for way in ("encode", "decode"):
        monkeypatch.setattr(Codec, way, seen)
    monkeypatch.setattr("ldm_ocean.pipeline.OceanLDM.sample_latents", lambda *_, **__: torch.zeros(1))
    monkeypatch.setattr("ldm_ocean.autoencoder.latents._about", lambda _, s: {"setting": s.setting.values.tolist()})
    arguments = {
        "encode": ["encode", place.states, "--codec", place.vae, "--out", tmp_path / "z"],
        "evaluate": ["evaluate", place.states, "--model", place.diffusion, "--out", tmp_path / "m.json"],
        "sample": ["sample", place.diffusion, "wind=0.2", "mixing=4e-5", "--out", tmp_path / "s.nc"],
    }
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in [*arguments[command], "--device", "meta"]])
    assert end.value.code == 130 and asked == [("meta", "meta")]


@pytest.mark.parametrize("command", ["encode", "evaluate"])
def test_a_device_that_is_not_there_is_one_line(command, road, tmp_path, capsys):
    place = Place(road, tmp_path)
    more = {"encode": ["--codec", place.vae, "--out", tmp_path / "z"], "evaluate": ["--model", place.diffusion]}
    with pytest.raises(SystemExit) as end:
        cli.main([command, str(place.states), *map(str, more[command]), "--device", "tpu9"])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.startswith("error: device 'tpu9' is not there")
