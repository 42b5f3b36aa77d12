"""Maps and sections of ocean states: rows of panels with shared colours.

Nothing here touches pyplot: figures are made, returned and forgotten, so a training loop can draw them by the
thousand. ``to_svg`` turns one into inline SVG whose ink follows the page's text colour, in light and dark.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cmocean
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..ocean.fields import EASTWARD, NORTHWARD, SALINITY, TEMPERATURE
from ..ocean.grid import OceanGrid
from ..physics.transport import corner_latitude

INK, LAND = "#2b2f36", "#a3a6aa"
SPREAD = "spread"
ANOMALY, STREAMFUNCTION, ROSSBY = "anomaly", "ocean_barotropic_streamfunction", "vorticity_over_f"
# CF standard name (or one of the three above) → colours, and whether they are centred on zero
COLOURS = {
    ANOMALY: (cmocean.cm.balance, True),
    TEMPERATURE: (cmocean.cm.thermal, False),
    SALINITY: (cmocean.cm.haline, False),
    EASTWARD: (cmocean.cm.balance, True),
    NORTHWARD: (cmocean.cm.balance, True),
    "sea_surface_height_above_geoid": (cmocean.cm.balance, True),
    "sea_water_speed": (cmocean.cm.speed, False),
    STREAMFUNCTION: (cmocean.cm.curl, True),
    ROSSBY: (cmocean.cm.curl, True),
}
RC: dict[Any, Any] = {
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
}
RC |= {"ytick.color": INK, "axes.linewidth": 0.5, "xtick.major.width": 0.5, "ytick.major.width": 0.5}
RC |= {"xtick.major.size": 2.5, "ytick.major.size": 2.5, "svg.fonttype": "none", "svg.hashsalt": "ocean"}
RC |= {"axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
RC |= {"axes.formatter.limits": (-4, 5)}
DEFAULT = (cmocean.cm.deep, False)


@dataclass(frozen=True)
class Frame:
    """Where panels live: cell centres ``x`` and ``y`` (1-D or 2-D), panel width and height [inch], what axes are."""

    x: np.ndarray
    y: np.ndarray
    size: tuple[float, float]
    dress: Callable[[Axes], None]


@dataclass(frozen=True)
class Row:
    """One quantity seen several ways: panels share colour limits, but for the spread, which has its own."""

    title: str
    unit: str
    colours: str
    panels: dict[str, np.ndarray]


def map_frame(grid: OceanGrid, height: float = 2.2) -> Frame:
    """Longitude and latitude of T points; a panel is as wide as its degrees ask for, within reason."""
    lon, lat = _unwrapped(grid), grid["nav_lat"]
    ratio = np.clip(np.ptp(lon) / max(np.ptp(lat), 1e-6), 0.65, 2.0)

    def dress(axes):
        axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 3, 5, 6, 9, 10], prune="both"))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 3, 5, 6, 9, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _degrees((v + 180) % 360 - 180, "EW")))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: _degrees(v, "NS")))

    return Frame(lon, lat, (height * ratio, height), dress)


def corner_frame(grid: OceanGrid) -> Frame:
    """The same at F points, the north-eastern corners of the T cells."""
    frame = map_frame(grid)
    eastward = np.diff(frame.x, axis=-1, append=2 * frame.x[:, -1:] - frame.x[:, -2:-1])
    return replace(frame, x=frame.x + eastward / 2, y=corner_latitude(frame.y))


def section_frame(grid: OceanGrid) -> Frame:
    """Latitude against depth; the depth axis goes with its square root, or the upper ocean would be a line."""

    def dress(axes):
        depth_axis(axes, grid)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 3, 5, 6, 9, 10], prune="both"))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: _degrees(v, "NS")))

    return Frame(grid["nav_lat"].mean(-1), grid["gdept"], (1.5, 1.4), dress)


def depth_axis(axes: Axes, grid: OceanGrid) -> None:
    """Depth [m] downwards, stretched near the surface."""
    bottom = grid["gdept"][grid["tmask"].any((-2, -1))].max() * 1.05
    axes.set_yscale("function", functions=(lambda z: np.sqrt(np.maximum(z, 0)), np.square))
    ticks = [t for t in (0, 100, 500, 1000, 2000, 4000, 6000) if t <= bottom]
    axes.set_yticks(ticks if len(ticks) > 2 else np.round(np.linspace(0, bottom, 4), 1))
    axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_ylim(bottom, 0)


def draw_rows(rows: list[Row], frame: Frame) -> Figure:
    """Rows of panels; colour limits are shared along a row, but for the spread.

    They hold the middle 98 % of the wet values of the first panel (the truth, when there is one), and of the others as
    far as half that range beyond it; arrows on the colour bar say that there is more.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.panels))
    width, height = frame.size
    left, gap, bar, top, foot, pitch = 0.66, 0.09, 0.72, 0.28, 0.3, height + 0.16
    shared = len(set(names) - {SPREAD})
    lefts = {name: left + i * (width + gap) + (bar if name == SPREAD and shared else 0) for i, name in enumerate(names)}
    with matplotlib.rc_context(RC):
        figure = Figure((lefts[names[-1]] + width + bar, top + foot + len(rows) * pitch))
        for r, row in enumerate(rows):
            bottom = figure.get_figheight() - top - height - r * pitch
            common = [name for name in row.panels if name != SPREAD]
            limits = _limits([row.panels[name] for name in common], COLOURS.get(row.colours, DEFAULT)[1])
            for name, panel in row.panels.items():
                axes = figure.add_axes(_box(figure, lefts[name], bottom, width, height), label=f"{row.title}|{name}")
                mesh = _panel(axes, panel, frame, row, name, limits)
                axes.tick_params(labelleft=name == names[0], labelbottom=row is rows[-1])
                axes.set_title(name if r == 0 else "", fontsize=8.5)
                axes.set_ylabel(row.title if name == names[0] else "", fontsize=9, labelpad=6)
                if name in (SPREAD, *common[-1:]):
                    place = _box(figure, lefts[name] + width + 0.07, bottom + 0.05 * height, 0.08, 0.9 * height)
                    _colour_bar(figure, mesh, figure.add_axes(place), row.unit, name)
        return figure


