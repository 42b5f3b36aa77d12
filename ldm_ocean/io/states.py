"""Stores of states: ``open_states`` gives any of them as one canonical data set, ``write_states`` makes one."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import UserError, nearest
from ..shipped import find
from .atomic import published
from .packed import SUFFIX, read_packed
from .untrusted import open_group


def open_states(path: str | Path, splits: list[str] | None = None, equilibrium: bool | None = None) -> xr.Dataset:
    """Canonical states with their mesh: a packed folder (``simulate``), a Zarr store (``prepare``) or generated states
    (``sample``), whose members become samples of one setting, called like the file.

    Dimensions (sample, depth, y, x); coordinates on ``sample``: ``setting`` and ``split`` (str), ``season`` (share of
    the year, 0 to 1), ``equilibrium`` (bool), and the parameters named in ``attrs['parameters']``. ``splits`` and
    ``equilibrium`` select. UserError when nothing is there or nothing is left.
    """
    path = find(path)
    if not path.exists():
        raise UserError(f"no states at {path}: run `ldm-ocean simulate` or `ldm-ocean prepare` first")
    if (path / "manifest.json").exists():
        data = _open_packed(path, splits)
    else:
        try:
            if path.is_dir():
                open_group(path)
            data = xr.open_dataset(path) if path.is_file() else xr.open_zarr(path, consolidated=False, zarr_format=3)
        except Exception as error:
            raise UserError(f"{path} is not a state store ({error}): write one with `ldm-ocean prepare`") from error
        # A folder keeps no order: without one, two processes could number the channels differently.
        first = [k for k in data.attrs.get("variables", []) if k in data]
        data = members_as_samples(data[first + sorted(set(data.data_vars) - set(first))], path.stem)
        if splits is not None:
            data = _select(data, np.isin(data.split.values, splits), f"splits {splits}", path)
    if equilibrium is not None:
        data = _select(data, data.equilibrium.values == equilibrium, f"equilibrium={equilibrium}", path)
    if "setting" in data.coords:
        check_names(np.unique(data.setting.values), path)
    data.encoding["source"] = str(path)
    return data


def check_names(names: Iterable[str], where: Path | str) -> None:
    """UserError for a setting whose name would lead out of the folder that its files go to."""
    for name in map(str, names):
        if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
            raise UserError(f"{where} has a setting called {name!r}: a name must be fit for a file, without slashes")


def parameters_of(data: xr.Dataset) -> np.ndarray:
    """(sample, P) float64 in the order of ``attrs['parameters']``; P = 0 where none are named."""
    columns = [data[k].values.astype("float64") for k in data.attrs["parameters"]]
    return np.stack(columns, -1) if columns else np.zeros((data.sizes["sample"], 0))


def is_canonical(path: Path) -> bool:
    """Whether a file holds canonical states, as those of ``sample`` do, and not a model's own."""
    try:
        with xr.open_dataset(path) as data:
            return "tmask" in data and any("mask" in v.attrs for v in data.data_vars.values())
    except Exception:  # what it is instead, its reader will say
        return False


def members_as_samples(data: xr.Dataset, setting: str) -> xr.Dataset:
    """Members, or members by setting, along ``sample``, with its labels; a data set that has samples as it is."""
    axes = [d for d in ("setting", "member") if d in data.dims]
    if "member" not in axes:
        return data
    drawn = [k for k, v in data.data_vars.items() if "member" in v.dims]
    states = data[drawn].stack(sample=axes).reset_index("sample")
    count = states.sizes["sample"]
    labels: dict[str, Any] = {"setting": setting, "equilibrium": True}
    labels |= {str(k): v.values for k, v in states.coords.items() if k != "member"}
    coords = {k: ("sample", np.broadcast_to(np.asarray(v), count)) for k, v in labels.items()}
    mesh = data.drop_vars([*drawn, *(k for k in data.coords if k in coords or k == "member")])
    return states.drop_vars(list(states.coords)).assign_coords(coords).merge(mesh).assign_attrs(data.attrs)


def _select(data, keep, what, path):
    if not keep.any():
        raise UserError(f"{path} holds no samples with {what}: choose others")
    return data.isel(sample=np.flatnonzero(keep))


def _open_packed(path: Path, splits) -> xr.Dataset:
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        missing = {"settings", "days_per_year", "ranges", "model"} - manifest.keys()
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except ValueError as error:
        raise UserError(f"{path / 'manifest.json'} is not whole ({error}): run `ldm-ocean simulate` again") from error
    check_names((r["name"] for r in manifest["settings"]), path / "manifest.json")
    records = [r for r in manifest["settings"] if (path / f"{r['name']}{SUFFIX}").exists()]
    known = sorted({r["split"] for r in records})
    for split in splits or []:
        if split not in known:
            raise UserError(f"{path} has no split {split!r}{nearest(split, known)}")
    mesh = xr.load_dataset(path / "mesh.nc")
    parts = []
    for r in sorted(records, key=lambda r: r["name"]):
        if splits is not None and r["split"] not in splits:
            continue
        file = path / f"{r['name']}{SUFFIX}"
        try:
            part = read_packed(file, mesh)
        except Exception as error:  # zip, Zarr and the codec each have their own
            raise UserError(f"{file} cannot be read ({error}): copy it again, or delete it and simulate it") from error
        n = part.sizes["sample"]
        year = manifest["days_per_year"]
        labels = {"season": part.day.values % year / year if year else np.zeros(n)}
        labels |= {"setting": np.full(n, r["name"]), "split": np.full(n, r["split"])}
        parts.append(part.assign_coords({k: ("sample", v) for k, v in labels.items()}))
    if not parts:
        raise UserError(f"{path} holds no finished setting: run `ldm-ocean simulate` on it")
    states = xr.concat(
        parts,
        "sample",
        combine_attrs="override",
        join="exact",
        data_vars="minimal",
        coords="minimal",
        compat="override",
    )
    attrs = {**mesh.attrs, "parameters": list(manifest["ranges"]), "source": manifest["model"]}
    return states.drop_attrs(deep=False).merge(mesh, combine_attrs="override").assign_attrs(attrs)


def check_target(path: Path) -> None:
    """UserError unless ``path`` can be written, told before the work and not after it."""
    if path.suffix not in (".nc", ".zarr"):
        raise UserError(f"cannot tell the format of {path}: end it in .zarr or .nc")
    if not path.resolve().parent.is_dir():
        raise UserError(f"no folder {path.resolve().parent}: create it first")
    if path.exists() and path.is_dir() != (path.suffix == ".zarr"):
        raise UserError(f"{path} is there already and no {path.suffix} store: choose another name")


def write_states(states: xr.Dataset, path: Path) -> None:
    """Write a data set as Zarr or NetCDF by its suffix; the final name appears only when complete."""
    check_target(path)
    if path.suffix == ".nc":
        with published(path, RuntimeError) as temporary:
            states.to_netcdf(temporary, engine="netcdf4")
    else:
        with published(path) as temporary:
            states.to_zarr(temporary, mode="w", consolidated=False)
