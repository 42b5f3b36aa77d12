"""Any configuration runs, or ends with one line that names the key, and exit code 2: never a foreign traceback."""

import random
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module

import pytest
from accelerate.state import AcceleratorState

from ldm_ocean.errors import exit_politely
from ldm_ocean.training.config import DiffusionConfig, VaeConfig

from ..bad_input.place import Place, train_diffusion, train_vae
from .limits import only

pytestmark = [pytest.mark.reliability("R22"), pytest.mark.filterwarnings("ignore")]

WRONG = ["many", "[1]", "null", "nan", "", "{a: 1}", "${x}", "[", "true", "1.5e", "&a 1", "-1", "-0.5", "inf", "1e999"]
INT = ["0", "1", "2", "3", "8"]
FLOAT = ["0", "1e-8", "1e-3", "0.5", "1", "2", "1e4", "1e30"]
TEXT = ["auto", "cpu", "cuda", "cuda:9", "tpu", "no", "bf16", "fp16", "edm", "flow", "edn", "nowhere", "a b"]
SPECIAL = {  # few samples, so that all that runs is over soon
    "train.samples": ["1", "8", "16", "17"],
    "train.global_batch_size": ["1", "3", "8", "64"],
    "train.device_batch_size": ["1", "2", "3", "1000000"],
    "train.lr": [*FLOAT, "1000"],
    "model.strides": [
        "[[2,2,2]]",
        "[[1,1,1]]",
        "[[2,2]]",
        "[]",
        "[[0,1,1]]",
        "[[2,2,2],[1,2,2]]",
        "[2,2,2]",
        "[[9,9,9]]",
    ],
    "model.widths": ["[8]", "[4,4]", "[]", "[0]", "[1]", "[-3]", "[3,2]"],
    "model.blocks": ["[0]", "[1]", "[1,1]", "[]", "[-1]", "[2]"],
    "model.width": ["8", "12", "32", "33", "2", "1", "6"],
    "model.depth": ["0", "1", "2"],
    "data.variables": ["[]", "[toce]", "[ssh]", "[toce, toce]", "[tocee]", "toce"],
    "data.train": ["[train]", "[]", "[train, edge]", "[nothing]", "train"],
    "data.validation": ["[validation]", "[]", "[train]", "[nothing]", "[test, validation]"],
}
STAGES = {"train_vae": (VaeConfig, train_vae), "train_diffusion": (DiffusionConfig, train_diffusion)}


def keys(schema: type, prefix: str = "") -> list[tuple[str, type]]:
    """(dotted key, type) of every value."""
    out = []
    for f in fields(schema):
        if is_dataclass(f.default_factory):
            out += keys(f.default_factory, f"{prefix}{f.name}.")
        elif prefix:  # run, codec: where things are, which bad paths cover elsewhere
            out.append((prefix + f.name, f.type))
    return out


def overrides(schema: type, draw: random.Random) -> list[str]:
    """One to four settings; some of them wrong in their value, some in their key."""
    out = []
    for key, kind in draw.sample(keys(schema), draw.randint(1, 4)):
        if key in ("data.states", "data.latents"):
            continue
        pool = SPECIAL.get(key) or {int: INT, float: FLOAT}.get(kind, TEXT)
        value = draw.choice(WRONG if draw.random() < 0.2 else pool)
        if draw.random() < 0.05:
            key = key[:-1]
        out.append(f"{key}={value}")
    return out


def outcome(script: str, arguments: list[str], monkeypatch, capsys) -> tuple[int, list[str]]:
    monkeypatch.setattr(sys, "argv", [f"{script}.py", *arguments])
    AcceleratorState._reset_state(reset_partial_state=True)  # one process, many trainings, of either precision
    code = 0
    try:
        exit_politely(import_module(script).main)
    except SystemExit as end:
        code = end.code
    lines = capsys.readouterr().err.splitlines()
    return code, [line for line in lines if line.startswith("error: ")]


def try_out(number: int, script: str, road, folder, monkeypatch, capsys) -> None:
    schema, build = STAGES[script]
    asked = overrides(schema, random.Random(f"{script} {number}"))
    place = Place(road, folder)
    base = [str(a) for a in build(place)][1:]
    limits = ["train.samples=16", "train.global_batch_size=8"]
    code, errors = outcome(script, [*base, *limits, *asked, f"run={folder / str(number)}"], monkeypatch, capsys)
    if code == 0:
        assert (folder / str(number) / "checkpoints").exists(), asked
        return
    assert code == 2 and len(errors) == 1, (asked, code, errors)
    assert any(key in errors[0] for key in (a.partition("=")[0] for a in asked)), (asked, errors)


@pytest.mark.parametrize("script", STAGES)
def test_a_random_configuration_runs_or_is_one_line_that_names_the_key(script, road, tmp_path, monkeypatch, capsys):
    for number in range(8):
        try_out(number, script, road, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("script", STAGES)
def test_so_do_five_hundred(script, part, road, tmp_path, monkeypatch, capsys):
    for number in range(25 * part, 25 * part + 25):
        try_out(number, script, road, tmp_path, monkeypatch, capsys)


def test_the_very_sizes_that_need_a_larger_machine_say_so(road, tmp_path, monkeypatch, capsys):
    place = Place(road, tmp_path)
    arguments = [str(a) for a in train_vae(place, "model.widths=[65536]")][1:]
    with only(4 << 30):
        code, errors = outcome("train_vae", arguments, monkeypatch, capsys)
    assert code == 2 and "model.widths" in errors[0] and "memory" in errors[0]
