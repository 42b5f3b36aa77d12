"""What an ocean is to the simulator: geometry, forcing, parameters, ranges, noise and a schedule, in one file each.

The compiled model, the design of the experiment, the campaign and the packing know no more of an ocean than this. All
of it is numpy, so that an ocean can be drawn and tested without Veros.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

DAY = 86400.0


class Forcing(NamedTuple):
    """What the surface receives: zonal stress [Pa], heat [K m/s] and salt [g/kg m/s], each (x, y)."""

    stress: Any
    heat: Any
    salt: Any


@dataclass(frozen=True)
class Schedule:
    """How long a setting runs, and what is kept of it; all times in days.

    It is looked at every ``look``. After ``least``, or once it counts as settled, at most after ``most``, it is
    recorded: ``snapshots`` states ``spacing`` apart. States of ``on_the_way``, counted from the start, are kept as
    unfinished. ``rest`` is the (least, most) of a setting that starts from rest. Where ``every`` is more than 1, only
    one in ``every`` of the recorded states is kept, the first among them, beside statistics of all; no series follows.
    """

    look: float
    least: float
    most: float
    rest: tuple[float, float]
    snapshots: int
    spacing: float
    on_the_way: tuple[float, ...] = ()
    every: int = 1


@dataclass(frozen=True, kw_only=True)
class Ocean:
    """Base of the oceans. Arrays are (depth, y, x), surface first; ``shape`` is their shape.

    ``ranges`` are those of the parameters (see ``ocean.parameters`` for how they are spread); ``step`` is the
    tracer step [s]; ``season_days`` the length of the year whose seasons the forcing knows, None where it has none.
    ``splits`` are the settings of the published design, ``sweeps`` whether each parameter is also varied alone, and
    ``series`` the settings that are followed by (states, days between them) of a long series. ``points`` is how many
    values each parameter takes where the design is their full grid, each setting from rest. ``bits`` by variable is how
    finely a file resolves its range, where that is not as usual.
    """

    name: ClassVar[str]
    ranges: ClassVar[dict[str, tuple[float, float]]]
    defaults: ClassVar[dict[str, float]]
    season_days: ClassVar[float | None] = None
    splits: ClassVar[dict[str, int]]
    sweeps: ClassVar[bool] = False
    points: ClassVar[int] = 0
    series: ClassVar[dict[str, tuple[int, float]]] = {}
    bits: ClassVar[dict[str, int]] = {}

    schedule: Schedule

    @property
    def title(self) -> str:
        """What the manifest calls it; a folder holds settings of one title."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int, int]:
        """(depth, y, x)."""
        raise NotImplementedError

    @property
    def step(self) -> float:
        """The tracer step [s]."""
        raise NotImplementedError

    def parameters(self, **changed: float) -> dict[str, float]:
        """The defaults, with what is ``changed``, in the order of ``ranges``."""
        return {k: float(changed.get(k, self.defaults[k])) for k in self.ranges}

    def setup(self):
        """The Veros setup of this ocean, with a ``force``; Veros is imported here at the earliest."""
        from .setup import IdealisedSetup

        return IdealisedSetup(self)

    def latitudes(self) -> np.ndarray:
        """Latitude of the T points [°N], shape (y,)."""
        raise NotImplementedError

    def longitudes(self) -> np.ndarray:
        """Longitude of the T points [°E], shape (x,)."""
        raise NotImplementedError

    def thicknesses(self) -> np.ndarray:
        """Level thickness [m] from the surface down, shape (depth,)."""
        raise NotImplementedError

    def depths(self) -> np.ndarray:
        """Depth of the T points [m, positive down], shape (depth,)."""
        return middles(self.thicknesses())

    def bathymetry(self) -> np.ndarray:
        """Sea-floor depth [m], shape (y, x), 0 on land."""
        raise NotImplementedError

    def wet_levels(self) -> np.ndarray:
        """Number of wet levels in each column, shape (y, x): cells whose middle lies above the floor."""
        return (self.depths()[:, None, None] < self.bathymetry()).sum(0)

    def initial_state(self) -> tuple[np.ndarray, np.ndarray]:
        """T [°C] and S [g/kg] at rest, (depth, y, x)."""
        raise NotImplementedError

    def spacing(self) -> tuple[float, float]:
        """Size of a cell along x and y, in Veros' unit: [°] or [m]."""
        raise NotImplementedError

    def coriolis(self, y: np.ndarray, omega: float) -> np.ndarray:
        """f [1/s] at ``y`` in Veros' unit, on an Earth that turns with ``omega`` [1/s]."""
        return 2 * omega * np.sin(np.radians(y))

    def settings(self) -> dict[str, Any]:
        """Veros' settings, by its names."""
        raise NotImplementedError

    def closure(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Veros' settings that the parameters stand for."""
        raise NotImplementedError

    def forcing(self, y, sst, sss, parameters, noise: dict[str, Any], day, module=np) -> Forcing:
        """At ``y`` [°N or m] (1, y), for the surface as it is (x, y); ``module`` is numpy or its like."""
        raise NotImplementedError

    def sources(self, y, temperature, salinity, parameters: dict[str, Any]) -> tuple[Any, Any]:
        """[K/s] and [g/kg/s] inside the water (x, y, z from the bottom), where Veros' settings enable them."""
        raise NotImplementedError

    def patterns(self) -> dict[str, np.ndarray]:
        """Patterns (k, y, x) of the forcing's AR(1) noise, by what they disturb; each mode has unit variance."""
        return {}

    def memory(self) -> np.ndarray:
        """AR(1) coefficient of each mode, in the order of ``patterns``, for one tracer step."""
        return np.zeros(0)

    def watch(self, fields: dict[str, np.ndarray], grid) -> dict[str, float]:
        """Scalars that tell of drift; ``fields`` are canonical, T the mean since the last look."""
        raise NotImplementedError

    def settled(self, history: dict[str, list[float]]) -> bool:
        """Whether what was watched, look by look, has stopped drifting."""
        raise NotImplementedError

    def drift(self, history: dict[str, list[float]]) -> dict[str, float]:
        """What is left of the drift, by the name of an attribute that tells its unit."""
        raise NotImplementedError


def cosine_levels(count: int, top: float, floor: float) -> np.ndarray:
    """Level thickness [m] from the surface down, growing from ``top`` as a cosine; ``floor`` in all."""
    rise = (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
    return top + (floor - count * top) * rise / rise.sum()


def middles(thicknesses: np.ndarray) -> np.ndarray:
    """Depth of the T points [m, positive down].

    Veros puts every W point midway between two T points, counting from the bottom; the recursion stays close to the
    middle of the levels where their thickness changes smoothly.
    """
    faces = np.cumsum(thicknesses)
    t = [faces[-1] - thicknesses[-1] / 2]
    for face in faces[-2::-1]:
        t.append(2 * face - t[-1])
    return np.array(t[::-1])


def trend(values: np.ndarray) -> tuple[float, float]:
    """Least-squares change over the whole of an evenly spaced series, and the standard deviation about that line."""
    values = np.asarray(values, float)
    if len(values) < 3:
        return np.inf, np.nan
    at = np.arange(len(values))
    slope, start = np.polyfit(at, values, 1)
    return float(slope * (len(values) - 1)), float((values - start - slope * at).std())
