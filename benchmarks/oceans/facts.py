"""What a packed data set is, costs and holds, as numbers."""

from pathlib import Path

import numpy as np
import xarray as xr

from ldm_ocean.metrics.anova import anova, eofs_holding, gram
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid

YEAR = 360  # days, as `simulate` counts them
BANDS = ((0.0, 200.0), (200.0, 1000.0), (1000.0, np.inf))  # m


def geometry(grid: OceanGrid, fields: Fields) -> dict:
    """Columns, levels, extents and how much of it is wet; lengths in km, depths in m."""
    wet, floor = grid["tmask"], (grid["e3t"] * grid["tmask"]).sum(0)
    east, north = (grid[e][wet[0]] / 1e3 for e in ("e1t", "e2t"))
    thickness = np.broadcast_to(grid["e3t"], wet.shape)[wet]
    return {
        "shape": [int(n) for n in wet.shape],
        "east_km": [float(east.min()), float(east.max())],
        "north_km": [float(north.min()), float(north.max())],
        "latitude": [float(grid["nav_lat"].min()), float(grid["nav_lat"].max())],
        "periodic": grid.periodic_x,
        "thickness_m": [float(thickness.min()), float(thickness.max())],
        "floor_m": [float(floor[wet[0]].min()), float(floor.max())],
        "cells": int(wet.size),
        "wet_percent": float(100 * wet.mean()),
        "values_a_state": int(fields.masks(grid).sum()),
    }


def splits(records: list[dict]) -> dict[str, list[int]]:
    """{split: [finished settings, settings of the design]}."""
    named = dict.fromkeys(r["split"] for r in records)
    own = {k: [r for r in records if r["split"] == k] for k in named}
    return {k: [sum("bytes" in r for r in v), len(v)] for k, v in own.items()}


def states_of(data: xr.Dataset) -> dict:
    """How many states a setting has, by kind, and days between those in equilibrium: [least, most]."""
    apart, counts = [], []
    for name in np.unique(data.setting.values):
        own = data.setting.values == name
        settled = data.equilibrium.values[own]
        counts.append([int(settled.sum()), int((~settled).sum())])
        apart += list(np.diff(data.day.values[own][settled]))
    spacing = [float(min(apart, default=0)), float(max(apart, default=0))]
    kinds = zip(("equilibrium", "on the way"), np.array(counts).T.tolist(), strict=True)
    return {k: [min(c), max(c), sum(c)] for k, c in kinds} | {"days_apart": spacing}


def costs(folder: Path, records: list[dict], stores: list[xr.Dataset]) -> dict:
    """MB on disk, model years, core-seconds a year and core-hours as far as the manifest knows them."""
    files = [f for f in folder.rglob("*") if f.is_file() and "work" not in f.relative_to(folder).parts]
    last = {r["name"]: 0.0 for r in records}
    for data in stores:
        for name, day in zip(data.setting.values, data.day.values, strict=True):
            last[str(name)] = max(last[str(name)], float(day) / YEAR)
    rates = {r["name"]: r["core_seconds_a_year"] for r in records if "core_seconds_a_year" in r}
    known = {"MB": sum(f.stat().st_size for f in files) / 1e6, "model_years": sum(last.values())}
    if rates:
        known["core_seconds_a_year"] = float(np.mean(list(rates.values())))
        known["core_hours"] = sum(rate * last[name] for name, rate in rates.items()) / 3600
    return known


def soundness(records: list[dict]) -> dict:
    """Of the settings' records: [least, median, most] of each number, the largest rounding errors, what blew up."""
    finished = [r for r in records if "bytes" in r]
    wanted = ("drift", "variability", "unstable")
    names = [k for k in dict.fromkeys(k for r in finished for k in r) if any(w in k for w in wanted)]
    errors: dict[str, float] = {}
    for record in finished:
        for variable, error in record.get("largest_rounding_error", {}).items():
            errors[variable] = max(errors.get(variable, 0.0), error)
    spread = {k: [r[k] for r in finished if k in r] for k in names}
    return {
        "settings": {k: [min(v), float(np.median(v)), max(v)] for k, v in spread.items()},
        "largest_rounding_error": errors,
        "blew_up": {r["name"]: r["blew_up_on_day"] for r in records if "blew_up_on_day" in r},
    }


def variances(data: xr.Dataset, grid: OceanGrid) -> dict:
    """Of the equilibrium states: parts of the variance [unit²] by variable and depth, and how many EOFs hold 90 %."""
    settings, season = data.setting.values, data.season.values
    table, weather, means = {}, 0.0, 0.0
    for field in Fields.from_dataset(data):
        own = Fields([field])
        volume, deep = own.volumes(grid).numpy()[0], {"all": (0.0, np.inf)}
        parts = anova(own.stack(data, grid)[:, 0], settings, season)
        if field.deep:
            deep |= {f"{low:g}–{high:g} m" if high < np.inf else f"below {low:g} m": (low, high) for low, high in BANDS}
        table[field.name] = {}
        for band, (low, high) in deep.items():
            inside = volume * ((grid["gdept"] >= low) & (grid["gdept"] < high))[:, None, None]
            if inside.any():
                table[field.name][band] = parts.over(inside)
        weather = weather + gram(parts.anomalies, volume)
        means = means + gram(parts.means - parts.means.mean(0), volume)
    eofs = {"weather": eofs_holding(weather), "between": eofs_holding(means)}
    return {"parts": table, "eofs": eofs, "states": len(settings), "settings": len(np.unique(settings))}
