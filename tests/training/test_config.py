import pytest

from ldm_ocean.errors import UserError
from ldm_ocean.training.config import CONFIGS, DiffusionConfig, VaeConfig, load


def test_later_arguments_win_over_groups_and_defaults():
    config = load(VaeConfig, "vae", ["train=vae-demo", "train.lr=0.5"])
    assert config.train.lr == 0.5
    assert config.train.ema == 0.98
    assert config.data.train == ["train"]


@pytest.mark.parametrize("experiment", sorted(p.stem for p in (CONFIGS / "experiment").glob("*.yaml")))
def test_every_shipped_experiment_loads_for_both_stages(experiment):
    load(VaeConfig, "vae", [f"experiment={experiment}"])
    load(DiffusionConfig, "diffusion", [f"experiment={experiment}"])


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("train.lrr=1", "did you mean 'lr'"),
        ("trian.lr=1", "did you mean 'train'"),
        ("train.lr=fast", "train.lr"),
        ("model=vea", "did you mean 'vae'"),
        ("experiment=demoo", "did you mean 'demo'"),
        ("data=nowhere.yaml", "nowhere.yaml"),
        ("train", "key=value"),
        ("train.lr=${oc.env:HOME}", "interpolation"),
        ("model=dit", "unknown key 'model."),
        ("model.strides={a: 1}", "model.strides"),
        ("train.warmup=1", "train.warmup=1.0 is not accepted: choose 0 to 0.99"),
        ("train.keep_last=0", "train.keep_last"),
        ("model.widths=[8, -1]", "model.widths"),
        ("train={lr: 1}", "no train config"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key_or_the_nearest(argument, says):
    with pytest.raises(UserError) as error:
        load(VaeConfig, "vae", [argument])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["no", "'no'", "bf16"])
def test_the_precision_no_is_taken_for_what_it_says_in_a_file_and_on_the_command_line(value, tmp_path):
    (tmp_path / "train.yaml").write_text(f"precision: {value}\n")
    for argument in (f"train.precision={value}", f"train={tmp_path / 'train.yaml'}"):
        assert load(VaeConfig, "vae", [argument]).train.precision == value.strip("'")
