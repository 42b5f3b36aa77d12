"""``write_report``: everything a reader needs to judge a model, in one HTML file that needs nothing else."""

from html import escape
from pathlib import Path

from ..io.atomic import write_text
from . import curves, dots, tables, views
from .case import case_section, figure
from .figures import unit_label
from .inputs import ReportInputs
from .style import CSS

SCORES = {  # those shown, by their names in metrics.json
    "crps": "Fair CRPS",
    "rmse": "RMSE of the ensemble mean",
    "bias": "Bias of the ensemble mean",
    "anomaly_share": "Mean square error / anomaly variance",
    "spread_skill": "Spread / skill",
}
UNITLESS = ("anomaly_share", "spread_skill")
UNRANKED = """Reconstruction and simulation (the truth's own other states of the season) have seen the truth: they are
no contestants. CRPS skill is positive where the model is better."""
CHANCE = """Fair CRPS over that of climatology (dotted line at 1), with 95 % bootstrap intervals over settings. The grey
band is what the truth's own other states of the season score: dots whose bars stay to the right of it are worse by more
than chance. Few and never of the very day, those states can be beaten where most is weather, as in currents."""
SCALARS = """Generated mean and central 95 % (blue) by setting; grey is the central 95 % of the truth's own states, all
seasons, with the mean of those that verify."""


def write_report(path: Path, panels: ReportInputs) -> Path:
    """Write the page to ``path``, whole or not at all, and return it."""
    sections = {
        "Scores": _scores(panels.metrics, panels),
        "Reconstruction": _reconstruction(panels.reconstruction, panels),
        **{f"Setting {case.setting}": case_section(case, panels) for case in panels.cases},
        "Training": _training(panels.training),
        "Provenance": tables.provenance_list(panels.provenance) if panels.provenance else "",
    }
    return write_page(path, panels.title, _subtitle(panels), sections)


def write_page(path: Path, title: str, subtitle: str, sections: dict[str, str]) -> Path:
    """A self-contained page of HTML ``sections`` by heading; empty ones are left out."""
    present = [(f"s{i}", name, body) for i, (name, body) in enumerate(sections.items()) if body]
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in present)
    body = "".join(f'<section id="{key}"><h2>{escape(name)}</h2>{text}</section>\n' for key, name, text in present)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style></head>\n'
        f"<body><header><h1>{escape(title)}</h1><p class=soft>{escape(subtitle)}</p>"
        f"<nav>{links}</nav></header>\n<main>{body}</main></body></html>\n"
    )
    path = Path(path)
    write_text(path, page)
    return path


def _scores(metrics: dict, panels: ReportInputs) -> str:
    """Scores of ``evaluate``: by split against the truth, and folded away those against decode(encode(truth))."""
    units, text = metrics.get("units", {}), ""
    for split, record in metrics.get("splits", {}).items():
        text += f"<h3>{escape(split)} settings</h3>" + _dots(record, panels)
        if "crps_skill" in record:
            rows = {f"over {k}": v for k, v in record["crps_skill"].items()}
            caption = "CRPS skill of the model, 1 − CRPS / CRPS"
            text += tables.score_table(caption, "skill", rows, _notes(panels, {}))
        for against, methods in record.get("scores", {}).items():
            contestants = {m: tables.turned(by_variable) for m, by_variable in methods.items() if m != against}
            body = _tables(contestants, panels, units)
            folded = f"<details><summary>Against {escape(against)} instead</summary>{body}</details>"
            text += body + _levels(contestants, panels, units) if against == "truth" else folded
        if record.get("diagnostics"):
            turned = {m: tables.turned(by_name) for m, by_name in record["diagnostics"].items()}
            body = _tables(turned, panels, units)
            text += f"<details><summary>Scalar diagnostics as tables</summary>{body}</details>"
    text += _scalars(metrics.get("settings", {}), units)
    return text and f"<p class=soft>The best of each column is in bold. {UNRANKED}</p>{text}"


