"""The closed loop on test settings: is a generated state a spun-up one, by the model's own judgement?

    python -m benchmarks.spinup --out docs/spinup

Five test settings, four starts of each road, ten model years from each, 150 years from rest, 50 of the truth's own
continuation: about 2000 model years, 35 minutes on two cores. What is finished is kept under --run: start the same
command again to go on. Writes OUT.md, OUT.json and the figures OUT-distance.png, OUT-shock.png, OUT-drift.png.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from ldm_ocean import OceanLDM, open_states
from ldm_ocean.errors import exit_politely
from ldm_ocean.evaluate import load_config
from ldm_ocean.io.atomic import write_text
from ldm_ocean.spinup import figures
from ldm_ocean.spinup.experiment import Plan, spin_up
from ldm_ocean.spinup.starts import REST, TRUTH, Case
from ldm_ocean.spinup.summary import summary

MODEL, STATES, CONFIG = Path("pretrained/dino-coarse"), Path("data/dino-coarse"), "configs/evaluate/dino.yaml"
BOARD, CORES = Path("docs/results.json"), 2  # which measured how long training takes, on two cores
MEMBERS, YEARS, COLD, CONTROL = 4, 10, 150, 50
HEAD = """# The closed loop

Written by `python -m benchmarks.spinup --out docs/spinup`; numbers in spinup.json. Every start is a Veros restart file
that the model goes on from; start number i of every road meets the same weather. **D** is the distance of an annual
mean state from equilibrium (the mean of {control} years of the truth's own continuation), 1 being as far as training
states of any parameters are from their mean. **Shock**: changes of kinetic energy in the first 30 days over those of
restarts from truth. **Drift held**: share of starts whose deep- and bottom-water trends over {years} years lie in the
range of the control's own {years}-year trends, or are at most twice those of restarts from truth. **Equivalent years**:
when the start from rest first is as near to equilibrium as this start in its second year (median; > {cold}: never).

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/spinup"), help="name of page, JSON and figures")
    parser.add_argument("--run", type=Path, default=Path("runs/spinup"), help="where runs are kept")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    model, store = OceanLDM.from_pretrained(MODEL), open_states(STATES)
    tests = sorted(set(store.setting.values[store.split.values == "test"]))
    cases = [Case.of_setting(store, name, MEMBERS) for name in tests]
    plan = Plan(MEMBERS, YEARS, COLD, CONTROL, regions=load_config(CONFIG).regions)
    result = spin_up(model, store, cases, plan, args.run, args.workers)
    result["once"] = once(result)
    write_text(args.out.with_suffix(".json"), json.dumps(rounded(result), separators=(",", ":")))
    write_text(args.out.with_suffix(".md"), page(result))
    drawn = {"distance": figures.draw_distance(result["settings"]), "shock": figures.draw_shock(result["settings"])}
    drawn["drift"] = figures.draw_drift(result["settings"][tests[0]], result["units"])
    for name, figure in drawn.items():
        figure.savefig(args.out.with_name(f"{args.out.name}-{name}.png"), dpi=110, facecolor="white")
    print(args.out.with_suffix(".md"))


def once(result: dict) -> dict[str, float]:
    """What is paid once [core-seconds]: the simulations that are the training data, and both stages of training."""
    manifest = json.loads((STATES / "manifest.json").read_text())
    years = sum(r["years"] for r in manifest["settings"] if r["split"] == "train")
    training = json.loads(BOARD.read_text())["methods"]["ldm_ocean"]["training_seconds"]
    return {"simulations": years * result["costs"][REST]["year"]} | {k: CORES * v for k, v in training.items()}


def rounded(x):
    """Six digits are enough for a page."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    if isinstance(x, list):
        return [rounded(v) for v in x]
    return float(f"{x:.6g}") if isinstance(x, float) else x


def page(result: dict) -> str:
    """The results as Markdown."""
    about = result["about"]
    text = HEAD.format(control=CONTROL, years=YEARS, cold=COLD)
    scalars = [f"{box}.{name}" for box in result["boxes"] for name in ("toce", "soce")]
    told = {name: summary(own, about["cold_years"], scalars) for name, own in result["settings"].items()}
    head = ["", "starts", "blow-ups", "shock (largest)", "D, first year", "D, second year", "equivalent years"]
    text += "## All settings\n\n" + _table([*head, "nearer than the cold start ever", "drift held"], _pooled(told))
    for name, roads in told.items():
        rows = [[road, *_row({name: own})] for road, own in roads.items()]
        text += f"\n## {name}\n\n" + _table([*head, "nearer than the cold start ever", "drift held"], rows)
    text += "\n" + "".join(f"![{name}](spinup-{name}.png)\n" for name in ("distance", "shock", "drift"))
    return text + "\n## Cost\n\n" + _costs(result)


def _pooled(told: dict) -> list[list[str]]:
    roads = dict.fromkeys(road for own in told.values() for road in own)
    return [[road, *_row({name: own[road] for name, own in told.items()})] for road in roads]


def _row(own: dict[str, dict]) -> list[str]:
    """Cells of one road over some settings."""
    every = list(own.values())

    def gathered(key: str) -> list[float]:
        return [x for o in every for x in o.get(key, [])]

    starts = sum(o["starts"] for o in every)
    cells = [str(starts), str(sum(o["blow_ups"] for o in every))]
    shocks = gathered("shock")
    cells.append(f"{np.median(shocks):.2f} ({max(shocks):.2f})" if shocks else "")
    cells += [f"{np.median(gathered(k)):.3f}" for k in ("start", "year_after")]
    years = [o["equivalent"] for o in every if "equivalent" in o]
    capped = sum(o.get("capped", 0) for o in every)
    cells.append(f"{'> ' if capped > starts / 2 else ''}{np.median(years):.0f}" if years else "")
    cells.append(f"{sum(o['nearer_than_cold_ever'] for o in every):.0f} of {starts}" if years else "")
    held = [share for o in every for share in o.get("held", {}).values()]
    return [*cells, f"{np.mean(held):.0%}" if held else ""]


def _costs(result: dict) -> str:
    """Core-seconds of every part, and how often cheaper a start with its year of adjustment is than the cold years."""
    costs, once_ = result["costs"], result["once"]
    whole = costs[REST]["whole"]
    rows = []
    for road, own in costs.items():
        if road in (REST, TRUTH):
            continue
        start = own["state"] + own["restart"] + own["year"]
        numbers = [own["state"], own["restart"], own["year"], start]
        rows.append([road, *(f"{x:.2f}" for x in numbers), f"{whole / start:.0f} ×"])
    text = _table(
        ["core-seconds", "state", "restart", "one year", "together", f"{COLD} years from rest over that"], rows
    )
    compile_seconds = max(own["compile"] for own in costs.values())
    paid = ", ".join(f"{k} {v:.0f} s" for k, v in once_.items())
    start = sum(costs["generated"][k] for k in ("state", "restart", "year"))
    text += f"\n{COLD} years from rest: {whole:.0f} s. Compiling the model, once a process: {compile_seconds:.0f} s. "
    even = sum(once_.values()) / (whole - start)
    text += f"Paid once for all states ever generated: {paid}; they are repaid by {even:.0f} starts.\n"
    return text


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    exit_politely(main)
