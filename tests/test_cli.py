"""Bad input: one line that says what is wrong, exit code 2, nothing left behind; and help that shows an example."""

import json
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ldm_ocean import cli, open_states
from ldm_ocean.errors import exit_politely

from .conftest import CF, SHORT, SMALL_DIT, SMALL_VAE, small_mesh, small_states

ASKED = ["wind=0.2", "mixing=4e-5"]
CASES: dict[str, tuple[str, Callable]] = {}


class Place:
    """The trained road (read only) and a folder of one's own to spoil things in."""

    def __init__(self, road: dict, folder: Path):
        self.states, self.vae, self.latents, self.diffusion = road.values()
        self.folder = folder

    def copy(self, path: Path) -> Path:
        return Path(shutil.copytree(path, self.folder / f"my-{path.name}"))

    def store(self, change: Callable[[xr.Dataset], xr.Dataset], name: str = "spoilt.zarr") -> Path:
        """The states, changed."""
        change(small_states()).to_zarr(self.folder / name, consolidated=False)
        return self.folder / name

    def output(self, change: Callable[[xr.Dataset], xr.Dataset] = lambda d: d) -> Path:
        """Ocean model output in NetCDF, with dates, changed."""
        states = small_states()[list(CF)].isel(sample=slice(0, 2)).reset_coords(drop=True)
        raw = states.drop_vars(list(states.coords)).rename(sample="time")
        when = ("time", [15.0, 45.0], {"units": "days since 2000-01-01", "calendar": "360_day"})
        change(raw.assign_coords(time=when)).to_netcdf(self.folder / "run.nc")
        return self.folder / "run.nc"

    def mesh(self, change: Callable[[xr.Dataset], xr.Dataset] = lambda d: d) -> Path:
        change(small_mesh()).to_netcdf(self.folder / "mesh_mask.nc")
        return self.folder / "mesh_mask.nc"

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name


def case(message: str):
    """Register ``build(place) -> [command, argument, …]`` as bad input whose error holds ``message``."""

    def register(build):
        CASES[build.__name__] = (message, build)
        return build

    return register


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def with_hole(data: xr.Dataset) -> xr.Dataset:
    data = data.copy(deep=True)
    data.toce[1, 0, 4, 3] = np.nan
    return data


def with_island(data: xr.Dataset) -> xr.Dataset:
    data = data.copy(deep=True)
    data.tmask[:, 4, 3] = 0
    return data


def with_island_of_all_points(data: xr.Dataset) -> xr.Dataset:
    data = data.copy(deep=True)
    for mask in ("tmask", "umask", "vmask"):
        data[mask][:, 6, 6] = 0
    return data


def wider(_) -> xr.Dataset:
    return small_mesh((5, 9, 8))


def sample(p: Place, *rest, model=None, parameters=ASKED) -> list:
    return ["sample", model or p.diffusion, *parameters, "--out", p.folder / "s.zarr", "--device", "cpu", *rest]


def prepare(p: Place, *rest, change=lambda d: d, mesh=lambda d: d) -> list:
    return ["prepare", p.output(change), "--mesh", p.mesh(mesh), "--out", p.folder / "new.zarr", *rest]


def train_vae(p: Place, *rest, states=None) -> list:
    run = [f"run={p.folder / 'new'}", f"data.states={states or p.states}"]
    return ["train_vae.py", *run, *SMALL_VAE, *SHORT, *rest]


def train_diffusion(p: Place, *rest, latents=None) -> list:
    run = [f"run={p.folder / 'new'}", f"data.latents={latents or p.latents}", f"codec={p.vae}"]
    return ["train_diffusion.py", *run, *SMALL_DIT, *SHORT, *rest]


# --- sample


@case("unknown parameter 'wnd' (did you mean 'wind'?)")
def sample_an_unknown_parameter(p):
    return sample(p, parameters=["wnd=0.2", "mixing=4e-5"])


@case("parameter 'mixing' is missing: give all of wind, mixing")
def sample_without_a_parameter(p):
    return sample(p, parameters=["wind=0.2"])


@case("cannot read parameter 'wind=strong'")
def sample_a_parameter_that_is_no_number(p):
    return sample(p, parameters=["wind=strong", "mixing=4e-5"])


