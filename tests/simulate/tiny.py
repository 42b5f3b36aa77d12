"""The smallest ocean that the campaign can run: a flat channel of 8 × 6 × 3 cells, one parameter, minutes a step.

``python -m tests.simulate.tiny FOLDER`` runs its design: a centre, one training setting, and one that blows up.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ldm_ocean.simulate.ocean import DAY, Forcing, Ocean, Schedule

DX = 50e3
SCHEDULE = Schedule(look=1, least=2, most=2, rest=(12, 12), snapshots=3, spacing=1, on_the_way=(0, 1))  # whole days


@dataclass(frozen=True, kw_only=True)
class Tiny(Ocean):
    """``rn_ztau0`` [Pa]: the wind; beyond 1e3 the model leaves finite numbers at once."""

    name: ClassVar[str] = "tiny"
    title: ClassVar[str] = "Veros, tiny"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"rn_ztau0": (0.1, 0.3)}
    defaults: ClassVar[dict[str, float]] = {"rn_ztau0": 0.2}
    shape: ClassVar[tuple[int, int, int]] = (3, 6, 8)
    step: ClassVar[float] = 3600.0
    splits: ClassVar[dict[str, int]] = {"train": 1, "validation": 0, "test": 0, "edge": 0}
    series: ClassVar[dict[str, tuple[int, float]]] = {"train-00": (3, 1)}
    schedule: Schedule = SCHEDULE

    def latitudes(self) -> np.ndarray:
        return -30 + 0.5 * np.arange(6)

    def longitudes(self) -> np.ndarray:
        return 0.5 * np.arange(8)

    def thicknesses(self) -> np.ndarray:
        return np.array([100.0, 200.0, 300.0])

    def bathymetry(self) -> np.ndarray:
        return np.full(self.shape[1:], 600.0)

    def initial_state(self) -> tuple[np.ndarray, np.ndarray]:
        t = np.broadcast_to(np.array([12.0, 8.0, 4.0])[:, None, None], self.shape)
        return t + 0.1 * np.arange(6)[:, None], np.full(self.shape, 35.0)

    def spacing(self) -> tuple[float, float]:
        return DX, DX

    def coriolis(self, y: np.ndarray, omega: float) -> np.ndarray:
        return -7e-5 + 2e-11 * y

    def settings(self) -> dict[str, Any]:
        return {"dt_mom": self.step, "coord_degree": False, "kappaM_0": 1e-3, "kappaH_0": 1e-4, "r_bot": 1e-6}

    def closure(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {}

    def forcing(self, y, sst, sss, parameters, noise, day, module=np) -> Forcing:
        return Forcing(parameters["rn_ztau0"] + 0 * sst, (10 - sst) * 100 / (20 * DAY), 0 * sss)

    def watch(self, fields: dict[str, np.ndarray], grid) -> dict[str, float]:
        return {"temperature": float(np.nanmean(fields["toce"]))}

    def settled(self, history: dict[str, list[float]]) -> bool:
        return True

    def drift(self, history: dict[str, list[float]]) -> dict[str, float]:
        return {"drift_degC": history["temperature"][-1] - history["temperature"][0]}


if __name__ == "__main__":
    from ldm_ocean.simulate.campaign import simulate
    from ldm_ocean.simulate.design import Setting, design

    settings = design(Tiny())
    settings.insert(1, Setting("wild", "train", {"rn_ztau0": 1e9}, 7, "centre"))
    settings.append(Setting("child-of-wild", "train", {"rn_ztau0": 0.15}, 8, "wild"))
    simulate(Tiny(), Path(sys.argv[1]), settings, workers=1)
