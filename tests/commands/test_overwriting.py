"""No command destroys what it did not write: one table of commands, one of what may stand in the way."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from ldm_ocean.commands import cli
from ldm_ocean.errors import exit_politely
from ldm_ocean.io.output import FILE, mark_of

from ..bad_input.place import ASKED, Place, train_vae


def prepare(p: Place, out: Path) -> list:
    return ["prepare", p.folder / "run.nc", "--mesh", p.folder / "mesh_mask.nc", "--out", out]


def encode(p: Place, out: Path) -> list:
    return ["encode", p.states, "--codec", p.vae, "--out", out]


def encode_identity(p: Place, out: Path) -> list:
    return ["encode", p.states, "--identity", out, "--out", p.folder / "pixels.zarr"]


def sample_zarr(p: Place, out: Path) -> list:
    return ["sample", p.diffusion, *ASKED, "--members", "2", "--steps", "2", "--device", "cpu", "--out", out]


def evaluate(p: Place, out: Path) -> list:
    return ["evaluate", p.states, "--out", out]


def restart(p: Place, out: Path) -> list:
    return ["restart", p.states, "--mesh", p.folder / "mesh_mask.nc", "--member", "0", "--out", out]


def train(p: Place, out: Path) -> list:
    return [f"run={out}" if str(a).startswith("run=") else a for a in train_vae(p)]


def simulate(p: Place, out: Path) -> list:
    return ["simulate", out, "--train", "1"]


def spinup(p: Place, out: Path) -> list:
    return ["spinup", p.diffusion, p.states, *ASKED, "--out", out]


def demo(p: Place, out: Path) -> list:
    return ["demo", "--pretrained", "--out", out]


RESULTS = {
    prepare: "new.zarr",
    encode: "latents.zarr",
    sample_zarr: "s.zarr",
    evaluate: "m.json",
    restart: "a_restart.nc",
}
FOLDERS = {encode_identity: "pixel", train: "run", simulate: "campaign", spinup: "loop", demo: "demo"}
NAMES = RESULTS | FOLDERS


@pytest.fixture
def place(road, tmp_path) -> Place:
    p = Place(road, tmp_path)
    p.output()
    p.mesh()
    return p


def contents(folder: Path) -> dict:
    """Names and bytes of all that is in a folder."""
    return {p: p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def run(command: list, monkeypatch) -> int:
    arguments = [str(a) for a in command]
    try:
        if arguments[0].endswith(".py"):
            monkeypatch.setattr(sys, "argv", arguments)
            exit_politely(import_module(arguments[0].removesuffix(".py")).main)
        else:
            cli.main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def refused(command: list, place: Place, monkeypatch, capsys) -> str:
    """The one line with which ``command`` is refused; all stays as it was."""
    before = contents(place.folder), contents(place.states)
    capsys.readouterr()
    assert run(command, monkeypatch) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert (contents(place.folder), contents(place.states)) == before
    return line


def overwriting(command) -> list:
    return ["--overwrite"] if command in (encode, sample_zarr, evaluate, restart) else []


def needs_veros(command) -> None:
    if command in (simulate, spinup):
        pytest.importorskip("veros")


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
@pytest.mark.parametrize("command", NAMES)
def test_what_ldm_ocean_did_not_write_is_never_replaced(command, kind, place, monkeypatch, capsys):
    needs_veros(command)
    out = place.folder / NAMES[command]
    if kind == "folder":
        (out / "thesis").mkdir(parents=True)
        (out / "thesis" / "chapter.tex").write_text("years of work")
        (out / "manifest.json").write_text("{}")
    elif kind == "file":
        out.write_text('{"mine": 1}')
    else:
        (place.folder / "elsewhere").mkdir()
        out.symlink_to(place.folder / "elsewhere")
    for options in ([], overwriting(command)):
        assert NAMES[command] in refused([*command(place, out), *options], place, monkeypatch, capsys)


@pytest.mark.parametrize("command", [c for c in NAMES if c is not simulate and c is not demo])
def test_neither_an_input_nor_a_folder_that_holds_one_is_written_over(
    command, place, road, tmp_path, monkeypatch, capsys
):
    needs_veros(command)
    read = place.folder / "run.nc" if command is prepare else place.states
    for out in (read,) if command is train else (read, read.parent):  # a run may stand beside what it reads
        if command in (restart, sample_zarr, evaluate) and out.suffix != Path(NAMES[command]).suffix:
            continue  # refused by its ending
        for options in ([], overwriting(command)):
            refused([*command(place, out), *options], place, monkeypatch, capsys)


@pytest.mark.parametrize("command", [c for c in RESULTS if c is not prepare])
def test_another_result_of_ours_goes_only_when_told_and_the_same_one_is_made_again(command, place, monkeypatch, capsys):
    out = place.folder / RESULTS[command]
    assert run(command(place, out), monkeypatch) in (0, 1)
    assert mark_of(out)["command"] in command.__name__
    assert run(command(place, out), monkeypatch) in (0, 1)
    other = {
        sample_zarr: ["--seed", "9"],
        evaluate: ["--config", place.write("e.yaml", "members: 3")],
        restart: ["--rdt", "2700"],
        encode: [],
    }[command]
    if command is encode:
        monkeypatch.setattr("ldm_ocean.commands.encode.result", _of_another_call)
    assert "--overwrite" in refused([*command(place, out), *other], place, monkeypatch, capsys)
    before = mark_of(out)
    assert run([*command(place, out), *other, "--overwrite"], monkeypatch) in (0, 1)
    assert command is encode or mark_of(out) != before


def _of_another_call(path, command, asked, inputs, overwrite):
    from ldm_ocean.io import output

    return output.result(path, command, "another", inputs, overwrite)


def test_a_run_goes_on_in_its_own_folder_and_no_other_command_works_there(place, monkeypatch, capsys):
    out = place.folder / "run"
    assert run(train(place, out), monkeypatch) == 0
    assert (out / FILE).exists()
    assert run(train(place, out), monkeypatch) == 0
    assert "run" in refused(encode_identity(place, out), place, monkeypatch, capsys)
    assert "run" in refused(demo(place, out), place, monkeypatch, capsys)


def test_the_folder_one_stands_in_is_no_output(place, monkeypatch, capsys):
    monkeypatch.chdir(place.folder)
    for command in (encode, encode_identity, train, demo):
        assert "folder you are in" in refused(command(place, Path(".")), place, monkeypatch, capsys)
