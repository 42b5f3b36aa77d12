"""Bad input to ``ldm-ocean prepare`` and ``ldm-ocean simulate``."""

from ..conftest import CF
from .place import case, prepare, truncate, wider, with_hole, with_island_of_all_points


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


@case("cannot read parameter 'wind=strong'")
def prepare_a_parameter_that_is_no_number(p):
    return prepare(p, "--parameter", "wind=strong")


@case("add to it with --append")
def prepare_into_an_existing_store(p):
    return ["prepare", p.output(), "--mesh", p.mesh(), "--out", p.states]


@case("lies on another grid")
def prepare_append_to_a_store_of_another_grid(p):
    store = p.store(lambda d: d)
    return ["prepare", p.output(), "--mesh", p.mesh(with_island_of_all_points), "--out", store, "--append"]


@case("years must rise from above 0")
def simulate_years_that_fall(p):
    return ["simulate", p.folder / "new", "--years", "5", "2"]


@case("workers be at least 1")
def simulate_without_workers(p):
    return ["simulate", p.folder / "new", "--workers", "0"]


@case("at most")
def simulate_more_settings_than_are_drawn(p):
    return ["simulate", p.folder / "new", "--train", "200"]


@case("--test")
def simulate_less_than_no_settings(p):
    return ["simulate", p.folder / "new", "--test", "-3"]
