"""YAML made to harm, or beyond what a setting needs: plain data or one line, wherever we read it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean import artefacts
from ldm_ocean.commands import cli
from ldm_ocean.errors import UserError
from ldm_ocean.io import plain_yaml
from ldm_ocean.io.constraints import read as read_constraints
from ldm_ocean.io.names import Names
from ldm_ocean.metrics.config import load_config
from ldm_ocean.training.config import VaeConfig, load

from ..bad_input.place import Place, sample

pytestmark = pytest.mark.usefixtures("little_memory")

TRICKS = {
    "reads the environment": ("x: ${oc.env:HOME}", "interpolation"),
    "refers to itself": ("x: ${x}", "interpolation"),
    "calls a resolver": ("x: ${oc.create:${y}}\ny: 1", "interpolation"),
    "hides in a key": ("${oc.env:HOME}: 1", "interpolation"),
    "unfolds to terabytes": (
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "anchors",
    ),
    "contains itself": ("a: &a [*a]", "anchors"),
    "merges": ("a: &a {x: 1}\nb: {<<: *a}", "anchors"),
    "names code": ("x: !!python/object/apply:os.system [ls]", "tag"),
    "names a type": ("x: !!binary aGVsbG8=", "tag"),
    "is an abyss": ("[" * 100_000, "brackets"),
    "is an abyss of blocks": ("".join("  " * n + "a:\n" for n in range(300)), "brackets"),
    "has a number of a million digits": ("x: " + "1" * 10**6, "YAML|MiB"),
    "has a key twice": ("x: 1\nx: 2", "twice"),
    "is no text": ("x: \x00", "YAML"),
    "is too large": ("x: 1\n" + "#" * (2 << 20), "MiB"),
}


@pytest.mark.parametrize("case", TRICKS)
def test_tricks_of_yaml_are_one_line_wherever_we_read_it(case, tmp_path, road):
    text, says = TRICKS[case]
    path = tmp_path / "t.yaml"
    path.write_text(text)
    codec = artefacts.load_codec(road["vae"])
    for reader in (
        lambda: load(VaeConfig, "vae", [f"train={path}"]),
        lambda: load(VaeConfig, "vae", [f"experiment={path}"]),
        lambda: load_config(path),
        lambda: Names.load(path),
        lambda: read_constraints(path, codec.fields, codec.grid),
    ):
        with pytest.raises(UserError, match=says) as refused:
            reader()
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 400 + len(str(path))


def test_a_trick_given_to_a_command_ends_with_exit_code_2(road, tmp_path, capsys):
    p = Place(road, tmp_path)
    trick = p.write("c.yaml", "stability: {tolerance: '${oc.env:HOME}'}")
    with pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in sample(p, "--constraints", trick)])
    (line,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and line.startswith("error: ") and "interpolation" in line


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab1.:-[]{}&*!|>#'\"\n \t,?%@`$<~0e"), max_size=40))
def test_whatever_is_written_becomes_plain_data_or_one_line(text):
    try:
        found = plain_yaml.parse(text, "it")
    except UserError as error:
        assert str(error).startswith("it") and "\n" not in str(error)
    else:
        assert json.dumps(found, default=str) is not None


LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text("abc", max_size=5)
KEYS = st.text("xyz", min_size=1, max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=3), max_leaves=8
    )
)
def test_plain_data_comes_back_as_it_was_written(data):
    assert plain_yaml.parse(json.dumps(data), "it") == data
