"""Scalars of one ocean state: box means, depth means, transports, gyres, unstable volume.

Where boxes, depths, sections and gyres lie is configuration; what "temperature" is follows from CF standard names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..data.fields import EASTWARD, SALINITY, TEMPERATURE, Field, Fields
from ..errors import UserError
from ..grid import OceanGrid
from ..physics.boxes import box, box_mean, mean_at_depth
from ..physics.eos import EQUATIONS, equation_of_state
from ..physics.stratification import unstable_volume
from ..physics.transport import barotropic_streamfunction, corner_latitude, gyre_maximum, section_transport


@dataclass
class Box:
    """depth [m] and latitude [°N] limits; ``outside``: all of the ocean but that box."""

    depth: tuple[float, float]
    latitude: tuple[float, float]
    outside: bool = False


@dataclass
class Level:
    """The mean of ``standard_name`` at ``depth`` [m] between two latitudes [°N]."""

    depth: float
    latitude: tuple[float, float]
    standard_name: str = TEMPERATURE


@dataclass
class Section:
    """Eastward transport across the grid column nearest to ``longitude`` [°E] between two latitudes [°N]."""

    longitude: float
    latitude: tuple[float, float]


@dataclass
class Gyre:
    """Maximum of the barotropic streamfunction between two latitudes [°N]."""

    latitude: tuple[float, float]


@dataclass
class Regions:
    """Named regions of the diagnostics; all empty by default, for nothing is known about an ocean beforehand."""

    boxes: dict[str, Box] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    gyres: dict[str, Gyre] = field(default_factory=dict)


class Diagnostics:
    """All diagnostics a grid, its fields and the regions allow: states (..., V, D, Y, X) → {name: (...)}.

    ``units`` holds the unit of each name. ``equation_of_state`` names the model's own; without it, or without both
    temperature and salinity, there is no unstable volume. UserError for a region without water.
    """

    def __init__(self, grid: OceanGrid, fields: Fields, regions: Regions, equation_of_state: str | None = None):
        self.grid, self.fields = grid, fields
        self.units: dict[str, str] = {}
        self._functions: dict[str, Callable] = {}
        self._boxes(regions.boxes)
        self._levels(regions.levels)
        if self._channel(EASTWARD) is not None:
            self._sections(regions.sections)
            self._gyres(regions.gyres)
        if equation_of_state in EQUATIONS and None not in (self._channel(TEMPERATURE), self._channel(SALINITY)):
            self._unstable(equation_of_state)

    def __call__(self, states) -> dict[str, np.ndarray]:
        """States (..., V, D, Y, X), numpy or torch, 0 on land."""
        states = np.asarray(states, dtype="float64")
        return {name: function(states) for name, function in self._functions.items()}

    def _channel(self, standard_name: str) -> int | None:
        names = [f.attrs.get("standard_name") for f in self.fields]
        return names.index(standard_name) if standard_name in names else None

    def _add(self, name: str, unit: str, function: Callable):
        self.units[name], self._functions[name] = unit, function

    def _boxes(self, boxes: dict[str, Box]):
        volume = self.grid.volume("t")
        for name, region in boxes.items():
            inside = box(self.grid["gdept"], self.grid["nav_lat"], region.depth, region.latitude, region.outside)
            _need_water(volume * inside, "box", name)
            for v, f in enumerate(self.fields):
                if f.deep and f.mask == "tmask":
                    mean = lambda x, v=v, inside=inside: box_mean(x[..., v, :, :, :], volume, inside)  # noqa: E731
                    self._add(f"{name}.{f.name}", _unit(f), mean)

    def _levels(self, levels: dict[str, Level]):
        depth, mask, area = self.grid["gdept"], self.grid["tmask"], self.grid.area("t")
        for name, region in levels.items():
            v = self._channel(region.standard_name)
            if v is None:
                continue
            inside = self._rows(region.latitude)
            if not depth[0] <= region.depth <= depth[-1]:
                raise UserError(
                    f"level {name!r} at {region.depth:g} m lies outside the grid's {depth[0]:g} to {depth[-1]:g} m"
                )
            arguments = (depth, region.depth, area, mask, inside)
            mean = lambda x, v=v, arguments=arguments: mean_at_depth(x[..., v, :, :, :], *arguments)  # noqa: E731
            with np.errstate(invalid="ignore"):
                _need_water(np.nan_to_num(mean_at_depth(mask * 1.0, *arguments)), "level", name)
            self._add(name, _unit(self.fields[v]), mean)

    def _sections(self, sections: dict[str, Section]):
        v, e2u, e3u = self._channel(EASTWARD), self.grid["e2u"], self.grid["e3u"]
        for name, region in sections.items():
            inside = self._rows(region.latitude)
            away = np.abs((self.grid["nav_lon"] - region.longitude + 180) % 360 - 180)
            column = int(np.where(inside, away, 0).sum(0).argmin())
            rows = inside[:, column]
            _need_water(self.grid["umask"][:, rows, column], "section", name)
            flow = lambda x, c=column, r=rows: section_transport(x[..., v, :, :, :], e2u, e3u, c, r)  # noqa: E731
            self._add(name, "Sv", flow)

    def _gyres(self, gyres: dict[str, Gyre]):
        v, e2u, e3u = self._channel(EASTWARD), self.grid["e2u"], self.grid["e3u"]
        latitude = corner_latitude(self.grid["nav_lat"])

        def psi(x):
            return barotropic_streamfunction(x[..., v, :, :, :], e2u, e3u)

        for name, region in gyres.items():
            inside = (latitude > region.latitude[0]) & (latitude < region.latitude[1])
            _need_water(self.grid["tmask"][0] & inside, "gyre", name)
            self._add(name, "Sv", lambda x, inside=inside: gyre_maximum(psi(x), inside))

    def _unstable(self, equation: str):
        t, s, density = self._channel(TEMPERATURE), self._channel(SALINITY), equation_of_state(equation)
        depth, volume = self.grid["gdept"][:, None, None], self.grid.volume("t")
        share = lambda x: unstable_volume(x[..., t, :, :, :], x[..., s, :, :, :], depth, volume, density)  # noqa: E731
        self._add("unstable_volume", "%", share)

    def _rows(self, latitude: tuple[float, float]) -> np.ndarray:
        return (self.grid["nav_lat"] > latitude[0]) & (self.grid["nav_lat"] < latitude[1])


def _unit(f: Field) -> str:
    return f.attrs.get("units", "1")


def _need_water(weight, kind: str, name: str):
    if not np.any(weight):
        raise UserError(
            f"{kind} {name!r} of the evaluation config holds no water on this grid: move it or leave it out"
        )
