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
from ldm_ocean.io.atomic import write_text
from ldm_ocean.metrics.config import load_config
from ldm_ocean.spinup import figures
from ldm_ocean.spinup.experiment import spin_up
from ldm_ocean.spinup.plan import Plan
from ldm_ocean.spinup.starts import GENERATED, REST, TRUTH, Case
from ldm_ocean.spinup.summary import summary

MODEL, STATES, CONFIG = Path("pretrained/dino-coarse"), Path("data/dino-coarse"), "configs/evaluate/dino.yaml"
BOARD, CORES = Path("docs/results.json"), 2  # which measured how long training takes, on two cores
MEMBERS, YEARS, COLD, CONTROL = 4, 10, 150, 50
HEAD = """# The closed loop

Written by `python -m benchmarks.spinup --out {out}`; numbers in {out.name}.json. Every start is a Veros restart file
that the model goes on from. Start number i of every road and of every setting meets the same weather: there are
{members} weathers in all, and bottom-water temperature drifts mostly with the weather, so the starts of a road in
different settings are far from independent. **D** is the distance of an annual mean state from equilibrium (the mean of
{control} years of the truth's own continuation), 1 being as far as training states of any parameters are from their
mean. **Shock**: changes of kinetic energy in the first 30 days over those of restarts from truth. **Drift held**: share
of starts whose deep- and bottom-water trends over {years} years lie in the
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
    write_text(args.out.with_suffix(".md"), page(result, args.out))
    settings, unit = result["settings"], result["shock"]["unit"]
    drawn = {"distance": figures.draw_distance(settings), "shock": figures.draw_shock(settings, unit)}
    drawn["drift"] = figures.draw_drift(settings[tests[0]], result["units"])
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


def page(result: dict, out: Path) -> str:
    """The results as Markdown."""
    about = result["about"]
    text = HEAD.format(out=out, members=MEMBERS, control=CONTROL, years=YEARS, cold=COLD)
    scalars = [f"{box}.{name}" for box in result["boxes"] for name in ("toce", "soce")]
    told = {name: summary(own, about["cold_years"], scalars) for name, own in result["settings"].items()}
    generated = {name: own[GENERATED] for name, own in told.items()}
    text += "## Targets\n\nOf the generated starts, every one:\n\n" + _targets(generated, result["costs"])
    head = ["", "starts", "blow-ups", "shock (largest)", "D, first year", "D, second year", "equivalent years"]
    text += "\n## All settings\n\n" + table([*head, "nearer than the cold start ever", "drift held"], pooled(told))
    for name, roads in told.items():
        rows = [[road, *_row({name: own})] for road, own in roads.items()]
        text += f"\n## {name}\n\n" + table([*head, "nearer than the cold start ever", "drift held"], rows)
    text += "\n" + "".join(f"![{name}]({out.name}-{name}.png)\n" for name in ("distance", "shock", "drift"))
    return text + "\n## Cost\n\n" + _costs(result)


def _targets(own: dict[str, dict], costs: dict) -> str:
    """What was asked of a road, before it was measured, what came out over all settings, and whether that is enough."""
    starts = sum(o["starts"] for o in own.values())
    blown = sum(o["blow_ups"] for o in own.values())
    shock = max(gathered(own, "shock"), default=np.nan)
    near = sum(o.get("nearer_than_cold_ever", 0) for o in own.values())
    held = share_held(own)
    cheaper = costs[REST]["whole"] / _start(costs[GENERATED])
    rows = [
        ["no blow-up", f"{blown} of {starts}", blown == 0],
        ["deep- and bottom-water drift held", f"{held:.0%}", held == 1],
        ["largest shock at most twice that of restarts from truth", f"{shock:.2f}", shock <= 2],
        ["at its start as near to equilibrium as the cold start ever comes", f"{near:.0f} of {starts}", near == starts],
        [f"with a year of adjustment 50 times cheaper than {COLD} years from rest", f"{cheaper:.0f} ×", cheaper >= 50],
    ]
    return table(["target", "measured", ""], [[*cells, "met" if met else "missed"] for *cells, met in rows])


def _start(cost: dict[str, float]) -> float:
    """Core-seconds of one start with its year of adjustment; NaN where none came through a month."""
    return cost["state"] + cost.get("restart", np.nan) + cost.get("year", np.nan)


def share_held(own: dict[str, dict]) -> float:
    """Share of drifts held, over all starts and scalars of a road; NaN where it cannot be told."""
    shares = [share for o in own.values() for share in o.get("held", {}).values()]
    return float(np.mean(shares)) if shares else np.nan


def gathered(own: dict[str, dict], key: str) -> list[float]:
    """Of all starts of a road over some settings."""
    return [x for o in own.values() for x in o.get(key, [])]


def pooled(told: dict) -> list[list[str]]:
    roads = dict.fromkeys(road for own in told.values() for road in own)
    return [[road, *_row({name: own[road] for name, own in told.items()})] for road in roads]


def _row(own: dict[str, dict]) -> list[str]:
    """Cells of one road over some settings."""
    every = list(own.values())
    starts = sum(o["starts"] for o in every)
    cells = [str(starts), str(sum(o["blow_ups"] for o in every))]
    shocks = gathered(own, "shock")
    cells.append(f"{np.median(shocks):.2f} ({max(shocks):.2f})" if shocks else "")
    cells += [f"{np.median(far):.3f}" if (far := gathered(own, k)) else "" for k in ("start", "year_after")]
    years = [o["equivalent"] for o in every if "equivalent" in o]
    capped = sum(o.get("capped", 0) for o in every)
    cells.append(f"{'> ' if capped > starts / 2 else ''}{np.median(years):.0f}" if years else "")
    near = [o["nearer_than_cold_ever"] for o in every if "nearer_than_cold_ever" in o]
    cells.append(f"{sum(near):.0f} of {starts}" if near else "")
    held = share_held(own)
    return [*cells, "" if np.isnan(held) else f"{held:.0%}"]


def _costs(result: dict) -> str:
    """Core-seconds of every part, and how often cheaper a start with its year of adjustment is than the cold years."""
    costs, once_ = result["costs"], result["once"]
    whole = costs[REST]["whole"]
    rows = []
    for road, own in costs.items():
        if road in (REST, TRUTH):
            continue
        start = _start(own)
        numbers = [own["state"], own.get("restart", np.nan), own.get("year", np.nan), start]
        rows.append([road, *(f"{x:.2f}" for x in numbers), f"{whole / start:.0f} ×"])
    text = table(
        ["core-seconds", "state", "restart", "one year", "together", f"{COLD} years from rest over that"], rows
    )
    compile_seconds = max(own["compile"] for own in costs.values())
    paid = ", ".join(f"{k} {v:.0f} s" for k, v in once_.items())
    text += f"\n{COLD} years from rest: {whole:.0f} s. Compiling the model, once a process: {compile_seconds:.0f} s. "
    even = sum(once_.values()) / (whole - _start(costs[GENERATED]))
    text += f"Paid once for all states ever generated: {paid}; they are repaid by {even:.0f} starts.\n"
    return text


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    exit_politely(main)
