"""A place to spoil things in, and the register of bad input: ``case(message)`` above what builds the command."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from ..conftest import CF, SHORT, SMALL_DIT, SMALL_VAE, small_mesh, small_states

ASKED = ["wind=0.2", "mixing=4e-5"]
CASES: dict[str, tuple[str, Callable]] = {}


class Place:
    """The trained road (read only) and a folder of one's own to spoil things in."""

    def __init__(self, road: dict, folder: Path):
        self.states, self.vae, self.latents, self.diffusion = road.values()
        self.folder = folder

    def copy(self, path: Path) -> Path:
        return Path(shutil.copytree(path, self.folder / f"my-{path.name}"))

    def store(self, change: Callable[[xr.Dataset], xr.Dataset], name: str = "spoilt.zarr") -> Path:
        """The states, changed."""
        change(small_states()).to_zarr(self.folder / name, consolidated=False)
        return self.folder / name

    def output(self, change: Callable[[xr.Dataset], xr.Dataset] = lambda d: d) -> Path:
        """Ocean model output in NetCDF, with dates, changed."""
        states = small_states()[list(CF)].isel(sample=slice(0, 2)).reset_coords(drop=True)
        raw = states.drop_vars(list(states.coords)).rename(sample="time")
        when = ("time", [15.0, 45.0], {"units": "days since 2000-01-01", "calendar": "360_day"})
        change(raw.assign_coords(time=when)).to_netcdf(self.folder / "run.nc")
        return self.folder / "run.nc"

    def mesh(self, change: Callable[[xr.Dataset], xr.Dataset] = lambda d: d) -> Path:
        change(small_mesh()).to_netcdf(self.folder / "mesh_mask.nc")
        return self.folder / "mesh_mask.nc"

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name


def case(message: str):
    """Register ``build(place) -> [command, argument, …]`` as bad input whose error holds ``message``."""

    def register(build):
        CASES[build.__name__] = (message, build)
        return build

    return register


def truncate(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def with_hole(data: xr.Dataset) -> xr.Dataset:
    data = data.copy(deep=True)
    data.toce[1, 0, 4, 3] = np.nan
    return data


def with_island(data: xr.Dataset) -> xr.Dataset:
    data = data.copy(deep=True)
    data.tmask[:, 4, 3] = 0
    return data


def with_island_of_all_points(data: xr.Dataset) -> xr.Dataset:
    data = data.copy(deep=True)
    for mask in ("tmask", "umask", "vmask"):
        data[mask][:, 6, 6] = 0
    return data


def wider(_) -> xr.Dataset:
    return small_mesh((5, 9, 8))


def sample(p: Place, *rest, model=None, parameters=ASKED) -> list:
    return ["sample", model or p.diffusion, *parameters, "--out", p.folder / "s.zarr", "--device", "cpu", *rest]


def prepare(p: Place, *rest, change=lambda d: d, mesh=lambda d: d) -> list:
    return ["prepare", p.output(change), "--mesh", p.mesh(mesh), "--out", p.folder / "new.zarr", *rest]


def train_vae(p: Place, *rest, states=None) -> list:
    run = [f"run={p.folder / 'new'}", f"data.states={states or p.states}"]
    return ["train_vae.py", *run, *SMALL_VAE, *SHORT, *rest]


def train_diffusion(p: Place, *rest, latents=None) -> list:
    run = [f"run={p.folder / 'new'}", f"data.latents={latents or p.latents}", f"codec={p.vae}"]
    return ["train_diffusion.py", *run, *SMALL_DIT, *SHORT, *rest]
