"""The channel: a turbulent re-entrant jet in the southern hemisphere, on a β-plane, run on Veros.

640 × 1040 km in cells of 20 km, ten levels to 2000 m. Walls north and south, closed on itself in x; a meridional ridge,
a headland that closes the southern part of the section, an island in the lee of the ridge, shelves at both walls.

    Coriolis            f(y)  = −7e-5 + 2e-11 y                                                        [1/s]
    wind stress         τx(y) = τ0 sin²(πy/L)                                                          [Pa]
    temperature target  T*(y) = 2 + (T*_n − 2) y/L;       salinity target  S*(y) = 34.2 + y/L          [°C, g/kg]
    fluxes              T, S restored at the surface within 20 days;   bottom drag  −r u in the lowest cell
    northern sponge     T, S restored to their target × exp(−z/500 m) over the last 100 km, within 10 days at the wall

The sponge stands for the ocean to the north (Abernathey, Marshall & Ferreira 2011, JPO 41, 2261): it holds the deep
stratification, which eddies carry south within years; with a wall alone the deep water takes decades.

No season and no noise: what varies is the ocean's own. Eddies are resolved, so nothing stands in for them: biharmonic
friction and mixing remove what the grid cannot hold, convection mixes where N² < 0.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..physics.balance import OMEGA
from .ocean import DAY, Forcing, Ocean, Schedule, cosine_levels, trend

NX, NY, NZ = 32, 52, 10
DX = 20e3  # m
LX, LY = NX * DX, NY * DX
FLOOR, DZ_TOP = 2000.0, 40.0
F_SOUTH, BETA = -7e-5, 2e-11  # 1/s, 1/m/s
T_SOUTH, S_SOUTH, S_NORTH = 2.0, 34.2, 35.2
RESTORING_DAYS = 20.0
SPONGE, SPONGE_DAYS = 100e3, 10.0  # m from the northern wall; days at the wall
SCALE_DEPTH = 500.0  # m
STEADY_DAYS = 360  # the stretch over which drift is held against variability
SCHEDULE = Schedule(
    look=10,
    least=1080,
    most=1800,
    rest=(2160, 3600),
    snapshots=24,
    spacing=40,
    on_the_way=(0, 90, 180, 360, 720),
)


@dataclass(frozen=True, kw_only=True)
class Channel(Ocean):
    """Parameters: ``rn_ztau0`` [Pa], peak of the wind stress; ``r_bot`` [1/s], bottom drag; ``rn_tstar_n`` [°C],
    temperature target at the northern wall."""

    name: ClassVar[str] = "channel"
    title: ClassVar[str] = "Veros, channel of 20 km × 10 levels"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "rn_ztau0": (0.08, 0.22),
        "r_bot": (5e-7, 5e-6),
        "rn_tstar_n": (10.0, 18.0),
    }
    defaults: ClassVar[dict[str, float]] = {"rn_ztau0": 0.15, "r_bot": 1.5e-6, "rn_tstar_n": 14.0}
    shape: ClassVar[tuple[int, int, int]] = (NZ, NY, NX)
    step: ClassVar[float] = 1800.0
    season_days: ClassVar[None] = None
    splits: ClassVar[dict[str, int]] = {"train": 24, "validation": 4, "test": 6, "edge": 3}
    series: ClassVar[dict[str, tuple[int, float]]] = {"train-00": (300, 5), "test-00": (300, 5)}
    bits: ClassVar[dict[str, int]] = {"toce": 9, "soce": 9, "uoce": 8, "voce": 8, "ssh": 9}
    schedule: Schedule = SCHEDULE

    def along(self) -> np.ndarray:
        """y of the T points [m] from the southern wall, shape (y,)."""
        return DX * (np.arange(NY) + 0.5)

    def latitudes(self) -> np.ndarray:
        """[°N], shape (y,): where the Earth's f is that of the β-plane."""
        return np.degrees(np.arcsin((F_SOUTH + BETA * self.along()) / (2 * OMEGA)))

    def longitudes(self) -> np.ndarray:
        """[°E], shape (x,): metres over those of a degree in the channel's middle."""
        degree = 6371e3 * np.pi / 180 * np.cos(np.radians(self.latitudes().mean()))
        return DX * (np.arange(NX) + 0.5) / degree

    def thicknesses(self) -> np.ndarray:
        """Level thickness [m] from the surface down, shape (depth,): 40 m growing as a cosine to 360 m."""
        return cosine_levels(NZ, DZ_TOP, FLOOR)

    def spacing(self) -> tuple[float, float]:
        return DX, DX

    def bathymetry(self) -> np.ndarray:
        """Sea-floor depth [m], (y, x), 0 on land: ridge at x = 200 km, headland around 440 km, island at 320 km."""
        x, y = np.meshgrid(DX * (np.arange(NX) + 0.5), self.along())

        def away(position):  # the shorter way round
            return np.abs((x - position + LX / 2) % LX - LX / 2)

        depth = np.full(x.shape, FLOOR)
        depth -= 900 * np.exp(-((away(200e3) / 70e3) ** 2)) * (0.75 + 0.25 * np.cos(2 * np.pi * y / LY))
        depth = np.minimum(depth, FLOOR - 1700 * np.exp(-y / 60e3))
        depth = np.minimum(depth, FLOOR - 1200 * np.exp(-(LY - y) / 50e3))
        coast = np.maximum(away(440e3) - 30e3, y - 240e3)  # the headland, closed over 60 × 240 km
        depth = np.minimum(depth, FLOOR - 1800 * np.exp(-np.maximum(coast, 0) / 40e3))
        shore = np.hypot(away(320e3), y - 640e3) - 45e3
        depth = np.minimum(depth, FLOOR - 1500 * np.exp(-np.maximum(shore, 0) / 40e3))
        return np.where((coast < 0) | (shore < 0), 0.0, depth)

    def initial_state(self) -> tuple[np.ndarray, np.ndarray]:
        """T [°C] and S [g/kg] at rest, (depth, y, x): the targets fading downwards over 500 m, with small waves."""
        part = np.broadcast_to(self.along()[:, None] / LY, (NY, NX))
        fade = np.exp(-self.depths() / SCALE_DEPTH)[:, None, None]
        waves = 0.1 * np.cos(2 * np.pi * 3 * np.arange(NX) / NX) * np.sin(np.pi * part)
        warm = self.defaults["rn_tstar_n"] - T_SOUTH
        return T_SOUTH + (warm * part + waves) * fade, S_SOUTH + (S_NORTH - S_SOUTH) * part * fade

    def settings(self) -> dict[str, Any]:
        return {
            "dt_mom": self.step,
            "coord_degree": False,
            "enable_biharmonic_friction": True,
            "A_hbi": 5e10,
            "enable_biharmonic_mixing": True,
            "K_hbi": 2e10,
            "enable_superbee_advection": True,
            "enable_conserve_energy": False,
            "enable_tempsalt_sources": True,
            "kappaM_0": 2e-4,
            "kappaH_0": 2e-5,
        }

    def closure(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"r_bot": parameters["r_bot"]}

    def coriolis(self, y: np.ndarray, omega: float) -> np.ndarray:
        return F_SOUTH + BETA * y

    def forcing(self, y, sst, sss, parameters, noise, day, module=np) -> Forcing:
        part = y / LY
        rate = DZ_TOP / (RESTORING_DAYS * DAY)
        target = T_SOUTH + (parameters["rn_tstar_n"] - T_SOUTH) * part
        salinity = S_SOUTH + (S_NORTH - S_SOUTH) * part
        stress = parameters["rn_ztau0"] * np.sin(np.pi * part) ** 2 + 0 * sst
        return Forcing(stress, rate * (target - sst), rate * (salinity - sss))

    def sources(self, y, temperature, salinity, parameters: dict[str, Any]) -> tuple[Any, Any]:
        rate = np.clip((y - LY + SPONGE) / SPONGE, 0, 1)[..., None] / (SPONGE_DAYS * DAY)
        fade = np.exp(-self.depths() / SCALE_DEPTH)[::-1]
        target = T_SOUTH + (parameters["rn_tstar_n"] - T_SOUTH) * fade
        salt = S_SOUTH + (S_NORTH - S_SOUTH) * fade
        return rate * (target - temperature), rate * (salt - salinity)

    def watch(self, fields: dict[str, np.ndarray], grid) -> dict[str, float]:
        """Volume means: temperature [°C], and kinetic energy of what departs from the zonal mean current [m²/s²]."""
        volume = grid.volume()
        mean = (np.nan_to_num(fields["toce"]) * volume).sum() / volume.sum()
        return {"temperature": float(mean), "eddy": eddy_energy(fields, grid)}

    def settled(self, history: dict[str, list[float]]) -> bool:
        """Over the last year neither drifts by more than two standard deviations about its trend."""
        return all(abs(change) < 2 * spread for change, spread in map(trend, self._lately(history)))

    def drift(self, history: dict[str, list[float]]) -> dict[str, float]:
        """Change over the last year of 360 days, and the standard deviation it is held against."""
        (warmer, t_spread), (stronger, e_spread) = map(trend, self._lately(history))
        return {
            "temperature_drift_degC_a_year": warmer,
            "temperature_variability_degC": t_spread,
            "eddy_energy_drift_m2_s2_a_year": stronger,
            "eddy_energy_variability_m2_s2": e_spread,
        }

    def _lately(self, history):
        looks = round(STEADY_DAYS / self.schedule.look)
        return [np.asarray(history[k][-looks:]) for k in ("temperature", "eddy")]


def eddy_energy(fields: dict[str, np.ndarray], grid) -> float:
    """½⟨(u − ū)² + (v − v̄)²⟩ [m²/s²] over the water, ū the zonal mean at each latitude and depth."""
    total = 0.0
    for name, point in (("uoce", "u"), ("voce", "v")):
        volume, current = grid.volume(point), np.nan_to_num(fields[name])
        wet = volume.sum(-1, keepdims=True)
        mean = (current * volume).sum(-1, keepdims=True) / np.where(wet > 0, wet, 1)
        total += float(((current - mean) ** 2 * volume).sum() / volume.sum()) / 2
    return total