def draw_columns(columns: list[tuple[Row, Frame]]) -> Figure:
    """Quantities side by side, a column each, with frames of one size: the panels of all ``Row``s, which have the same
    names, one below the other, and one colour bar a column.

    Colour limits are those of ``draw_rows``.
    """
    names, (width, height) = list(columns[0][0].panels), columns[0][1].size
    left, bar, top, foot, gap = 0.75, 0.85, 0.28, 0.3, 0.12
    with matplotlib.rc_context(RC):
        figure = Figure((left + len(columns) * (width + bar), top + foot + len(names) * (height + gap)))
        for c, (row, frame) in enumerate(columns):
            limits = _limits(list(row.panels.values()), COLOURS.get(row.colours, DEFAULT)[1])
            meshes = []
            for r, (name, panel) in enumerate(row.panels.items()):
                x, y = left + c * (width + bar), figure.get_figheight() - top - height - r * (height + gap)
                box, label = _box(figure, x, y, width, height), f"{row.title}|{name}"
                axes = figure.add_axes(box, label=label)
                meshes.append(_panel(axes, panel, frame, row, name, limits))
                first = figure.axes[0]  # whose window all have, though corners reach half a cell further
                axes.set(xlim=first.get_xlim(), ylim=first.get_ylim())
                axes.tick_params(labelleft=c == 0, labelbottom=r == len(names) - 1)
                axes.set_title(row.title if r == 0 else "", fontsize=9)
                axes.set_ylabel(name if c == 0 else "", fontsize=8.5, labelpad=4)
            reach = figure.get_figheight() - top - y
            place = _box(figure, x + width + 0.07, y + 0.1 * reach, 0.08, 0.8 * reach)
            _colour_bar(figure, meshes[0], figure.add_axes(place), row.unit, names[0])
        return figure


def to_svg(figure: Figure, description: str) -> str:
    """The figure as an inline ``<svg>``: meshes as small embedded images, text as text in the colour of the page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(RC):
        figure.savefig(buffer, format="svg", dpi=144, transparent=False, facecolor="none", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)  # HTML knows what an svg is
    svg = re.sub(r'id="(figure|axes|patch|text|line2d|matplotlib\.axis|xtick|ytick|Q\w+|legend)_\d+"', "", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)


def unit_label(units: str) -> str:
    """CF units as people write them: ``degC`` → °C, ``m s-1`` → m s⁻¹."""
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    text = {"degC": "°C", "degree_Celsius": "°C", "degrees_C": "°C", "1": ""}.get(units, units)
    return re.sub(r"(?<=[a-zA-Z])-?\d+", lambda m: m.group().translate(raised), text)


def _panel(axes, panel, frame, row, name, limits):
    axes.set_facecolor(LAND)
    for spine in axes.spines.values():
        spine.set_visible(True)
    spread = name == SPREAD
    colours = cmocean.cm.amp if spread else COLOURS.get(row.colours, DEFAULT)[0]
    low, high = (0.0, _limits([panel], False)[1]) if spread else limits
    wet = np.ma.masked_invalid(panel)
    norm = Normalize(low, high)
    if row.colours == STREAMFUNCTION and not spread:  # a circumpolar current would hide every gyre on a linear scale
        norm = AsinhNorm(high / 8, low, high)
    mesh = axes.pcolormesh(frame.x, frame.y, wet, cmap=colours, norm=norm, shading="nearest", rasterized=True)
    frame.dress(axes)
    return mesh


def _colour_bar(figure, mesh, place, unit, name):
    data, (low, high) = mesh.get_array().compressed(), mesh.get_clim()
    beyond = (name != SPREAD and data.min(initial=low) < low, data.max(initial=high) > high)
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[beyond]
    ticks = None if isinstance(mesh.norm, AsinhNorm) else MaxNLocator(5)
    bar = figure.colorbar(mesh, cax=place, extend=extend, ticks=ticks, format=FuncFormatter(lambda v, _: f"{v:g}"))
    bar.minorticks_off()
    bar.solids.set_rasterized(True)
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(unit, fontsize=8, labelpad=4)


def _unwrapped(grid):
    return np.unwrap(grid["nav_lon"], period=360, axis=-1)


def _limits(panels, symmetric):
    wet = [p[np.isfinite(p)] for p in panels if np.isfinite(p).any()] or [np.zeros(1)]
    ranges = np.stack([np.percentile(p, [1, 99]) for p in wet])
    first_low, first_high = ranges[0]
    room = (first_high - first_low) / 2
    low, high = float(max(ranges[:, 0].min(), first_low - room)), float(min(ranges[:, 1].max(), first_high + room))
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    return (low, high) if high > low else (low - 1e-9, low + 1e-9)


def _box(figure, left, bottom, width, height):
    w, h = figure.get_size_inches()
    return (left / w, bottom / h, width / w, height / h)


def _degrees(value, letters):
    return f"{abs(value):g}°" + ("" if value == 0 else letters[int(value < 0)])
