"""Bad input to ``ldm-ocean sample``."""

from .place import ASKED, case, sample, truncate, with_island


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


@case("wind=9 lies outside the training range")
def sample_far_out_of_range(p):
    return sample(p, parameters=["wind=9", "mixing=4e-5"])


@case("are not finite")
def sample_under_guidance_beyond_all_reason(p):
    return sample(p, "--guidance", "1e38")


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


@case("members=0: there must be at least 1")
def sample_no_members(p):
    return sample(p, "--members", "0")


@case("invalid int value: 'many'")
def sample_many_members(p):
    return sample(p, "--members", "many")


@case("season=200")
def sample_in_a_season_counted_in_days(p):
    return sample(p, "--season", "200")


@case("lies on another grid")
def sample_from_a_context_on_another_grid(p):
    return sample(p, "--context", p.store(with_island))


@case("device 'tpu9'")
def sample_on_an_unknown_device(p):
    return sample(p, "--device", "tpu9")


@case("unrecognized arguments: --member")
def sample_with_an_unknown_option(p):
    return sample(p, "--membership", "3")


@case("(did you mean 'stability'?)")
def sample_under_an_unknown_constraint(p):
    (p.folder / "c.yaml").write_text("stabilty: {}")
    return sample(p, "--constraints", p.folder / "c.yaml")


@case("no constraints at")
def sample_under_a_missing_constraints_file(p):
    return sample(p, "--constraints", p.folder / "c.yaml")
