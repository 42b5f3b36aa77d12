"""The ocean: an idealised Atlantic sector from pole to pole, run on Veros.

Geometry and forcing follow DINO (Kamm, Deshayes & Madec 2025, GMD 18, 8091) on a uniform 4° grid of 13 × 35 columns
and 18 levels: walls all round but for a re-entrant channel (65-45°S) with a sill, sloping sides, 360-day year.

    zonal wind stress   τx(φ)    cubic pieces through the nodes of ``wind_stress``                    [Pa]
    temperature target  T*(φ,t) = T*_b + (T*_eq − T*_b) sin(π(φ+70)/140)                              [°C]
    salinity target     S*(φ)   = S*_b + (S*_eq − S*_b)(1 + cos(2πφ/140))/2 − 1.25 exp(−φ²/7.5²)      [g/kg]
    heat flux    Q = γ_T (T* − SST),  γ_T = 40 W m⁻² K⁻¹;     salt flux F = γ_S (S* − SSS), γ_S = 3.858e-3 kg m⁻² s⁻¹

Everything here is numpy and knows nothing of Veros, so that it can be drawn and tested without the ``sim`` extra.
"""

from dataclasses import dataclass

import numpy as np

DAY = 86400.0
YEAR_DAYS = 360
STEP_DAYS = 2  # tracer step; three days are unstable with GM/Redi of 1000 m²/s on this grid
SUMMER_SOLSTICE = 171  # day of the year on which the northern target is warmest
CHANNEL = (-65.0, -45.0)
NX, NY, NZ, DEGREES = 13, 35, 18, 4.0
FLOOR, DZ_TOP = 4000.0, 20.0
GAMMA_T, GAMMA_S = 40.0, 3.858e-3


@dataclass(frozen=True)
class Parameters:
    """What a setting may vary, by NEMO's namelist names.

    rn_ztau0 [Pa]: peak of the southern westerlies; rn_tstar_n [°C]: annual mean of the northern temperature target;
    rn_avt0 [m²/s]: background diapycnal diffusivity.
    """

    rn_ztau0: float = 0.2
    rn_tstar_n: float = 5.0
    rn_avt0: float = 3e-5


def latitudes() -> np.ndarray:
    """Latitude of the T points [°N], shape (y,)."""
    return -70 + DEGREES * (np.arange(NY) + 0.5)


def longitudes() -> np.ndarray:
    """Longitude of the T points [°E], shape (x,)."""
    return DEGREES * (np.arange(NX) + 0.5)


def thicknesses() -> np.ndarray:
    """Level thickness [m] from the surface down, shape (depth,): 20 m growing as a cosine to 424 m, 4000 m in all."""
    rise = (1 - np.cos(np.pi * np.arange(NZ) / (NZ - 1))) / 2
    return DZ_TOP + (FLOOR - NZ * DZ_TOP) * rise / rise.sum()


def depths() -> np.ndarray:
    """Depth of the T points [m, positive down], shape (depth,).

    Veros puts every W point midway between two T points, counting from the bottom; the recursion stays close to the
    middle of the levels because their thickness changes smoothly.
    """
    dz = thicknesses()
    faces = np.cumsum(dz)
    t = [FLOOR - dz[-1] / 2]
    for face in faces[-2::-1]:
        t.append(2 * face - t[-1])
    return np.array(t[::-1])


def bathymetry() -> np.ndarray:
    """Sea-floor depth [m], shape (y, x), 0 on land.

    The first column is the wall between east and west; rows inside the channel have no wall. Sides rise
    exponentially (e-folding 3°) from 4000 m to 2000 m; a Gaussian ring of radius 8° crosses the channel at 2500 m.
    """
    lon, lat = np.meshgrid(longitudes(), latitudes())
    channel = (lat > CHANNEL[0]) & (lat < CHANNEL[1])
    west, east = DEGREES, NX * DEGREES
    from_coast = np.minimum(lat + 70, 70 - lat)
    sides = np.minimum(lon - west, east - lon)
    # The wall ends at the channel; its slope fades over its own e-folding distance inside.
    into_channel = np.maximum(np.minimum(lat - CHANNEL[0], CHANNEL[1] - lat), 0)
    from_coast = np.minimum(from_coast, np.where(channel, np.hypot(np.minimum(lon, east - lon), into_channel), sides))
    depth = 4000 - 2000 * np.exp(-np.maximum(from_coast, 0) / 3)
    around = np.minimum(lon, east - lon)
    ring = np.hypot(around, lat - np.mean(CHANNEL)) - 8
    depth = np.minimum(depth, 4000 - 1500 * np.exp(-(ring**2) / (2 * 3**2)))
    land = (lon < west) & ~channel
    return np.where(land, 0.0, depth)


