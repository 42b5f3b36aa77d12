"""One setting on the page: its states seen as maps, sections, profiles and streamfunction."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..ocean.fields import EASTWARD, NORTHWARD, SALINITY, TEMPERATURE
from ..ocean.grid import OceanGrid
from . import curves, figures, views
from .inputs import Example, ReportInputs


def figure(drawn: Figure, caption: str, heading: str = "") -> str:
    """HTML: the figure inline, under its heading and over its caption."""
    svg = figures.to_svg(drawn, escape(f"{heading} {caption}".strip(), quote=True))
    title = f"<h4>{escape(heading)}</h4>" if heading else ""
    return f"<figure>{title}{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"


@dataclass(frozen=True)
class States:
    """The states of a case by column title, ready to be seen through any function of a state."""

    named: dict[str, xr.Dataset]
    members: xr.Dataset | None
    grid: OceanGrid
    simulation: xr.Dataset | None

    @property
    def first(self) -> xr.Dataset:
        return next(s for s in (*self.named.values(), self.members) if s is not None)

    def field(self, state: xr.Dataset, name: str) -> np.ndarray:
        return views.values(state, name, self.grid, self.first[name].attrs["mask"])

    def seen(self, view: Callable[[xr.Dataset], np.ndarray]) -> dict[str, np.ndarray]:
        """``view`` of each state; of the members their mean, the first one and, of two or more, their spread."""
        panels = {title: view(state) for title, state in self.named.items()}
        if self.members is not None:
            members = view(self.members)
            panels |= {"generated mean": members.mean(0), "one member": members[0]}
            if len(members) > 1:
                panels[figures.SPREAD] = members.std(0, ddof=1)
        return panels

    def label(self, name: str) -> tuple[str, str, str]:
        """Title, unit and standard name of a variable."""
        attrs = self.first[name].attrs
        return attrs.get("long_name", name), figures.unit_label(attrs.get("units", "")), attrs.get("standard_name", "")

    @property
    def currents(self) -> list[str]:
        """Eastward and northward velocity, as far as the states have them."""
        names = (views.by_standard_name(self.first, n) for n in (EASTWARD, NORTHWARD))
        return [name for name in names if name]

    def speed(self, state: xr.Dataset) -> np.ndarray:
        east, north = (self.field(state, name) for name in self.currents)
        return views.speed(east, north, self.grid)

    @property
    def moves(self) -> bool:
        return len(self.currents) == 2


def case_section(case: Example, panels: ReportInputs) -> str:
    """HTML: the setting's parameters, maps, meridional section, profiles and streamfunction."""
    named = {"truth": case.truth, "reconstruction": case.reconstruction}
    states = States({k: v for k, v in named.items() if v is not None}, case.members, panels.grid, case.simulation)
    facts = {name: f"{value:.4g}" for name, value in case.parameters.items()}
    facts |= {"season": f"{case.season:.2f} of the year"} if case.season is not None else {}
    facts |= {"members": str(case.members.sizes["member"])} if case.members is not None else {}
    text = "".join(f"<span>{escape(k)} <b>{escape(v)}</b></span>" for k, v in facts.items())
    text = f"<div class=settings>{text}</div>" if text else ""
    if not states.named and states.members is None:
        return text + "<p class=soft>No states were given for this setting.</p>"
    return text + _maps(states, panels) + _sections(states) + _profiles(states, panels) + _streamfunction(states)


def _maps(states: States, panels: ReportInputs) -> str:
    levels = list(dict.fromkeys(views.nearest_level(panels.grid, depth) for depth in panels.depths))
    shared = "Colours are shared along a row; the spread (standard deviation of the members) has its own."
    text = "<h3>Maps</h3>"
    for n, level in enumerate(levels):
        rows = _map_rows(states, level, n == 0, None)
        text += figure(figures.draw_rows(rows, figures.map_frame(panels.grid)), shared, _metres(panels, level))
    if panels.climatology is None:
        return text
    text += "<details><summary>The same maps less the climatology</summary>"
    for n, level in enumerate(levels):
        rows = _map_rows(states, level, n == 0, panels.climatology)
        caption = f"Anomalies from the climatology. {shared}"
        text += figure(figures.draw_rows(rows, figures.map_frame(panels.grid)), caption, _metres(panels, level))
    return text + "</details>"


