"""The basin: an idealised Atlantic sector from pole to pole, run on Veros.

Geometry and forcing follow DINO (Kamm, Deshayes & Madec 2025, GMD 18, 8091) on a uniform grid, at 4° 13 × 35 columns
and 18 levels: walls all round but for a re-entrant channel (65-45°S) with a sill, sloping sides, 360-day year.

    zonal wind stress   τx(φ)    cubic pieces through the nodes of ``wind_stress``                    [Pa]
    temperature target  T*(φ,t) = T*_b + (T*_eq − T*_b) sin(π(φ+70)/140)                              [°C]
    salinity target     S*(φ)   = S*_b + (S*_eq − S*_b)(1 + cos(2πφ/140))/2 − 1.25 exp(−φ²/7.5²)      [g/kg]
    heat flux    Q = γ_T (T* − SST),  γ_T = 40 W m⁻² K⁻¹;     salt flux F = γ_S (S* − SSS), γ_S = 3.858e-3 kg m⁻² s⁻¹
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..physics.boxes import box, box_mean
from ..physics.eos import C_P, RHO_0
from .ocean import DAY, Forcing, Ocean, Schedule, cosine_levels

YEAR_DAYS = 360
SUMMER_SOLSTICE = 171  # day of the year on which the northern target is warmest
CHANNEL = (-65.0, -45.0)  # °N
WIDTH, SIDE = 52.0, 70.0  # ° of longitude; ° of latitude to either side of the equator
FLOOR, DZ_TOP, NZ = 4000.0, 20.0, 18
GAMMA_T, GAMMA_S = 40.0, 3.858e-3
MAX_DRIFT = 0.02  # °C a decade, deep-water box, over the last DRIFT_YEARS
DRIFT_YEARS = 20
DEEP_BOX_DEPTH, DEEP_BOX_LATITUDES = (500.0, 3000.0), (-30.0, 30.0)  # m, degrees north


def season(day, module=np):
    """cos of the season: +1 at the northern summer solstice, −1 half a (360-day) year later."""
    return module.cos(2 * np.pi * (module.asarray(day) - SUMMER_SOLSTICE) / YEAR_DAYS)


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


@dataclass(frozen=True, kw_only=True)
class Dino(Ocean):
    """The basin at ``degrees`` of resolution; parameters by NEMO's namelist names.

    rn_ztau0 [Pa]: peak of the southern westerlies; rn_tstar_n [°C]: annual mean of the northern temperature target;
    rn_avt0 [m²/s]: background diapycnal diffusivity.
    """

    name: ClassVar[str] = "dino"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "rn_ztau0": (0.1, 0.3),
        "rn_tstar_n": (2.0, 8.0),
        "rn_avt0": (1e-5, 1e-4),
    }
    defaults: ClassVar[dict[str, float]] = {"rn_ztau0": 0.2, "rn_tstar_n": 5.0, "rn_avt0": 3e-5}
    season_days: ClassVar[float] = YEAR_DAYS
    splits: ClassVar[dict[str, int]] = {"train": 24, "validation": 4, "test": 5, "edge": 3}
    sweeps: ClassVar[bool] = True

    degrees: float = 4.0
    noise: Noise = field(default_factory=Noise)
    schedule: Schedule = None  # type: ignore[assignment]  # what the resolution asks for

    def __post_init__(self):
        if self.schedule is None:
            object.__setattr__(self, "schedule", _schedule(self.degrees))

    @property
    def title(self) -> str:
        return f"Veros, {self.degrees:g}° × {NZ} levels"

    @property
    def shape(self) -> tuple[int, int, int]:
        return NZ, round(2 * SIDE / self.degrees), round(WIDTH / self.degrees)

    @property
    def step(self) -> float:
        """[s]; at 4° two days, three are unstable with GM/Redi of 1000 m²/s on that grid."""
        return 2 * DAY * min(1.0, self.degrees / 4)

    def latitudes(self) -> np.ndarray:
        """Latitude of the T points [°N], shape (y,)."""
        return -SIDE + self.degrees * (np.arange(self.shape[1]) + 0.5)

    def longitudes(self) -> np.ndarray:
        """Longitude of the T points [°E], shape (x,)."""
        return self.degrees * (np.arange(self.shape[2]) + 0.5)

    def thicknesses(self) -> np.ndarray:
        """Level thickness [m] from the surface down, shape (depth,): 20 m growing as a cosine to 424 m."""
        return cosine_levels(NZ, DZ_TOP, FLOOR)

    def spacing(self) -> tuple[float, float]:
        return self.degrees, self.degrees

    def bathymetry(self) -> np.ndarray:
        """Sea-floor depth [m], shape (y, x), 0 on land.

        The wall between east and west is one column wide, at 4° the first; rows inside the channel have no wall.
        Sides rise exponentially (e-folding 3°) from 4000 m to 2000 m; a Gaussian ring of radius 8° crosses the
        channel at 2500 m.
        """
        lon, lat = np.meshgrid(self.longitudes(), self.latitudes())
        channel = (lat > CHANNEL[0]) & (lat < CHANNEL[1])
        west, east = self.degrees, WIDTH
        from_coast = np.minimum(lat + SIDE, SIDE - lat)
        sides = np.minimum(lon - west, east - lon)
        # The wall ends at the channel; its slope fades over its own e-folding distance inside.
        into_channel = np.maximum(np.minimum(lat - CHANNEL[0], CHANNEL[1] - lat), 0)
        to_wall = np.where(channel, np.hypot(np.minimum(lon, east - lon), into_channel), sides)
        from_coast = np.minimum(from_coast, to_wall)
        depth = 4000 - 2000 * np.exp(-np.maximum(from_coast, 0) / 3)
        around = np.minimum(lon, east - lon)
        ring = np.hypot(around, lat - np.mean(CHANNEL)) - 8
        depth = np.minimum(depth, 4000 - 1500 * np.exp(-(ring**2) / (2 * 3**2)))
        land = (lon < west) & ~channel
        return np.where(land, 0.0, depth)

    def initial_state(self) -> tuple[np.ndarray, np.ndarray]:
        """T [°C] and S [g/kg] at rest, (depth, y, x): the annual-mean targets, fading downwards over 600 m."""
        lat = np.broadcast_to(self.latitudes()[:, None], self.shape[1:])
        fade = np.exp(-self.depths() / 600)[:, None, None]
        return (
            2 + (temperature_target(lat, 0.0, self.defaults["rn_tstar_n"]) - 2) * fade,
            35 + (salinity_target(lat) - 35) * fade,
        )

    def settings(self) -> dict[str, Any]:
        degree = 6370e3 / 180 * np.pi  # Veros' own, in m
        return {
            # 4800 s blew up at 4° in the second year, 1800 s at 2° in the first month in half of the settings; 3600 s
            # and 900 s are stable. It costs nothing: each tracer step has one step of momentum, however long.
            "dt_mom": 3600.0 * min(1.0, self.degrees / 4) ** 2,
            "x_origin": 0.0,
            "y_origin": -SIDE,
            "coord_degree": True,
            "enable_neutral_diffusion": True,
            "enable_skew_diffusion": True,
            "K_iso_0": 1000.0,
            "K_gm_0": 1000.0,
            "K_iso_steep": 500.0,
            # The largest slope that a step of this length resolves on this grid: ∝ 1/Δt.
            "iso_slopec": 1e-3,
            "iso_dslope": 4e-4,
            "enable_hor_friction": True,
            "A_h": (self.degrees * degree) ** 3 * 2e-11,
            "enable_hor_friction_cos_scaling": True,
            "hor_friction_cosPower": 1,
            "r_bot": 1e-5,
            "enable_tke": True,
            "c_k": 0.1,
            "c_eps": 0.7,
            "alpha_tke": 30.0,
            "mxl_min": 1e-8,
            "tke_mxl_choice": 2,
            "kappaM_min": 2e-4,
        }

    def closure(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"kappaH_min": parameters["rn_avt0"]}

    def forcing(self, y, sst, sss, parameters, noise, day, module=np) -> Forcing:
        stress = wind_stress(y, parameters["rn_ztau0"]) + noise["wind"]
        target = temperature_target(y, season(day, module), parameters["rn_tstar_n"]) + noise["target"]
        return Forcing(stress, GAMMA_T / (RHO_0 * C_P) * (target - sst), GAMMA_S / RHO_0 * (salinity_target(y) - sss))

    def patterns(self) -> dict[str, np.ndarray]:
        """Wind patterns (3, y, x) [Pa] and target patterns (9, y, x) [°C]."""
        lon, lat = np.meshgrid(self.longitudes(), self.latitudes())
        n = np.arange(1, 4)[:, None, None]
        sines = np.sin(n * np.pi * (lat + SIDE) / (2 * SIDE)) / n
        angle = 2 * np.pi * lon / WIDTH
        around = np.stack([np.ones_like(lon), np.cos(angle), np.sin(angle)])
        target = (sines[:, None] * around[None]).reshape(-1, *lon.shape)
        return {"wind": self.noise.wind_pa * sines, "target": self.noise.target_degc * target}

    def memory(self) -> np.ndarray:
        days = np.array([self.noise.wind_days] * 3 + [self.noise.target_days] * 9)
        return np.exp(-self.step / DAY / days)

    def watch(self, fields: dict[str, np.ndarray], grid) -> dict[str, float]:
        return {"deep": deep_box_mean(fields["toce"], grid)}

    def drift(self, history: dict[str, list[float]]) -> dict[str, float]:
        return {"residual_drift_degC_per_decade": drift(history["deep"])}

    def settled(self, history: dict[str, list[float]]) -> bool:
        return abs(drift(history["deep"])) < MAX_DRIFT


def _schedule(degrees: float) -> Schedule:
    """At 4° equilibrium is found by running; a finer basin, whose years are dear, starts near it."""
    years = (60, 150) if degrees >= 4 else (40, 40)
    return Schedule(
        look=YEAR_DAYS,
        least=years[0] * YEAR_DAYS,
        most=years[1] * YEAR_DAYS,
        rest=(150 * YEAR_DAYS, 300 * YEAR_DAYS),
        snapshots=24 if degrees >= 4 else 12,
        spacing=102,  # all seasons within seven years
        on_the_way=tuple(y * YEAR_DAYS for y in (0, 1, 3, 10, 30)),
    )


def deep_box_mean(temperature: np.ndarray, grid) -> float:
    """Volume mean of (depth, y, x) temperature over the deep-water box [°C]."""
    inside = box(grid["gdept"], grid["nav_lat"], DEEP_BOX_DEPTH, DEEP_BOX_LATITUDES)
    return float(box_mean(np.where(grid["tmask"], temperature, 0.0), grid.volume(), inside))


def drift(deep, years: int = DRIFT_YEARS) -> float:
    """Trend of the last annual means [°C a decade], least squares."""
    tail = np.asarray(deep[-years:])
    return float(10 * np.polyfit(np.arange(len(tail)), tail, 1)[0]) if len(tail) > 2 else np.inf
