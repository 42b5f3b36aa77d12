"""Scores and scalars as dots with bars, before the grey band of what is chance.

The band is the truth's own sampling uncertainty: for scores the interval of ``simulation`` (see ``metrics.truth``), for
scalars the range of the truth's own states. Dots whose bars stay clear of it differ by more than chance.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .curves import BLUE
from .figures import INK, LAND, RC

MODEL, YARDSTICK, COLUMNS = "model", "simulation", 5
Dot = tuple[float, float | None, float | None] | list[float | None]  # value, low, high


def draw_scores(scores: dict[str, dict[str, Dot]], titles: dict[str, str]) -> Figure:
    """One panel for each name in ``titles``, one line a method: ``scores[method][name]`` against climatology's 1."""
    methods = [m for m in scores if m != YARDSTICK and any(n in scores[m] for n in titles)]
    with matplotlib.rc_context(RC):
        figure, panels = _panels(len(titles), 0.55 + 0.17 * len(methods))
        for axes, (name, title) in zip(panels, titles.items(), strict=True):
            own = {m: scores[m][name] for m in methods if name in scores[m]}
            _chance(axes, scores.get(YARDSTICK, {}).get(name))
            axes.axvline(1, color=INK, lw=0.6, ls=(0, (1, 2)))
            for method, dot in own.items():
                _dot(axes, dot, methods.index(method), method == MODEL)
            values = [d[0] for d in own.values() if d[0] is not None]
            axes.set_xlim(0, 1.25 * max([1.0, *values]))
            axes.set_ylim(len(methods) - 0.4, -0.6)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_title(title, fontsize=8.5)
            first = axes.get_subplotspec().is_first_col()
            axes.set_yticks(range(len(methods)), methods if first else [""] * len(methods))
        return figure


def draw_scalars(settings: dict[str, dict], units: dict[str, str], names: list[str]) -> Figure:
    """One panel a scalar of ``names``, one place a setting: the generated mean and central 95 % before the truth's own.

    ``settings[setting]["diagnostics"][truth or model][name]`` holds ``mean``, ``low`` and ``high``.
    """
    with matplotlib.rc_context(RC):
        figure, panels = _panels(len(names), 1.75)
        for axes, name in zip(panels, names, strict=True):
            for place, record in enumerate(settings.values()):
                own = record["diagnostics"]
                _range(axes, own["truth"][name], place)
                mean, low, high = (own[MODEL][name][k] for k in ("mean", "low", "high"))
                if mean is not None:
                    axes.plot([place, place], [low, high], color=BLUE, lw=1.3)
                    axes.plot(place, mean, "o", color=BLUE, ms=4)
            axes.set_title(f"{name} [{units[name]}]" if units.get(name) else name, fontsize=8.5)
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlim(-0.6, len(settings) - 0.4)
            last = axes.get_subplotspec().is_last_row()
            axes.set_xticks(range(len(settings)), list(settings) if last else [""] * len(settings), rotation=90)
        return figure


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = Figure((1.9 * max(columns, 2) + 1.2, height * rows + 0.45), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, list(panels[:count])


def _chance(axes: Axes, dot: Dot | None) -> None:
    """The band of the yardstick's interval, and a line at its value."""
    if dot is None or dot[0] is None:
        return
    if dot[1] is not None:
        axes.axvspan(dot[1], dot[2], color=LAND, alpha=0.4, lw=0)
    axes.axvline(dot[0], color=LAND, lw=1)


def _dot(axes: Axes, dot: Dot, place: int, model: bool) -> None:
    value, low, high = dot
    if value is None:
        return
    colour = BLUE if model else INK
    if low is not None:
        axes.plot([low, high], [place, place], color=colour, lw=1.3)
    axes.plot(value, place, "o", color=colour, ms=4.5 if model else 3.5)


def _range(axes: Axes, truth: dict, place: int) -> None:
    if truth["low"] is not None:
        height = np.ptp([truth["low"], truth["high"]])
        axes.bar(place, height, 0.75, truth["low"], color=LAND, alpha=0.4, lw=0)
        axes.plot([place - 0.37, place + 0.37], [truth["mean"]] * 2, color=LAND, lw=1)