def _map_rows(states: States, level: int, surface: bool, climatology: xr.Dataset | None) -> list[figures.Row]:
    """One row a variable at ``level``; variables without depth are shown where ``surface`` is true."""
    rows = []
    for name in views.variables(states.first):
        deep = "depth" in states.first[name].dims
        if (deep or surface) and (climatology is None or name in climatology):
            rows.append(_map_row(states, name, level if deep else 0, climatology))
    return rows


def _map_row(states: States, name: str, level: int, climatology: xr.Dataset | None) -> figures.Row:
    title, unit, colours = states.label(name)
    if climatology is None:
        return figures.Row(title, unit, colours, states.seen(lambda s: states.field(s, name)[..., level, :, :]))
    base = states.field(climatology, name)[level]
    seen = states.seen(lambda s: states.field(s, name)[..., level, :, :] - base)
    return figures.Row(title, unit, figures.ANOMALY, seen)


def _metres(panels: ReportInputs, level: int) -> str:
    return f"{panels.grid['gdept'][level]:.0f} m"


def _sections(states: States) -> str:
    grid = states.grid
    names = [views.by_standard_name(states.first, n) for n in (TEMPERATURE, SALINITY)]
    rows = [_section_row(states, name) for name in names if name]
    if states.moves:
        seen = states.seen(lambda s: views.zonal_mean(states.speed(s), grid["e1t"]))
        rows.append(figures.Row("speed", "m s⁻¹", "sea_water_speed", seen))
    if not rows:
        return ""
    caption = "Zonal means over wet cells. The depth axis (m) is stretched towards the surface."
    return "<h3>Meridional section</h3>" + figure(figures.draw_rows(rows, figures.section_frame(grid)), caption)


def _section_row(states: States, name: str) -> figures.Row:
    seen = states.seen(lambda s: views.zonal_mean(states.field(s, name), states.grid["e1t"]))
    return figures.Row(*states.label(name), seen)


def _profiles(states: States, panels: ReportInputs) -> str:
    grid = states.grid
    profiles: dict[str, dict[str, np.ndarray]] = {}
    units: dict[str, str] = {}
    named = states.named | ({"climatology": panels.climatology} if panels.climatology is not None else {})
    several = {"members": states.members, "simulation": states.simulation}
    named |= {k: v for k, v in several.items() if v is not None}
    for name in views.variables(states.first):
        if "depth" in states.first[name].dims:
            title, unit, _ = states.label(name)
            volume = grid.volume(states.first[name].attrs["mask"][0])
            profiles[title] = {k: views.profile(states.field(s, name), volume) for k, s in named.items() if name in s}
            units[title] = unit
    if not profiles:
        return ""
    if states.moves:
        moving = {k: s for k, s in named.items() if all(name in s for name in states.currents)}
        profiles["speed"] = {k: views.profile(states.speed(s), grid.volume()) for k, s in moving.items()}
        units["speed"] = "m s⁻¹"
    caption = "Area means per level; below, the same less the truth. The blue band spans all members"
    chance = ", the grey one the truth's other states of the season: what lies inside it is chance."
    caption += "." if states.simulation is None else chance
    return "<h3>Profiles</h3>" + figure(curves.draw_profiles(profiles, units, grid), caption)


def _streamfunction(states: States) -> str:
    name = views.by_standard_name(states.first, EASTWARD)
    if not name:
        return ""
    seen = states.seen(lambda s: views.streamfunction(states.field(s, name), states.grid))
    row = figures.Row("streamfunction", "Sv", figures.STREAMFUNCTION, seen)
    caption = "Zero at the northern wall; clockwise gyres are positive. Colours are compressed away from zero."
    return "<h3>Barotropic streamfunction</h3>" + figure(
        figures.draw_rows([row], figures.corner_frame(states.grid)), caption
    )
