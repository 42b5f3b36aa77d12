"""Scores and scalars as dots with bars, before the grey band of what is chance.

The band is the truth's own sampling uncertainty: for scores the interval of ``simulation`` (see ``metrics.truth``), for
scalars the range of the truth's own states. Dots whose bars stay clear of it differ by more than chance.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from .curves import BLUE
from .figures import INK, LAND, RC

MODEL, YARDSTICK, COLUMNS = "model", "simulation", 6
TICKS = {3: (1, 1.5, 2, 3, 5, 7), 30: (1, 2, 5), np.inf: (1,)}  # of a decade, by the ratio of the axis' ends
Dot = tuple[float, float | None, float | None] | list[float | None]  # value, low, high


def draw_scores(scores: dict[str, dict[str, Dot]], titles: dict[str, str]) -> Figure:
    """One panel for each name in ``titles``, one line a method: ``scores[method][name]`` against climatology's 1."""
    methods = [m for m in scores if m != YARDSTICK and any(n in scores[m] for n in titles)]
    with matplotlib.rc_context(RC):
        figure, panels = _panels(len(titles), 0.55 + 0.17 * len(methods))
        for place, (axes, (name, title)) in enumerate(zip(panels, titles.items(), strict=True)):
            own = {m: scores[m][name] for m in methods if name in scores[m]}
            _chance(axes, scores.get(YARDSTICK, {}).get(name))
            axes.axvline(1, color=INK, lw=0.6, ls=(0, (1, 2)))
            for method, dot in own.items():
                _dot(axes, dot, methods.index(method), method == MODEL)
            _ratio_axis(axes)
            axes.set_ylim(len(methods) - 0.4, -0.6)
            axes.set_title(title, fontsize=8.5)
            axes.set_yticks(range(len(methods)), methods if place % COLUMNS == 0 else [""] * len(methods))
        return figure


def draw_scalars(settings: dict[str, dict], units: dict[str, str], names: list[str]) -> Figure:
    """One panel a scalar of ``names``, one place a setting: the generated mean and central 95 % before the truth's own.

    ``settings[setting]["diagnostics"][truth or model][name]`` holds ``mean``, ``low`` and ``high``.
    """
    with matplotlib.rc_context(RC):
        figure, panels = _panels(len(names), 1.75)
        for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
            for column, record in enumerate(settings.values()):
                own = record["diagnostics"]
                _range(axes, own["truth"][name], column)
                mean, low, high = (own[MODEL][name][k] for k in ("mean", "low", "high"))
                if mean is not None:
                    axes.plot([column, column], [low, high], color=BLUE, lw=1.3)
                    axes.plot(column, mean, "o", color=BLUE, ms=4)
            axes.set_title(f"{name} [{units[name]}]" if units.get(name) else name, fontsize=8)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlim(-0.6, len(settings) - 0.4)
            lowest = place + COLUMNS >= len(names)
            axes.set_xticks(range(len(settings)), list(settings) if lowest else [""] * len(settings), rotation=90)
        return figure


def _ratio_axis(axes: Axes) -> None:
    """Twice as good is as far from 1 as twice as bad."""
    axes.set_xscale("log", nonpositive="clip")
    low, high = axes.get_xlim()
    subs = next(ticks for span, ticks in TICKS.items() if high < span * low)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = Figure((1.75 * max(columns, 2) + 1.1, height * rows + 0.45), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, list(panels[:count])


def _chance(axes: Axes, dot: Dot | None) -> None:
    """The band of the yardstick's interval, and a line at its value."""
    value, low, high = dot or (None, None, None)
    if low is not None and high is not None:
        axes.axvspan(low, high, color=LAND, alpha=0.4, lw=0)
    if value is not None:
        axes.axvline(value, color=LAND, lw=1)


def _dot(axes: Axes, dot: Dot, place: int, model: bool) -> None:
    value, low, high = dot
    if value is None:
        return
    colour = BLUE if model else INK
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, lw=1.3)
    axes.plot(value, place, "o", color=colour, ms=4.5 if model else 3.5)


def _range(axes: Axes, truth: dict, column: int) -> None:
    if truth["low"] is not None:
        height = np.ptp([truth["low"], truth["high"]])
        axes.bar(column, height, 0.75, truth["low"], color=LAND, alpha=0.4, lw=0)
        axes.plot([column - 0.37, column + 0.37], [truth["mean"]] * 2, color=INK, lw=0.8)
