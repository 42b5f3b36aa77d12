"""Run the design: one process a core, one file a finished setting, resumable after any interruption.

Each setting runs decade by decade until the deep-water box drifts by less than ``MAX_DRIFT``, then records snapshots
over all seasons. Its state is saved after each decade, so a killed run loses at most ten model years.
"""

import json
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from .. import __version__
from ..grid import OceanGrid
from ..io.atomic import published, write_text
from ..io.packed import SUFFIX, read_packed, write_packed
from ..physics.boxes import box, box_mean
from ..physics.eos import vallis
from ..physics.stratification import unstable_volume
from . import basin
from .design import RANGES, Setting
from .pool import the_model
from .pool import workers as processes

YEAR_GROUPS = 60  # groups of three two-day steps in a 360-day year
SNAPSHOTS, SNAPSHOT_GROUPS = 24, 17  # every 102 days: all seasons within seven years
ON_THE_WAY = (0, 1, 3, 10, 30)  # years after branching whose states are kept as unfinished spin-ups
MAX_DRIFT = 0.02  # °C a decade, deep-water box
DEEP_BOX_DEPTH, DEEP_BOX_LATITUDES = (500.0, 3000.0), (-30.0, 30.0)  # m, degrees north
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
}


def deep_box_mean(temperature, mesh: xr.Dataset) -> float:
    """Volume mean of (depth, y, x) temperature over the deep-water box [°C]."""
    grid = OceanGrid.from_dataset(mesh)
    inside = box(grid["gdept"], grid["nav_lat"], DEEP_BOX_DEPTH, DEEP_BOX_LATITUDES)
    return float(box_mean(np.where(grid["tmask"], temperature, 0.0), grid.volume(), inside))


def drift(deep: list[float], years: int = 20) -> float:
    """Trend of the last annual means [°C a decade], least squares."""
    tail = np.asarray(deep[-years:])
    return float(10 * np.polyfit(np.arange(len(tail)), tail, 1)[0]) if len(tail) > 2 else np.inf


class Progress:
    """What one setting has so far: model state, annual deep-box means and snapshots; saved atomically."""

    def __init__(self, path: Path, model, start: dict):
        self.path, self.model = path, model
        self.state, self.deep, self.snapshots, self.labels = dict(start), [], [], []
        if path.exists():
            with np.load(path) as f:
                self.state = {k[2:]: f[k] for k in f if k.startswith("s_")}
                self.deep = list(f["deep"])
                names = [k[2:] for k in f if k.startswith("f_")]
                self.snapshots = [{k: f[f"f_{k}"][i] for k in names} for i in range(len(f["labels"]))]
                self.labels = [tuple(row) for row in f["labels"]]

    def keep(self, day: int, equilibrium: bool):
        """Record the present state as a snapshot."""
        self.snapshots.append(self.model.snapshot(self.state))
        self.labels.append((day, int(equilibrium)))

    def save(self):
        """Publish under the final name only when complete."""
        arrays = {f"s_{k}": np.asarray(v) for k, v in self.state.items()}
        arrays |= {f"f_{k}": np.stack([s[k] for s in self.snapshots]) for k in FIELDS}
        with published(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, deep=self.deep, labels=np.array(self.labels), **arrays)


def run_setting(setting: Setting, out: Path, years: tuple[int, int]) -> str:
    """Integrate one setting to equilibrium, record it, and publish ``<name>.zarr.zip``; returns its name.

    FloatingPointError when the model blows up; nothing is published then.
    """
    model = the_model()
    mesh = model.mesh()
    work = out / "work"
    start = model.initial()
    if setting.parent:
        with np.load(work / f"{setting.parent}.npz") as f:
            start = {k[2:]: f[k] for k in f if k.startswith("s_")}
    start["step"] = np.asarray(0)
    progress = Progress(work / f"{setting.name}.npz", model, start)
    least, most = years
    while not (len(progress.deep) >= least and abs(drift(progress.deep)) < MAX_DRIFT) and len(progress.deep) < most:
        for _ in range(min(10, most - len(progress.deep))):
            year = len(progress.deep)
            if year in ON_THE_WAY and progress.labels[-1:] != [(year * basin.YEAR_DAYS, 0)]:
                progress.keep(year * basin.YEAR_DAYS, equilibrium=False)
            progress.state, mean = model.advance(progress.state, setting.parameters, setting.seed, YEAR_GROUPS)
            progress.deep.append(deep_box_mean(model.to_canonical(mean), mesh))
            if not np.isfinite(progress.deep[-1]):
                raise FloatingPointError(f"setting {setting.name} blew up in year {year}")
        progress.save()
    residual = drift(progress.deep)
    for _ in range(SNAPSHOTS - sum(int(equilibrium) for _, equilibrium in progress.labels)):
        progress.state, _ = model.advance(progress.state, setting.parameters, setting.seed, SNAPSHOT_GROUPS)
        progress.keep(int(progress.state["step"]) * basin.STEP_DAYS, equilibrium=True)
    progress.save()
    states = _states(setting, progress, mesh, residual)
    write_packed(out / f"{setting.name}{SUFFIX}", states, mesh)
    return setting.name


