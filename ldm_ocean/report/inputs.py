"""What a report is made of."""

from dataclasses import dataclass, field

import xarray as xr

from ..ocean.grid import OceanGrid


@dataclass(frozen=True)
class Example:
    """One setting the model was asked for. Any state may be missing; ``members`` has a leading dimension ``member``.

    So has ``simulation``: other states of the same simulation and season, whose range is the band of chance.
    """

    setting: str
    parameters: dict[str, float]
    season: float | None = None
    truth: xr.Dataset | None = None
    reconstruction: xr.Dataset | None = None
    members: xr.Dataset | None = None
    simulation: xr.Dataset | None = None


@dataclass(frozen=True)
class ReportInputs:
    """What the page is made of; every piece but the grid and the depths of the maps [m] may be missing.

    ``metrics`` is what ``ldm-ocean evaluate`` writes, ``reconstruction`` any ``{method: {…: {variable: number}}}``,
    ``training`` the log records of each stage by its name, ``provenance`` nested facts.
    """

    grid: OceanGrid
    depths: tuple[float, ...]
    cases: tuple[Example, ...] = ()
    climatology: xr.Dataset | None = None
    metrics: dict = field(default_factory=dict)
    reconstruction: dict = field(default_factory=dict)
    training: dict[str, list[dict]] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)
    title: str = "Generated ocean states"
