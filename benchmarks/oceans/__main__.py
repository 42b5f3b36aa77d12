"""A page about a packed data set: what it is, looks like and costs, and where its variance lies.

    python -m benchmarks.oceans data/dino-coarse [--out docs/dino-coarse]

Writes <out>.md, <out>.json, <out>-map.png and <out>-section.png of whatever `ldm-ocean simulate` has finished so far.
"""

import argparse
import json
from pathlib import Path

from ldm_ocean import open_states
from ldm_ocean.errors import exit_politely
from ldm_ocean.io.atomic import write_text
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

from . import facts
from .page import page
from .pictures import pictures

SERIES = "series"  # folder of the long series beside the settings


def describe(folder: Path, command: str | None = None) -> tuple[dict, dict, dict]:
    """(facts, {picture: figure}, {picture: caption}) of a packed folder."""
    data = open_states(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    series = open_states(folder / SERIES) if list((folder / SERIES).glob("*.zip")) else None
    grid, fields, records = OceanGrid.from_dataset(data), Fields.from_dataset(data), manifest["settings"]
    settled = data.isel(sample=data.equilibrium.values.nonzero()[0])
    ocean = manifest.get("ocean", "dino")  # the first release had no other
    found = {
        "name": folder.name,
        "model": manifest["model"],
        "command": command
        or f"ldm-ocean simulate data/{folder.name}" + (f" --ocean {ocean}" if ocean != "dino" else ""),
        "geometry": facts.geometry(grid, fields),
        "parameters": manifest["ranges"],
        "splits": facts.splits(records),
        "states": facts.states_of(data),
        "series": facts.states_of(series) if series is not None else None,
        "costs": facts.costs(folder, records, [data] if series is None else [data, series]),
        "soundness": facts.soundness(records),
        "labels": {f.name: [f.attrs.get("long_name", f.name), f.attrs.get("units", "")] for f in fields},
        "variance": facts.variances(settled, grid),
    }
    return found, *pictures(settled, grid)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that `ldm-ocean simulate` writes")
    parser.add_argument("--out", type=Path, help="without suffix (docs/<name>)")
    parser.add_argument("--command", help="what makes the data, where the ocean's name does not say all of it")
    args = parser.parse_args(arguments)
    out = args.out or Path("docs") / args.data.name
    found, drawn, captions = describe(args.data, args.command)
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figure.savefig(f"{out}-{name}.png", dpi=110, bbox_inches="tight", facecolor="white")
    write_text(out.with_suffix(".json"), json.dumps(found, indent=1))
    write_text(out.with_suffix(".md"), page(found, captions, out.name))
    print(page(found, captions, out.name))


if __name__ == "__main__":
    exit_politely(main)