@case(
    "wind=nan is not a number",
)
def sample_a_parameter_that_is_nan(p):
    return sample(p, parameters=["wind=nan", "mixing=4e-5"])


@case("parameter 'wind' is given twice")
def sample_a_parameter_twice(p):
    return sample(p, parameters=["wind=0.2", "wind=0.3", "mixing=4e-5"])


@case("wind=9 lies outside the training range")
def sample_out_of_range_when_strict(p):
    return sample(p, "--strict", parameters=["wind=9", "mixing=4e-5"])


@case("no model at")
def sample_from_a_missing_folder(p):
    return sample(p, model=p.folder / "nowhere")


@case("no codec in")
def sample_from_an_empty_folder(p):
    (p.folder / "empty").mkdir()
    return sample(p, model=p.folder / "empty")


@case("holds no readable generator")
def sample_from_truncated_safetensors(p):
    model = p.copy(p.diffusion / "best")
    truncate(model / "generator.safetensors")
    return sample(p, model=model)


@case("holds no readable codec")
def sample_from_truncated_json(p):
    model = p.copy(p.diffusion / "best")
    truncate(model / "codec.json")
    return sample(p, model=model)


@case("end it in .zarr or .nc")
def sample_into_an_unknown_format(p):
    return ["sample", p.diffusion, *ASKED, "--out", p.folder / "s.grib", "--device", "cpu"]


@case("create it first")
def sample_into_a_missing_folder(p):
    return ["sample", p.diffusion, *ASKED, "--out", p.folder / "no" / "s.nc", "--device", "cpu"]


@case("members=0, steps=18: both must be at least 1")
def sample_no_members(p):
    return sample(p, "--members", "0")


@case("invalid int value: 'many'")
def sample_many_members(p):
    return sample(p, "--members", "many")


@case("season=200")
def sample_in_a_season_counted_in_days(p):
    return sample(p, "--season", "200")


@case("hashes to")
def sample_from_a_context_on_another_grid(p):
    return sample(p, "--context", p.store(with_island))


@case("device 'tpu9'")
def sample_on_an_unknown_device(p):
    return sample(p, "--device", "tpu9")


@case("unrecognized arguments: --member")
def sample_with_an_unknown_option(p):
    return sample(p, "--membership", "3")


# --- encode