def wet_levels() -> np.ndarray:
    """Number of wet levels in each column, shape (y, x): cells whose middle lies above the floor."""
    return (depths()[:, None, None] < bathymetry()).sum(0)


def season(day):
    """cos of the season: +1 at the northern summer solstice, −1 half a (360-day) year later."""
    return np.cos(2 * np.pi * (np.asarray(day) - SUMMER_SOLSTICE) / YEAR_DAYS)


def wind_stress(lat, ztau0):
    """Zonal wind stress [Pa] at ``lat`` [°N]: cubic pieces, flat at their nodes, as in DINO."""
    nodes = np.array([-70.0, -45.0, -15.0, 0.0, 15.0, 45.0, 70.0])
    values = [0.0, ztau0, -0.1, -0.02, -0.1, 0.1, 0.0]
    i = np.clip(np.searchsorted(nodes, lat, side="right") - 1, 0, len(nodes) - 2)
    s = (lat - nodes[i]) / (nodes[i + 1] - nodes[i])
    left, right = (sum(v * (i + k == n) for n, v in enumerate(values)) for k in (0, 1))
    return left + (right - left) * (3 * s**2 - 2 * s**3)


def temperature_target(lat, cos_season, tstar_n):
    """T* [°C] at ``lat`` [°N] for a season given as its cosine."""
    tb = np.where(lat > 0, 1.0, 0.0) * (tstar_n + 3 * cos_season) + np.where(lat > 0, 0.0, 1.0) * (
        -0.5 - 0.5 * cos_season
    )
    return tb + (27 - tb) * np.sin(np.pi * (lat + 70) / 140)


def salinity_target(lat):
    """S* [g/kg] at ``lat`` [°N]."""
    sb = np.where(lat > 0, 35.1, 35.0)
    return sb + (37.25 - sb) * (1 + np.cos(2 * np.pi * lat / 140)) / 2 - 1.25 * np.exp(-(lat**2) / 7.5**2)


@dataclass(frozen=True)
class Noise:
    """AR(1) forcing noise: amplitude and decorrelation time of each group of spatial modes.

    Wind: three meridional sines of τx; target: three meridional sines × (1, cos λ, sin λ) of T*. Each mode has unit
    variance before its amplitude; amplitudes fall as 1/n with the meridional wavenumber.
    """

    wind_pa: float = 0.03
    wind_days: float = 30.0
    target_degc: float = 1.0
    target_days: float = 180.0

    def patterns(self) -> tuple[np.ndarray, np.ndarray]:
        """Wind patterns (3, y, x) [Pa] and target patterns (9, y, x) [°C]."""
        lon, lat = np.meshgrid(longitudes(), latitudes())
        n = np.arange(1, 4)[:, None, None]
        sines = np.sin(n * np.pi * (lat + 70) / 140) / n
        angle = 2 * np.pi * lon / (NX * DEGREES)
        around = np.stack([np.ones_like(lon), np.cos(angle), np.sin(angle)])
        target = (sines[:, None] * around[None]).reshape(-1, NY, NX)
        return self.wind_pa * sines, self.target_degc * target

    def memory(self) -> np.ndarray:
        """AR(1) coefficient of each of the 12 modes for one tracer step."""
        days = np.array([self.wind_days] * 3 + [self.target_days] * 9)
        return np.exp(-STEP_DAYS / days)


def initial_state() -> tuple[np.ndarray, np.ndarray]:
    """T [°C] and S [g/kg] at rest, (depth, y, x): the annual-mean targets, fading downwards over 600 m."""
    lat = np.broadcast_to(latitudes()[:, None], (NY, NX))
    fade = np.exp(-depths() / 600)[:, None, None]
    defaults = Parameters()
    return (
        2 + (temperature_target(lat, 0.0, defaults.rn_tstar_n) - 2) * fade,
        35 + (salinity_target(lat) - 35) * fade,
    )