def dataset(snapshots: list[dict[str, np.ndarray]]) -> xr.Dataset:
    """Snapshots of the model as canonical states along ``sample``, without mesh and labels."""
    data = {}
    for name, field in FIELDS.items():
        values = np.stack([s[name] for s in snapshots])
        data[name] = (("sample", "depth", "y", "x") if values.ndim == 4 else ("sample", "y", "x"), values, field)
    return xr.Dataset(data)


def _states(setting, progress, mesh, residual) -> xr.Dataset:
    day, equilibrium = np.array(progress.labels).T
    coords = {
        "day": ("sample", day),
        "equilibrium": ("sample", equilibrium.astype(bool)),
        **{k: ("sample", np.full(len(day), v)) for k, v in setting.record()["parameters"].items()},
    }
    attrs: dict[str, Any] = {**setting.record(), "years": len(progress.deep)}
    attrs |= {"residual_drift_degC_per_decade": residual}
    states = dataset(progress.snapshots).assign_coords(coords).assign_attrs(attrs)
    return states.assign_attrs(unstable_volume_percent=_unstable(states, mesh))


def _unstable(states, mesh) -> float:
    grid = OceanGrid.from_dataset(mesh)
    t, s = (np.nan_to_num(states[k].values.astype("float64")) for k in ("toce", "soce"))
    depth = grid["gdept"][:, None, None]
    return float(unstable_volume(t, s, depth, grid.volume(), vallis)[states.equilibrium.values].mean())


def write_manifest(out: Path, settings: list[Setting], mesh: xr.Dataset) -> dict:
    """``manifest.json``: the design and, for each finished setting, years, drift, size, and what rounding cost."""
    path = out / "manifest.json"
    known = {r["name"]: r for r in json.loads(path.read_text())["settings"]} if path.exists() else {}
    records = []
    for setting in settings:
        record, file = setting.record(), out / f"{setting.name}{SUFFIX}"
        if "bytes" in known.get(setting.name, {}):
            record = known[setting.name]
        elif file.exists():
            states = read_packed(file, mesh)
            record |= {
                "years": states.attrs["years"],
                "residual_drift_degC_per_decade": round(states.attrs["residual_drift_degC_per_decade"], 5),
                "samples": states.sizes["sample"],
                "bytes": file.stat().st_size,
                "unstable_volume_percent": round(states.attrs["unstable_volume_percent"], 4),
                "unstable_volume_percent_after_rounding": round(_unstable(states, mesh), 4),
                "largest_rounding_error": states.attrs["largest_rounding_error"],
            }
        records.append(record)
    manifest = {
        "version": __version__,
        "model": "Veros, 4° × 18 levels",
        "ranges": RANGES,
        "days_per_year": basin.YEAR_DAYS,
        "noise": vars(basin.Noise()),
        "seeds": "forcing noise: jax.random.PRNGKey(seed) folded with the step",
        "finished": sum("bytes" in r for r in records),
        "settings": records,
    }
    write_text(path, json.dumps(manifest, indent=1))
    return manifest


def simulate(out: Path, settings: list[Setting], years=(60, 150), workers: int = 2) -> dict:
    """Run what is not yet there of ``settings`` into ``out``; returns the manifest.

    Processes are spawned, each with one thread; a setting starts as soon as its parent has finished.
    """
    (out / "work").mkdir(parents=True, exist_ok=True)
    mesh_path = out / "mesh.nc"
    if not mesh_path.exists():
        _write_mesh(mesh_path)
    mesh = xr.load_dataset(mesh_path)
    done = {s.name for s in settings if (out / f"{s.name}{SUFFIX}").exists()}
    waiting = [s for s in settings if s.name not in done]
    running: set[Future[str]] = set()
    bar = tqdm(total=len(settings), initial=len(done), unit="setting", disable=None)
    with processes(workers) as pool:
        while waiting or running:
            for setting in [s for s in waiting if s.parent is None or s.parent in done][: workers - len(running)]:
                longer = years if setting.parent else (years[1], 2 * years[1])  # from rest: no neighbour to lean on
                running.add(pool.submit(run_setting, setting, out, longer))
                waiting.remove(setting)
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                done.add(future.result())
                bar.update()
                write_manifest(out, settings, mesh)
    bar.close()
    return write_manifest(out, settings, mesh)


def _write_mesh(path: Path):
    mesh = the_model().mesh()
    encoding = {k: {"zlib": True} for k in mesh.data_vars}
    with published(path) as temporary:
        mesh.to_netcdf(temporary, encoding=encoding, engine="h5netcdf")
