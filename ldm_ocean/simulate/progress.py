"""What a setting has so far, on disk: the model's state, what was watched, and the states recorded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..io.atomic import published
from .statistics import Statistics

FIELDS = {
    "toce": {
        "mask": "tmask",
        "units": "degC",
        "standard_name": "sea_water_potential_temperature",
        "long_name": "temperature",
    },
    "soce": {"mask": "tmask", "units": "g kg-1", "standard_name": "sea_water_salinity", "long_name": "salinity"},
    "uoce": {"mask": "umask", "units": "m s-1", "standard_name": "sea_water_x_velocity", "long_name": "zonal current"},
    "voce": {
        "mask": "vmask",
        "units": "m s-1",
        "standard_name": "sea_water_y_velocity",
        "long_name": "meridional current",
    },
    "ssh": {"mask": "tmask", "units": "m", "standard_name": "sea_surface_height_above_geoid", "long_name": "sea level"},
    "psi": {
        "mask": "tmask",
        "units": "m3 s-1",
        "standard_name": "ocean_barotropic_streamfunction",
        "long_name": "barotropic streamfunction at the north-eastern corner of the T cell",
    },
}


class Progress:
    """Of one setting, in a folder of its own: each recorded state a file, all else in one, published last.

    ``fields`` are the canonical variables of the present state, not kept. ``begin`` makes the first state where the
    folder holds none.
    """

    def __init__(self, folder: Path, begin: Callable[[], dict]):
        self.folder, self.path = folder, folder / "state.npz"
        self.history: dict[str, list[float]] = {}
        self.labels: list[tuple[int, int]] = []
        self.statistics = Statistics()
        self.fields: dict[str, np.ndarray] = {}
        self.settled, self.blown, self.seconds = False, False, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            with np.load(self.path) as f:
                self.state = {k[2:]: f[k] for k in f if k.startswith("s_")}
                self.history = {k[2:]: list(f[k]) for k in f if k.startswith("h_")}
                self.labels = [(int(day), int(equilibrium)) for day, equilibrium in f["labels"]]
                self.statistics = Statistics(**{k[2:]: f[k] for k in f if k.startswith("t_")})
                self.settled, self.seconds = bool(f["settled"]), float(f["seconds"])
        else:
            self.state = begin()

    @property
    def looks(self) -> int:
        """How often the ocean was looked at."""
        return len(next(iter(self.history.values()), []))

    @property
    def recorded(self) -> int:
        """Equilibrium states so far, those included that are not kept but in the statistics."""
        return max(len(self.statistics), sum(equilibrium for _, equilibrium in self.labels))

    def look(self, seen: dict[str, float]) -> None:
        """Note what was watched."""
        for name, value in seen.items():
            self.history.setdefault(name, []).append(value)

    def keep(self, fields: dict[str, np.ndarray], day: int, equilibrium: bool) -> None:
        """Record a state."""
        single: dict[str, Any] = {k: np.asarray(v, "float32") for k, v in fields.items()}
        with published(self._file(len(self.labels))) as temporary, temporary.open("wb") as file:
            np.savez(file, **single)
        self.labels.append((day, int(equilibrium)))

    def snapshots(self, which: slice) -> list[dict[str, np.ndarray]]:
        """The states recorded."""
        return [dict(np.load(self._file(i))) for i in range(len(self.labels))[which]]

    def save(self) -> None:
        """Publish under the final name only when complete; a state recorded after it is recorded again."""
        arrays: dict[str, Any] = {f"s_{k}": np.asarray(v) for k, v in self.state.items()}
        arrays |= {f"h_{k}": np.asarray(v) for k, v in self.history.items()}
        arrays |= {f"t_{k}": v for k, v in self.statistics.arrays().items()}
        labels = np.array(self.labels).reshape(-1, 2)
        with published(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, labels=labels, settled=self.settled, seconds=self.seconds, **arrays)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:04d}.npz"


def dataset(snapshots: list[dict[str, np.ndarray]]) -> xr.Dataset:
    """Snapshots of the model as canonical states along ``sample``, without mesh and labels."""
    data = {}
    for name, field in [(k, v) for k, v in FIELDS.items() if k in snapshots[0]]:
        values = np.stack([s[name] for s in snapshots])
        data[name] = (("sample", "depth", "y", "x") if values.ndim == 4 else ("sample", "y", "x"), values, field)
    return xr.Dataset(data)
