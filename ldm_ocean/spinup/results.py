"""The result of ``experiment.spin_up``, or ``nemo.read_runs``, as JSON and as one HTML page."""

import json
from html import escape
from pathlib import Path

import numpy as np

from ..io.atomic import write_text
from ..report import page as report
from ..report.case import figure
from ..report.tables import provenance_list, score_table
from . import figures
from .summary import shocks, summary

DRIFT = """Annual means after the start: mean and extremes over the starts of each road. Grey: the range of annual means
of the truth's own continuation."""
DISTANCE = """Distance of annual mean states from equilibrium, the mean of the truth's continuation or, where none runs
beside, of the setting's known states: 1 is as far as states of any parameters are from their mean. Grey: single years
of that continuation. The cold start begins at rest; the year in which it comes as near as another start is in its
second year is what that start is worth: its equivalent years."""
UNKNOWN = """Where no truth runs beside (or it blew up) and no states of the setting are known,
equilibrium is not known: distances are from the end of the cold start, which may not have arrived there, how many years
a start is worth is not told, nor whether a drift is held."""
SHOCK = """Changes of the {of} in the first 30 days, summed; over the mean of the restarts from truth (dashed: twice),
in {unit} where there are none."""
COLUMNS = {
    "starts": "starts",
    "blow_ups": "blow-ups",
    "shock": "shock / truth's",
    "shock_absolute": "shock [{unit}]",
    "start": "D, first year",
    "year_after": "D, second year",
    "from_cold_end": "from the cold start's end, first year",
    "equivalent": "equivalent years",
    "held": "drift held",
}


def write_results(path: Path, result: dict) -> None:
    """As JSON."""
    write_text(path, json.dumps(result, indent=1))


def write_page(path: Path, result: dict) -> Path:
    """The page; its path."""
    about, settings = result["about"], result["settings"]
    known = all("control" in setting for setting in settings.values())
    sections = {"In short": _short(result) + ("" if known else f"<p>{UNKNOWN}</p>")}
    sections["Distance from equilibrium"] = figure(figures.draw_distance(settings), DISTANCE if known else "")
    if any(shocks(road) for setting in settings.values() for road in setting["roads"].values()):
        shock = result["shock"]
        sections["Shock"] = figure(figures.draw_shock(settings, shock["unit"]), SHOCK.format(**shock))
    for name, setting in settings.items():
        asked = ", ".join(f"{k} {v:.4g}" for k, v in setting["parameters"].items())
        drawn = figure(figures.draw_drift(setting, result["units"]), DRIFT)
        sections[f"Drift, {name}"] = f"<p class=soft>{escape(asked)}</p>" + drawn + _preflight(setting)
    if result["costs"]:
        sections["Cost"] = score_table("core-seconds", "seconds", result["costs"], {})
    starts, years, cold = (about[k] for k in ("members", "years", "cold_years"))
    subtitle = f"At most {starts} starts of each road, {years:g} years each"
    subtitle += f"; {cold:g} years from rest." if cold else "."
    return report.write_page(path, "The closed loop", subtitle, sections | {"Plan": provenance_list(about)})


def _short(result: dict) -> str:
    """One table a setting."""
    text = ""
    for name, setting in result["settings"].items():
        scalars = [k for k in setting.get("control", {}).get("drift", {}) if k.startswith(tuple(result["boxes"]))]
        rows = summary(setting, result["about"]["cold_years"], scalars)
        text += score_table(name, "count", {k: _cells(own, result["shock"]["unit"]) for k, own in rows.items()}, {})
    return f"<div class=tables>{text}</div>"


def _cells(own: dict, unit: str) -> dict[str, float]:
    """Medians over starts; of what is held, the worst scalar; ``unit`` is that of a shock."""
    out = {}
    for key, title in COLUMNS.items():
        if key in own:
            value = own[key]
            value = min(value.values(), default=np.nan) if isinstance(value, dict) else value
            out[title.format(unit=unit)] = float(np.median(value)) if isinstance(value, list) else float(value)
    return out


def _preflight(setting: dict) -> str:
    """Worst numbers before the start, by road, and what to know of them."""
    roads = setting["roads"].items()
    rows = {road: own["preflight"] for road, own in roads if own.get("preflight")}
    warned = "".join(f"<p>{escape(f'{road}: {text}')}</p>" for road, own in roads for text in own.get("warnings", []))
    table = score_table("Before the start, the largest of each road", "count", rows, {}) if rows else ""
    return table + warned
