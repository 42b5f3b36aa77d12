"""The house has floors: a room imports from rooms below it only, and no two rooms from each other."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "ldm_ocean"
FLOORS = (
    ("commands",),
    ("spinup",),
    ("training", "pipeline"),
    ("metrics", "artefacts"),
    ("generative", "autoencoder", "simulate", "report"),
    ("nn", "io"),
    ("ocean",),
    ("physics",),
    ("errors", "bar", "shipped"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports():
    """(room, imported room, where) of every import from one room in another."""
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0].startswith("__"):
            continue
        package = ["ldm_ocean", *parts[:-1]]
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = package[: len(package) - node.level + 1] if node.level else []
            full = [*base, *(node.module or "").split(".")] if node.module else base
            if full[:1] == ["ldm_ocean"]:
                for room in full[1:2] or [a.name for a in node.names]:
                    if room in FLOOR and room != parts[0]:
                        yield parts[0], room, f"{path.name}:{node.lineno}"


def test_every_room_has_a_floor():
    rooms = {p.stem for p in ROOT.iterdir() if p.is_dir() or p.suffix == ".py"}
    assert {r for r in rooms if not r.startswith("__")} <= FLOOR.keys()


def test_imports_point_downwards_only():
    found = list(imports())
    assert len(found) > 100  # the walk sees something
    upwards = [f for f in found if FLOOR[f[1]] <= FLOOR[f[0]]]
    assert not upwards
