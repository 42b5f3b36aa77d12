"""The Antarctic circumpolar current with a closed basin north of it: Veros' own setup ``acc``, unchanged.

2° × 15 levels, 30 × 42 columns; open all round south of 20°S, closed by two columns of land to the north. Wind over the
channel and the northern basin, T restored at the surface within 30 days, S = 35 throughout, closures of eddy kinetic
energy (EKE) and turbulent kinetic energy (TKE), a rigid lid. No season, no noise. What is varied is the TKE closure
(Gaspar, Grégoris & Lefevre 1990, JGR 95, 16179):

    κ_M = c_k L √e,      ∂e/∂t = … − c_ε e^{3/2} / L

Each setting runs from rest for 1217 × 30 days, 100 years of 365 days; it still drifts then. The last 241 states, a
month apart over twenty years, are recorded: their statistics, and one in forty whole.

Veros treats only one step apart from all others, the first of its pressure solver. Here a streamfunction is solved for,
so that a setting is what ``ACCSetup().run()`` makes of its closure.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .ocean import Ocean, Schedule, trend

NX, NY, NZ = 30, 42, 15
DEGREES = 2.0
SOUTH, WEST = -41.0, -1.0  # first T point [°N, °E]: half a cell before the origins that Veros is given
COAST, CHANNEL = 1.0, -20.0  # land lies west of the one [°E], north of the other [°N]
THICKNESSES = np.array([50, 70, 100, 140, 190, 240, 290, 340, 390, 440, 490, 540, 590, 640, 690]) / 2.5  # m
MONTH = 30
DRIFT_LOOKS = 20
SCHEDULE = Schedule(
    look=366,
    least=976 * MONTH,
    most=976 * MONTH,
    rest=(976 * MONTH, 976 * MONTH),
    snapshots=241,
    spacing=MONTH,
    every=40,
)


@dataclass(frozen=True)
class Acc(Ocean):
    """Parameters: ``c_k``, of the mixing coefficient, and ``c_eps``, of the dissipation; an eighth to eight times
    Veros' 0.1 and 0.7."""

    name: ClassVar[str] = "acc"
    title: ClassVar[str] = "Veros, acc as shipped, 2° × 15 levels"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"c_k": (0.0125, 0.8), "c_eps": (0.0875, 5.6)}
    defaults: ClassVar[dict[str, float]] = {"c_k": 0.1, "c_eps": 0.7}
    shape: ClassVar[tuple[int, int, int]] = (NZ, NY, NX)
    step: ClassVar[float] = 43200.0
    season_days: ClassVar[None] = None
    splits: ClassVar[dict[str, int]] = {"train": 100, "validation": 0, "test": 0, "edge": 0}
    points: ClassVar[int] = 10
    bits: ClassVar[dict[str, int]] = {"toce": 12, "uoce": 9, "voce": 9, "psi": 11}
    schedule: Schedule = SCHEDULE

    def setup(self):
        from veros.setups.acc.acc import ACCSetup

        from .setup import as_shipped

        return as_shipped(ACCSetup)

    def latitudes(self) -> np.ndarray:
        """[°N], shape (y,)."""
        return SOUTH + DEGREES * np.arange(NY)

    def longitudes(self) -> np.ndarray:
        """[°E], shape (x,)."""
        return WEST + DEGREES * np.arange(NX)

    def thicknesses(self) -> np.ndarray:
        """Level thickness [m] from the surface down, shape (depth,): 20 m growing to 276 m."""
        return THICKNESSES

    def bathymetry(self) -> np.ndarray:
        """Sea-floor depth [m], (y, x), flat, 0 on land."""
        wet = (self.longitudes() > COAST) | (self.latitudes() < CHANNEL)[:, None]
        return np.where(wet, THICKNESSES.sum(), 0.0)

    def closure(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Of TKE alone: that of EKE has coefficients of its own."""
        return {name: parameters[name] for name in self.ranges}

    def watch(self, fields: dict[str, np.ndarray], grid) -> dict[str, float]:
        """Mean T [°C] of the deepest level."""
        return {"bottom": float(np.nanmean(np.where(grid["tmask"][-1], fields["toce"][-1], np.nan)))}

    def settled(self, history: dict[str, list[float]]) -> bool:
        """Never: it is recorded at a given age."""
        return False

    def drift(self, history: dict[str, list[float]]) -> dict[str, float]:
        """At the bottom, over the last twenty looks before the recording."""
        change, _ = trend(np.array(history["bottom"][-DRIFT_LOOKS:]))
        return {"residual_drift_degC_per_decade": change * 3650 / (self.schedule.look * (DRIFT_LOOKS - 1))}
