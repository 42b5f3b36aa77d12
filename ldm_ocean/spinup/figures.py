"""Drift, distance from equilibrium and shock, drawn from the result of ``experiment.spin_up`` or ``nemo.read_runs``."""

from collections.abc import Iterator
from itertools import cycle

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..report.curves import CYCLE, legend
from ..report.figures import INK, LAND, RC, unit_label
from .starts import REST
from .summary import shock_unit, shocks

COLUMNS = 5


def colours(roads: dict) -> dict[str, str]:
    """One colour a road, the cold start in ink; beyond five they come again."""
    return dict(zip((r for r in roads if r != REST), cycle(c for c in CYCLE if c != INK), strict=False)) | {REST: INK}


def draw_drift(setting: dict, units: dict[str, str]) -> Figure:
    """One panel a scalar: annual means of all starts, mean and extremes by road, over the control's range."""
    roads = {k: v for k, v in setting["roads"].items() if k != REST}
    band, names = setting.get("control", {}).get("range", {}), _scalars(roads)
    roads = {k: v for k, v in roads.items() if any("annual" in s for s in v["starts"])}
    rows = max(1, -(-len(names) // COLUMNS))
    with matplotlib.rc_context(RC):
        figure = Figure((12.0, 1.7 * rows + 0.4), layout="constrained")
        panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            if name in band and None not in band[name]:
                axes.axhspan(*band[name], color=LAND, alpha=0.35, lw=0, label="the truth's own continuation")
            for road, own in roads.items():
                lines = _lines(own, name)
                years = np.arange(1, lines.shape[1] + 1)
                colour = colours(setting["roads"])[road]
                axes.plot(years, np.nanmean(lines, 0), color=colour, lw=1.2, label=road)
                axes.fill_between(years, np.nanmin(lines, 0), np.nanmax(lines, 0), color=colour, alpha=0.15, lw=0)
            axes.set_title(f"{name} [{unit_label(units[name])}]" if unit_label(units[name]) else name, fontsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for axes in panels[max(0, len(names) - COLUMNS) : len(names)]:
            axes.set_xlabel("model year")
        legend(figure, 7)
        return figure


def draw_distance(settings: dict[str, dict]) -> Figure:
    """One panel a setting: D of the cold start by year, and of every other start in its own first years; without a
    control, their distance from the end of the cold start."""
    with matplotlib.rc_context(RC):
        figure = Figure((max(2.6 * len(settings), 7.0), 2.8), layout="constrained")
        for axes, own in _panels(figure, settings):
            if "distance" in own.get("control", {}):
                axes.axhspan(*own["control"]["distance"], color=LAND, alpha=0.35, lw=0, label="the truth's own years")
            for road, record in own["roads"].items():
                for n, start in enumerate(s for s in record["starts"] if "distance" in s):
                    x = np.arange(1, len(start["distance"]) + 1)
                    label = road if n == 0 else None
                    axes.plot(x, start["distance"], color=colours(own["roads"])[road], lw=0.9, label=label)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("model year")
            measured = "distance from equilibrium D" if "control" in own else "distance from the cold start's end"
            if measured not in (other.get_ylabel() for other in figure.axes):
                axes.set_ylabel(measured)
        legend(figure, 7)
        return figure


def draw_shock(settings: dict[str, dict], unit: str) -> Figure:
    """Shock in the first month by start, over the mean of the restarts from truth; in its own ``unit`` where not every
    setting has such restarts."""
    units = {name: shock_unit(own) for name, own in settings.items()}
    relative = all(units.values())
    with matplotlib.rc_context(RC):
        figure = Figure((max(2.0 * len(settings), 4.5), 2.4), layout="constrained")
        for axes, own in _panels(figure, settings):
            roads = [r for r in own["roads"] if r != REST]
            theirs = shock_unit(own) if relative else 1.0
            for place, road in enumerate(roads):
                values = np.array(shocks(own["roads"][road])) / theirs
                colour = colours(own["roads"])[road]
                axes.plot(np.full(len(values), place), values, "o", ms=3.5, color=colour, alpha=0.7)
            if relative:
                axes.axhline(2, color=INK, lw=0.6, ls=(0, (2, 2)))
            axes.set_xticks(range(len(roads)), roads, rotation=90)
        figure.axes[0].set_ylim(bottom=0)  # after all are drawn: the panels share it
        figure.axes[0].set_ylabel("shock / that of truth" if relative else f"shock [{unit}]")
        return figure


def _lines(road: dict, name: str) -> np.ndarray:
    """Annual means (start, year) of a scalar, NaN where a run ended early."""
    series = [s["annual"][name] for s in road["starts"] if "annual" in s]
    out = np.full((len(series), max(map(len, series))), np.nan)
    for row, values in zip(out, series, strict=True):
        row[: len(values)] = values
    return out


def _scalars(roads: dict) -> list[str]:
    annual: dict[str, list] = next((s["annual"] for r in roads.values() for s in r["starts"] if "annual" in s), {})
    return [k for k, v in annual.items() if v and v[0] is not None and any(v)]


def _panels(figure: Figure, settings: dict[str, dict]) -> Iterator[tuple[Axes, dict]]:
    """A row of panels with one y axis: each with the record of its setting, whose name it bears."""
    panels = figure.subplots(1, len(settings), squeeze=False, sharey=True)[0]
    for axes, (name, own) in zip(panels, settings.items(), strict=True):
        axes.set_title(name, fontsize=9)
        yield axes, own
