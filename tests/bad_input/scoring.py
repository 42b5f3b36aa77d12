"""Bad input to ``ldm-ocean encode`` and ``ldm-ocean evaluate``."""

import json

from ..conftest import small_mesh
from .place import case, truncate, wider, with_hole, with_island


@case("no states at")
def encode_missing_states(p):
    return ["encode", p.folder / "none.zarr", "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("is not a state store")
def encode_something_that_is_no_store(p):
    return ["encode", p.vae / "best", "--codec", p.vae, "--out", p.folder / "l.zarr"]


@case("lies on another grid")
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


@case("no states at")
def evaluate_missing_states(p):
    return ["evaluate", p.folder / "none.zarr", "--out", p.folder / "m.json"]


@case("(did you mean 'members'?)")
def evaluate_with_an_unknown_key(p):
    return ["evaluate", p.states, "--config", p.write("e.yaml", "membres: 4"), "--out", p.folder / "m.json"]


@case("members=1 is not accepted in ")
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


@case("cannot be written")
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


def evaluate_file(p, *rest, change=lambda d: d, mesh=lambda d: d) -> list:
    return ["evaluate", p.output(change), "--mesh", p.mesh(mesh), "--out", p.folder / "m.json", *rest]


@case("truncated")
def evaluate_a_truncated_restart(p):
    return ["evaluate", truncate(p.output()), "--mesh", p.mesh(), "--out", p.folder / "m.json"]


@case("no file")
def evaluate_a_restart_with_a_missing_mesh(p):
    return ["evaluate", p.output(), "--mesh", p.folder / "none.nc", "--out", p.folder / "m.json"]


@case("give the mesh_mask of this grid")
def evaluate_a_restart_with_the_mesh_of_another_grid(p):
    return evaluate_file(p, mesh=wider)


@case("toce is missing (NaN) at 1 of")
def evaluate_a_restart_with_a_hole(p):
    return evaluate_file(p, change=with_hole)


@case("not allowed with argument")
def evaluate_a_model_on_a_restart(p):
    return evaluate_file(p, "--model", p.diffusion)


@case("invalid choice: 'teos'")
def evaluate_a_restart_with_an_unknown_equation_of_state(p):
    return evaluate_file(p, "--equation-of-state", "teos")


@case("is no file: --map and --equation-of-state")
def evaluate_a_store_with_another_equation_of_state(p):
    return ["evaluate", p.states, "--equation-of-state", "seos", "--out", p.folder / "m.json"]


@case("flux 'heat': the states hold no 'tstar'")
def evaluate_a_flux_without_its_target(p):
    config = p.write("e.yaml", "regions: {fluxes: {heat: {target: tstar, restoring: -40}}}")
    return ["evaluate", p.states, "--config", config, "--out", p.folder / "m.json"]


@case("two diagnostics are called 'heat_content'")
def evaluate_two_diagnostics_of_one_name(p):
    config = p.write("e.yaml", "regions: {gyres: {heat_content: {latitude: [0, 40]}}}")
    return ["evaluate", p.states, "--config", config, "--out", p.folder / "m.json"]
