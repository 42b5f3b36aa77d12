"""What a campaign's folder holds, in ``manifest.json``."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import __version__
from ..errors import UserError
from ..io.atomic import write_text
from ..io.packed import SUFFIX, read_packed
from ..ocean.grid import OceanGrid
from ..physics.eos import vallis
from ..physics.stratification import unstable_volume
from .design import Setting
from .ocean import Ocean
from .statistics import SUFFIX as STATISTICS

SERIES = "series"  # folder of the settings' long series, a data set of its own


class Manifest:
    """``manifest.json``: the design and, for each setting, years, drift, size, cost, and what rounding cost."""

    def __init__(self, ocean: Ocean, out: Path, settings: list[Setting], mesh: xr.Dataset):
        self.path, self.ocean, self.settings, self.mesh = out / "manifest.json", ocean, settings, mesh
        known: dict[str, Any] = {"model": ocean.title, "settings": []}
        if self.path.exists():
            known = json.loads(self.path.read_text())
        if known["model"] != ocean.title:
            raise UserError(f"{out} holds settings of {known['model']}, not of {ocean.title}: choose another folder")
        self.records = {r["name"]: r for r in known["settings"]}

    def ended(self, setting: Setting) -> bool:
        """Whether nothing is left to do: its file is there, or it blew up."""
        return self._file(setting).exists() or "blew_up_on_day" in self.records.get(setting.name, {})

    def _file(self, setting: Setting) -> Path:
        return self.path.parent / f"{setting.name}{SUFFIX}"

    def write(self, **ended: dict) -> dict:
        """With what is known of the settings that have just ``ended``, by name; those not asked for now stay."""
        for setting in self.settings:
            record, file = self.records.get(setting.name, {}) | ended.get(setting.name, {}), self._file(setting)
            if file.exists() and "bytes" not in record:
                record |= self._about(file)
            self.records[setting.name] = setting.record() | record
        records = list(self.records.values())
        manifest = {
            "version": __version__,
            "model": self.ocean.title,
            "ocean": self.ocean.name,
            "ranges": self.ocean.ranges,
            "days_per_year": self.ocean.season_days,
            "schedule": vars(self.ocean.schedule),
            "seeds": "forcing noise: jax.random.PRNGKey(seed) folded with the step",
            "finished": sum("bytes" in r for r in records),
            "settings": records,
        }
        write_text(self.path, json.dumps(manifest, indent=1))
        if self.ocean.series:
            own = [r for r in records if r["name"] in self.ocean.series]
            write_text(self.path.parent / SERIES / "manifest.json", json.dumps(manifest | {"settings": own}, indent=1))
        return manifest

    def _about(self, file: Path) -> dict:
        states = read_packed(file, self.mesh)
        own = {"split", "name", "parameters", "seed", "parent"}
        attrs = {k: round(v, 5) if isinstance(v, float) else v for k, v in states.attrs.items() if k not in own}
        record = attrs | {
            "samples": states.sizes["sample"],
            "bytes": file.stat().st_size,
            "unstable_volume_percent_after_rounding": round(unstable(states, self.mesh), 5),
        }
        statistics = self.path.parent / f"{states.attrs['name']}{STATISTICS}"
        return record | ({"statistics_bytes": statistics.stat().st_size} if statistics.exists() else {})


def unstable(states: xr.Dataset, mesh: xr.Dataset) -> float:
    """Mean share of the volume of the equilibrium states that is statically unstable [%]."""
    grid = OceanGrid.from_dataset(mesh)
    t, s = (np.nan_to_num(states[k].values.astype("float64")) for k in ("toce", "soce"))
    depth = grid["gdept"][:, None, None]
    return float(unstable_volume(t, s, depth, grid.volume(), vallis)[states.equilibrium.values].mean())
