"""What flows through an ocean: transports across sections, gyres, overturning, heat carried, kinetic energy."""

from collections.abc import Iterator

import numpy as np

from ..ocean.fields import EASTWARD, NORTHWARD, TEMPERATURE
from ..physics.budget import kinetic_energy
from ..physics.overturning import bottom_cell, northern_cell
from ..physics.transport import corner_latitude, gyre_maximum, section_transport
from .basin import Basin, between, need_water
from .regions import Cell, DensityCell
from .state import Scalar, State


def circulation(ocean: Basin) -> Iterator[Scalar]:
    """All that variables, equation of state and regions allow; UserError for a region without water."""
    if ocean.has(EASTWARD):
        yield from sections(ocean)
        yield from gyres(ocean)
    if ocean.has(NORTHWARD):
        for name, cell in ocean.regions.overturning.items():
            yield overturning_cell(ocean, name, cell)
    if ocean.has(NORTHWARD) and ocean.has_density:
        for name, dense in ocean.regions.overturning_in_density.items():
            yield density_cell(ocean, name, dense)
    if ocean.has(NORTHWARD, TEMPERATURE):
        yield from heat_transports(ocean)
    if ocean.has(EASTWARD, NORTHWARD):
        yield Scalar("kinetic_energy", "J", energy)


def sections(ocean: Basin) -> Iterator[Scalar]:
    """Eastward transports [Sv]."""
    for name, region in ocean.regions.sections.items():
        inside = ocean.rows(region.latitude)
        away = np.abs((ocean.grid["nav_lon"] - region.longitude + 180) % 360 - 180)
        column = int(np.where(inside, away, 0).sum(0).argmin())
        rows = inside[:, column]
        need_water(ocean.grid["umask"][:, rows, column], "section", name)

        def flow(s: State, column=column, rows=rows) -> np.ndarray:
            return section_transport(s[EASTWARD], s.grid["e2u"], s.grid["e3u"], column, rows)

        yield Scalar(name, "Sv", flow)


def gyres(ocean: Basin) -> Iterator[Scalar]:
    """Maxima of the barotropic streamfunction [Sv]."""
    latitude = corner_latitude(ocean.grid["nav_lat"])
    for name, region in ocean.regions.gyres.items():
        inside = between(latitude, region.latitude)
        need_water(ocean.grid["tmask"][0] & inside, "gyre", name)

        def maximum(s: State, inside=inside) -> np.ndarray:
            return gyre_maximum(s.streamfunction, inside)

        yield Scalar(name, "Sv", maximum)


def overturning_cell(ocean: Basin, name: str, cell: Cell) -> Scalar:
    """Extreme of ψ(y, z) [Sv]; W points lie where they do in the deepest columns."""
    thickness = (ocean.grid["e3t"] * ocean.grid["tmask"]).max((1, 2))
    top, latitude = thickness.cumsum() - thickness, row_latitude(ocean)
    rows, levels = between(latitude, cell.latitude), between(top, cell.depth)
    need_water(ocean.grid["vmask"][levels][:, rows], "overturning", name)
    strength = bottom_cell if cell.bottom else northern_cell
    return Scalar(name, "Sv", lambda s: strength(s.overturning, top, latitude, cell.depth, cell.latitude))


def density_cell(ocean: Basin, name: str, cell: DensityCell) -> Scalar:
    """Extreme of ψ(y, σ) [Sv]."""
    classes, latitude = np.linspace(*cell.density, cell.classes), row_latitude(ocean)
    need_water(ocean.grid["vmask"][:, between(latitude, cell.latitude)], "overturning", name)
    strength = bottom_cell if cell.bottom else northern_cell
    everything = (-np.inf, np.inf)

    def extreme(s: State) -> np.ndarray:
        psi = s.overturning_in_density(cell.reference, tuple(classes.tolist()))
        return strength(psi, classes, latitude, everything, cell.latitude)

    return Scalar(name, "Sv", extreme)


def heat_transports(ocean: Basin) -> Iterator[Scalar]:
    """Northward heat transports [PW]."""
    for name, line in ocean.regions.heat_transports.items():
        row = int(abs(row_latitude(ocean) - line.latitude).argmin())
        need_water(ocean.grid["vmask"][:, row], "heat transport", name)

        def heat(s: State, row=row) -> np.ndarray:
            return s.heat_transport[..., row]

        yield Scalar(name, "PW", heat)


def energy(s: State) -> np.ndarray:
    """Kinetic energy [J]."""
    return kinetic_energy(s[EASTWARD], s[NORTHWARD], s.volumes["u"], s.volumes["v"])


def row_latitude(ocean: Basin) -> np.ndarray:
    """Mean latitude [°N] of the V points of each row."""
    return corner_latitude(ocean.grid["nav_lat"]).mean(-1)
