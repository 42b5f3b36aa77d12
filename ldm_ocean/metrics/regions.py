"""Where the diagnostics look: named regions, read from the evaluation config. Limits exclude themselves.

Depths [m] grow downwards, latitudes are °N, longitudes °E.
"""

from dataclasses import dataclass, field

from ..ocean.fields import TEMPERATURE


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
class MixedLayer:
    """Mean depth of the mixed layer between two latitudes [°N], by the density ``threshold`` Δσ [kg/m³]."""

    threshold: float
    latitude: tuple[float, float]


@dataclass
class Cell:
    """Largest overturning ψ(y, z) between two depths [m] and two latitudes [°N]; the smallest if ``bottom``."""

    depth: tuple[float, float]
    latitude: tuple[float, float]
    bottom: bool = False


@dataclass
class DensityCell:
    """The same of ψ(y, σ) over ``classes`` evenly spread from one ``density`` [kg/m³] to another, both included.

    σ is the potential density at the depth ``reference`` [m].
    """

    density: tuple[float, float]
    latitude: tuple[float, float]
    bottom: bool = False
    reference: float = 2000.0
    classes: int = 40


@dataclass
class HeatTransport:
    """Northward heat transport across the V points nearest to ``latitude`` [°N]."""

    latitude: float


@dataclass
class Balance:
    """Geostrophic and thermal-wind residuals ``below`` the wind's own shear [m] and off the ``equator`` [°]."""

    below: float = 100.0
    equator: float = 5.0


@dataclass
class Flux:
    """Surface flux λ (x − x*) of ``standard_name`` towards the variable ``target`` (…, y, x) of the same data set.

    ``restoring`` λ is negative where it damps: W m⁻² K⁻¹ for temperature (NEMO's rn_trp), kg m⁻² s⁻¹ for salinity
    (rn_srp).
    """

    target: str
    restoring: float
    standard_name: str = TEMPERATURE


@dataclass
class Regions:
    """Named regions of the diagnostics; none by default, for nothing is known about an ocean beforehand.

    ``moving_surface``: cells stretch with the sea level (NEMO's z*), as they do not under a linear free surface.
    """

    boxes: dict[str, Box] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    gyres: dict[str, Gyre] = field(default_factory=dict)
    mixed_layers: dict[str, MixedLayer] = field(default_factory=dict)
    overturning: dict[str, Cell] = field(default_factory=dict)
    overturning_in_density: dict[str, DensityCell] = field(default_factory=dict)
    heat_transports: dict[str, HeatTransport] = field(default_factory=dict)
    fluxes: dict[str, Flux] = field(default_factory=dict)
    balance: Balance = field(default_factory=Balance)
    moving_surface: bool = False