def _dots(record: dict, panels: ReportInputs) -> str:
    """CRPS relative to climatology: of the variables, and of the scalar diagnostics."""
    scores, notes, text = record.get("relative_crps", {}), _notes(panels, {}), ""
    names = list(dict.fromkeys(n for own in scores.values() for n, dot in own.items() if dot[0] is not None))
    variables = [n for n in names if n == "all" or any(n in own for own in record["scores"]["truth"].values())]
    for heading, chosen in (("variables", variables), ("scalars", [n for n in names if n not in variables])):
        titles = {n: "all variables" if n == "all" else notes.get(n) or n for n in chosen}
        text += figure(dots.draw_scores(scores, titles), CHANCE, f"CRPS of {heading}") if titles else ""
    return text


def _scalars(settings: dict[str, dict], units: dict[str, str]) -> str:
    """The scalar diagnostics of every setting, generated beside simulated."""
    first = next(iter(settings.values()), {}).get("diagnostics", {}).get("truth", {})
    drawn = [n for n, own in first.items() if "low" in own]
    if not drawn:
        return ""
    labels = {n: unit_label(u) for n, u in units.items()}
    return "<h3>Scalar diagnostics</h3>" + figure(dots.draw_scalars(settings, labels, drawn), SCALARS)


def _tables(methods: dict, panels: ReportInputs, units: dict[str, str]) -> str:
    """The tables of ``{method: {score: {column: number}}}`` in the order of ``SCORES``."""
    scores, text = tables.turned(methods), ""
    for score in [k for k in SCORES if k in scores]:
        notes = _notes(panels, {} if score in UNITLESS else units)
        text += tables.score_table(SCORES[score], score, scores[score], notes)
    return f"<div class=tables>{text}</div>"


def _levels(methods: dict, panels: ReportInputs, units: dict[str, str]) -> str:
    """The same by level, as lines, folded away."""
    names, scores, text = _notes(panels, {}), tables.turned(methods), ""
    for score in [k for k in SCORES if f"{k}_by_level" in scores]:
        lines = scores[f"{score}_by_level"]
        deep = [n for v in lines.values() for n, x in v.items() if len(x) - x.count(None) > 1]
        titles = {n: (names.get(n) or n, "" if score in UNITLESS else unit_label(units.get(n, ""))) for n in deep}
        if titles:
            text += figure(curves.draw_levels(lines, titles, panels.grid), f"{SCORES[score]}, against the truth.")
    return text and f"<details><summary>Scores by depth</summary>{text}</details>"


def _notes(panels: ReportInputs, units: dict[str, str]) -> dict[str, str]:
    """What stands below a column's name: the variable's long name and the unit."""
    states = (s for case in panels.cases for s in (case.truth, case.reconstruction, case.members) if s is not None)
    first = next(states, None)
    notes = {n: first[n].attrs.get("long_name", "") for n in views.variables(first)} if first is not None else {}
    return notes | {n: f"{notes.get(n, '')}\n{unit_label(u)}".strip() for n, u in units.items()}


def _reconstruction(methods: dict, panels: ReportInputs) -> str:
    """Any ``{method: {…: {variable: number}}}``: every path in between is a table."""
    drawn = (
        tables.score_table(" · ".join(path), " ".join(path), rows, _notes(panels, {}))
        for path, rows in tables.grouped(methods).items()
    )
    text = "".join(drawn)
    return text and f"<p class=soft>The best of each column is in bold.</p><div class=tables>{text}</div>"


def _training(stages: dict[str, list[dict]]) -> str:
    drawn = {name: curves.draw_curves(records) for name, records in stages.items()}
    return "".join(f"<h3>{escape(name)}</h3>{figure(f, f'Training of {name}.')}" for name, f in drawn.items() if f)


def _subtitle(panels: ReportInputs) -> str:
    depth, rows, columns = panels.grid.shape
    wet = panels.grid["tmask"].mean()
    return f"Grid of {columns} × {rows} columns and {depth} levels, {wet:.0%} wet; {len(panels.cases)} settings shown."