@case("no states at")
def encode_missing_states(p):
    return ["encode", p.folder / "none.zarr", "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("is not a state store")
def encode_something_that_is_no_store(p):
    return ["encode", p.vae / "best", "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("different grids")
def encode_states_on_another_mask(p):
    return ["encode", p.store(with_island), "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("toce is not finite at wet cell (0, 4, 3) of sample 1")
def encode_a_hole_at_a_wet_point(p):
    return ["encode", p.store(with_hole), "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("the states lack 'soce'")
def encode_without_a_variable(p):
    return ["encode", p.store(lambda d: d.drop_vars("soce")), "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("mesh lacks e3u")
def encode_without_a_mesh(p):
    return ["encode", p.store(lambda d: d.drop_vars("e3u")), "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("no codec in")
def encode_without_a_codec(p):
    return ["encode", p.states, "--codec", p.folder / "none", "--out", p.folder / "l.zarr"]


@case("is not finite at wet cell")
def encode_a_store_that_lost_a_chunk(p):
    store = p.copy(p.states)
    max((store / "toce" / "c").rglob("*"), key=lambda f: f.is_file()).unlink()
    return ["encode", store, "--codec", p.vae, "--out", p.folder / "l.zarr"]


# --- evaluate


@case("no states at")
def evaluate_missing_states(p):
    return ["evaluate", p.folder / "none.zarr", "--out", p.folder / "m.json"]


@case("unknown key 'membres' (did you mean 'members'?)")
def evaluate_with_an_unknown_key(p):
    return ["evaluate", p.states, "--config", p.write("e.yaml", "membres: 4"), "--out", p.folder / "m.json"]


@case("ensemble scores need at least 2")
def evaluate_one_member(p):
    return ["evaluate", p.states, "--config", p.write("e.yaml", "members: 1"), "--out", p.folder / "m.json"]


@case("no evaluation config at")
def evaluate_with_a_missing_config(p):
    return ["evaluate", p.states, "--config", p.folder / "e.yaml", "--out", p.folder / "m.json"]


@case("another grid")
def evaluate_a_model_on_another_grid(p):
    return ["evaluate", p.store(with_island), "--model", p.diffusion, "--out", p.folder / "m.json"]


@case("no equilibrium states of split 'train'")
def evaluate_a_model_without_training_states(p):
    store = p.store(lambda d: d.isel(sample=d.split.values != "train"))
    return ["evaluate", store, "--model", p.diffusion, "--out", p.folder / "m.json"]


@case("no model at")
def evaluate_a_missing_model(p):
    return ["evaluate", p.states, "--model", p.folder / "none", "--out", p.folder / "m.json"]


@case("compare their coordinates")
def evaluate_states_of_other_parameters(p):
    other = p.store(lambda d: d.assign_coords(wind=d.wind + 5))
    return ["evaluate", other, "--reference", p.states, "--out", p.folder / "m.json"]


@case("no folder")
def evaluate_into_a_missing_folder(p):
    return ["evaluate", p.states, "--out", p.folder / "no" / "m.json"]


@case("manifest.json")
def evaluate_a_folder_with_half_a_manifest(p):
    (p.folder / "packed").mkdir()
    (p.folder / "packed" / "manifest.json").write_text('{"settings": [')
    return ["evaluate", p.folder / "packed", "--out", p.folder / "m.json"]


@case("a.zarr.zip")
def evaluate_a_folder_with_half_a_file(p):
    (p.folder / "packed").mkdir()
    record = {"name": "a", "split": "train"}
    about = {"settings": [record], "days_per_year": 360, "ranges": {"wind": [0, 1]}, "model": "none"}
    (p.folder / "packed" / "manifest.json").write_text(json.dumps(about))
    small_mesh().to_netcdf(p.folder / "packed" / "mesh.nc")
    (p.folder / "packed" / "a.zarr.zip").write_bytes(b"PK\x03\x04 half a zip")
    return ["evaluate", p.folder / "packed", "--out", p.folder / "m.json"]


# --- prepare


@case("Kelvin?")
def prepare_kelvin_for_celsius(p):
    return prepare(p, change=lambda d: d.assign(toce=(d.toce + 273.15).assign_attrs(d.toce.attrs)))


@case("toce is missing (NaN) at 1 of")
def prepare_a_hole_at_a_wet_point(p):
    return prepare(p, change=with_hole)


@case("no soce in")
def prepare_without_a_wanted_variable(p):
    return prepare(p, "--variables", "toce", "soce", change=lambda d: d.drop_vars("soce"))


@case("no known variable")
def prepare_without_any_known_variable(p):
    return prepare(p, change=lambda d: d.rename({k: f"x_{k}" for k in CF}).drop_attrs())


@case("give the mesh_mask of this grid")
def prepare_with_the_mesh_of_another_grid(p):
    return prepare(p, mesh=wider)


@case("y and x are swapped")
def prepare_swapped_axes(p):
    return prepare(p, change=lambda d: d.rename(y="x", x="y"))


@case("no file")
def prepare_a_missing_file(p):
    return ["prepare", p.folder / "none.nc", "--out", p.folder / "new.zarr"]


@case("truncated")
def prepare_a_truncated_file(p):
    return ["prepare", truncate(p.output()), "--mesh", p.mesh(), "--out", p.folder / "new.zarr"]


@case("is not NAME=VALUE")
def prepare_a_parameter_that_is_no_number(p):
    return prepare(p, "--parameter", "wind=strong")


@case("add to it with --append")
def prepare_into_an_existing_store(p):
    return ["prepare", p.output(), "--mesh", p.mesh(), "--out", p.states]


@case("holds another grid")
def prepare_append_to_a_store_of_another_grid(p):
    store = p.store(lambda d: d)
    return ["prepare", p.output(), "--mesh", p.mesh(with_island_of_all_points), "--out", store, "--append"]


# --- simulate


@case("years must rise from at least 1")
def simulate_years_that_fall(p):
    return ["simulate", p.folder / "new", "--years", "5", "2"]


@case("workers be at least 1")
def simulate_without_workers(p):
    return ["simulate", p.folder / "new", "--workers", "0"]


@case("at most")
def simulate_more_settings_than_are_drawn(p):
    return ["simulate", p.folder / "new", "--train", "100"]


@case("--test")
def simulate_less_than_no_settings(p):
    return ["simulate", p.folder / "new", "--test", "-3"]


# --- train_vae.py


@case("unknown key 'train.sampels' in the command line (did you mean 'samples'?)")
def vae_unknown_key(p):
    return train_vae(p, "train.sampels=3")


@case("no experiment config 'dion' (did you mean 'dino'?)")
def vae_unknown_experiment(p):
    return train_vae(p, "experiment=dion")


@case("cannot read argument 'train.samples'")
def vae_argument_without_a_value(p):
    return train_vae(p, "train.samples")


@case("train.samples")
def vae_value_of_the_wrong_type(p):
    return train_vae(p, "train.samples=many")


@case("no states at")
def vae_missing_states(p):
    return train_vae(p, states=p.folder / "none.zarr")


@case("needs samples for training and for validation")
def vae_empty_split(p):
    return train_vae(p, "data.validation=[nothing]")


@case("no variable 'tocee' among the states (did you mean 'toce'?)")
def vae_unknown_variable(p):
    return train_vae(p, "data.variables=[tocee]")


@case("not finite at wet cell")
def vae_hole_at_a_wet_point(p):
    return train_vae(p, states=p.store(with_hole))


@case("train.precision=fp16 is not accepted")
def vae_refused_precision(p):
    return train_vae(p, "train.precision=fp16")


@case("model.widths")
def vae_more_widths_than_strides(p):
    return train_vae(p, "model.widths=[8,16]")


@case("train.global_batch_size")
def vae_batch_of_nothing(p):
    return train_vae(p, "train.global_batch_size=0")


@case("no codec in")
def vae_warm_start_from_nothing(p):
    return train_vae(p, f"model.initial={p.folder / 'none'}")


# --- train_diffusion.py


@case("no latents at")
def diffusion_missing_latents(p):
    return train_diffusion(p, latents=p.folder / "none.zarr")


@case("run `ldm-ocean encode` again")
def diffusion_stale_latents(p):
    stale = p.copy(p.latents)
    about = json.loads((stale / "zarr.json").read_text())
    about["attributes"]["codec"] = "0" * 64
    (stale / "zarr.json").write_text(json.dumps(about))
    return train_diffusion(p, latents=stale)


@case("is not a readable latent store")
def diffusion_truncated_latents(p):
    broken = p.copy(p.latents)
    truncate(broken / "zarr.json")
    return train_diffusion(p, latents=broken)


@case("no equilibrium states of ['nothing']")
def diffusion_empty_split(p):
    return train_diffusion(p, "data.train=[nothing]")


@case("no codec in")
def diffusion_missing_codec(p):
    return train_diffusion(p, f"codec={p.folder / 'none'}")


@case("unknown key 'model.widht' in the command line (did you mean 'width'?)")
def diffusion_unknown_key(p):
    return train_diffusion(p, "model.widht=64")


@case("model.curve")
def diffusion_unknown_curve(p):
    return train_diffusion(p, "model.curve=edn")


@case("model.heads")
def diffusion_heads_that_do_not_divide_the_width(p):
    return train_diffusion(p, "model.heads=3")


# --- the laws


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
        monkeypatch.setattr("ldm_ocean.simulate.run.simulate", lambda *_: pytest.fail("it would have run"))
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
    arguments = sample(Place(road, tmp_path), "--members", "1", parameters=["wind=9", "mixing=4e-5"])
    cli.main([str(a) for a in arguments])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: wind=9 lies outside the training range [0.")
    assert [f.name for f in tmp_path.iterdir()] == ["s.zarr"]


@pytest.mark.parametrize("arguments", [[], ["simulat"], ["sample"]])
def test_a_wrong_command_line_is_one_line_too(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert (end.value.code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("error: ")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_every_command_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: ldm-ocean")
    assert f"  ldm-ocean {command}" in out


def test_help_of_the_whole_names_every_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in cli.COMMANDS)


@pytest.mark.parametrize("script", ["train_vae", "train_diffusion"])
def test_help_of_the_training_scripts_shows_an_example(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{script}.py", "--help"])
    import_module(script).main()
    assert f"{script}.py experiment=demo" in capsys.readouterr().out
