"""Lines: profiles against depth, scores by depth, training curves."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..ocean.grid import OceanGrid
from .figures import INK, LAND, RC, depth_axis

BLUE, ORANGE, GREEN, VIOLET, RED = "#3f8fd2", "#de7c3a", "#6f9f3c", "#9b7fd4", "#d25c6a"
CYCLE = (BLUE, ORANGE, GREEN, VIOLET, RED, INK)


def draw_profiles(profiles: dict[str, dict[str, np.ndarray]], units: dict[str, str], grid: OceanGrid) -> Figure:
    """Level means against depth, and below them the same less the truth.

    ``profiles[title]`` holds ``members`` and ``simulation`` (member, depth) and any of ``truth``, ``reconstruction``,
    ``climatology`` (depth,), in the unit of ``units[title]``.
    """
    compared = any("truth" in p for p in profiles.values())
    with matplotlib.rc_context(RC):
        figure = Figure((1.95 * max(len(profiles), 2) + 0.4, 5.2 if compared else 2.9), layout="constrained")
        grid_axes = figure.subplots(1 + compared, len(profiles), squeeze=False, sharey=True)
        for column, (title, lines) in enumerate(profiles.items()):
            _profile(grid_axes[0, column], lines, grid)
            grid_axes[0, column].set_title(title, fontsize=9)
            grid_axes[-1, column].set_xlabel(units[title])
            if compared and "truth" in lines:
                _profile(grid_axes[1, column], {k: v - lines["truth"] for k, v in lines.items()}, grid)
            elif compared:
                grid_axes[1, column].set_visible(False)
        for axes, label in zip(grid_axes[:, 0], ["depth [m]", "depth [m], less truth"], strict=False):
            axes.set_ylabel(label)
        legend(figure)
        return figure


def draw_levels(scores: dict[str, dict[str, list]], titles: dict[str, tuple[str, str]], grid: OceanGrid) -> Figure:
    """A score against depth: ``scores[method][variable]`` (depth,), one line a method, one panel for each variable in
    ``titles``, which gives its title and unit."""
    names = list(titles)
    with matplotlib.rc_context(RC):
        figure = Figure((1.95 * max(len(names), 2) + 0.4, 2.9), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False, sharey=True)[0], names, strict=True):
            for colour, (method, by_variable) in zip(CYCLE * len(scores), scores.items(), strict=False):
                if name in by_variable:
                    line = np.array(by_variable[name], float)
                    axes.plot(line, grid["gdept"], color=colour, lw=1.2, label=method)
            depth_axis(axes, grid)
            axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.set_title(titles[name][0], fontsize=9)
            axes.set_xlabel(titles[name][1])
        figure.axes[0].set_ylabel("depth [m]")
        legend(figure)
        return figure


def draw_curves(records: list[dict]) -> Figure | None:
    """Training curves from log records: one panel for each logged number, one line for each split; None if empty.

    Records hold ``samples`` or ``step``, perhaps ``split``, and numbers by name.
    """
    axis = "samples" if any("samples" in r for r in records) else "step"
    lines: dict[str, dict[str, list]] = {}
    for record in records:
        split = str(record.get("split", "train"))
        for name, value in record.items():
            if name not in ("samples", "step", "epoch", "split", "time") and _is_number(value) and axis in record:
                lines.setdefault(name, {}).setdefault(split, []).append((record[axis], value))
    if not lines:
        return None
    splits = list(dict.fromkeys(split for panel in lines.values() for split in panel))
    columns = min(len(lines), 4)
    rows = -(-len(lines) // columns)
    with matplotlib.rc_context(RC):
        figure = Figure((2.3 * max(columns, 2), 1.75 * rows + 0.35), layout="constrained")
        every = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (name, panel) in zip(every, lines.items(), strict=False):
            for split, points in panel.items():
                x, y = np.array(sorted(points), float).T
                axes.plot(x, y, color=CYCLE[splits.index(split) % len(CYCLE)], lw=1.1, label=split)
            finite = np.array([y for points in panel.values() for _, y in points], float)
            if (finite > 0).all() and finite.max() > 5 * finite.min():
                axes.set_yscale("log")
            axes.set_title(name, fontsize=8.5)
            axes.set_xlabel(axis)
        for axes in every[len(lines) :]:
            axes.set_visible(False)
        legend(figure)
        return figure


def legend(figure: Figure, columns: int = 5) -> None:
    """One legend over all panels."""
    handles = {h.get_label(): h for axes in figure.axes for h in axes.get_legend_handles_labels()[0]}
    figure.legend(handles=list(handles.values()), loc="outside upper center", ncols=columns, fontsize=8)


def _profile(axes, lines, grid):
    depth = grid["gdept"]
    if "simulation" in lines:
        own = lines["simulation"]
        axes.fill_betweenx(depth, own.min(0), own.max(0), color=LAND, alpha=0.5, lw=0, label="the truth's own states")
    if "members" in lines:
        members = lines["members"]
        axes.fill_betweenx(depth, members.min(0), members.max(0), color=BLUE, alpha=0.35, lw=0, label="members, all")
        axes.plot(members.mean(0), depth, color=BLUE, lw=1.2, label="generated mean")
    for name, style in {
        "climatology": {"color": ORANGE, "ls": (0, (4, 2))},
        "reconstruction": {"color": GREEN, "ls": (0, (1.5, 1.5)), "lw": 1.6},
        "truth": {"color": INK, "lw": 1.0},
    }.items():
        if name in lines:
            axes.plot(lines[name], depth, label=name, **({"lw": 1.2} | style))
    depth_axis(axes, grid)
    axes.xaxis.set_major_locator(MaxNLocator(4))


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
