"""A small ocean with land, walls, an island and a re-entrant row, and states on it."""

import ctypes
import gc
import os
import sys
import tempfile

import numpy as np
import pytest
import torch
import xarray as xr

from ldm_ocean.autoencoder.normaliser import Normaliser
from ldm_ocean.autoencoder.vae import Autoencoder
from ldm_ocean.ocean.fields import Fields
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.simulate.pool import ONE_THREAD

CF = {
    "toce": ("tmask", "degC", "sea_water_potential_temperature"),
    "soce": ("tmask", "g kg-1", "sea_water_salinity"),
    "uoce": ("umask", "m s-1", "sea_water_x_velocity"),
    "voce": ("vmask", "m s-1", "sea_water_y_velocity"),
    "ssh": ("tmask", "m", "sea_surface_height_above_geoid"),
}

SMALL_VAE = ["model.strides=[[2,2,2]]", "model.widths=[8]", "model.blocks=[1]", "model.channels=3", "train.samples=64"]
SMALL_DIT = ["model.width=32", "model.depth=1", "model.heads=2", "train.samples=64"]
SHORT = ["train.global_batch_size=8", "train.validate_every=32", "train.checkpoint_every=32", "train.device=cpu"]


VEROS = ("simulate/", "spinup/", "commands/test_restart_for_veros", "commands/test_over", "reliability/test_commands")


def pytest_configure(config) -> None:
    """Veros' step takes a minute and 1.7 GB to compile: what one process of the tests has compiled, the others load."""
    if hasattr(config, "workerinput"):  # one of several workers, which have their parent's
        return
    folder = tempfile.TemporaryDirectory(prefix="compiled-")
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": folder.name, "XLA_FLAGS": ONE_THREAD}
    config.add_cleanup(folder.cleanup)


def pytest_collection_modifyitems(items) -> None:
    """Of several workers one has all tests of a file, which share fixtures, and one all that compile Veros."""
    for item in items:
        file = item.nodeid.split("::")[0]
        compiles = file.removeprefix("tests/").startswith(VEROS)
        item.add_marker(pytest.mark.xdist_group("veros" if compiles else file))


@pytest.fixture(scope="module", autouse=True)
def _leave_no_memory():
    """What the tests of a file had is given back to the system: the allocator would keep it, a gigabyte in all."""
    yield
    if "ldm_ocean.simulate.model" in sys.modules:
        from ldm_ocean.simulate.pool import the_model

        the_model.cache_clear()
        sys.modules["jax"].clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def small_mesh(shape=(5, 9, 7), periodic=True) -> xr.Dataset:
    """Closed to the north and south, a wall in the first column but for one open row, sloping floor, one island."""
    nz, ny, nx = shape
    tmask = np.ones(shape, "int8")
    tmask[:, :, 0] = 0
    tmask[:, 2, 0] = 1 if periodic else 0
    tmask[-1] = 0
    tmask[-2, :, :3] = 0
    tmask[:, 5, 4] = 0
    umask = tmask * np.roll(tmask, -1, axis=2)
    if not periodic:
        umask[:, :, -1] = 0
    vmask = tmask.copy()
    vmask[:, :-1] *= tmask[:, 1:]
    vmask[:, -1] = 0
    lat, lon = np.linspace(-40, 40, ny), 5.0 * np.arange(nx)
    data = {k: (("depth", "y", "x"), v) for k, v in (("tmask", tmask), ("umask", umask), ("vmask", vmask))}
    dz = np.linspace(10, 200, nz)
    for p in "tuv":
        data[f"e1{p}"] = (("y", "x"), np.broadcast_to(5.5e5 * np.cos(np.deg2rad(lat))[:, None], (ny, nx)))
        data[f"e2{p}"] = (("y", "x"), np.full((ny, nx), 1.1e6))
        data[f"e3{p}"] = (("depth", "y", "x"), np.broadcast_to(dz[:, None, None], shape))
    data["nav_lat"] = (("y", "x"), np.broadcast_to(lat[:, None], (ny, nx)))
    data["nav_lon"] = (("y", "x"), np.broadcast_to(lon, (ny, nx)))
    data["gdept"] = ("depth", np.cumsum(dz) - dz / 2)
    return xr.Dataset(data, attrs={"periodic_x": int(periodic), "equation_of_state": "vallis"})


def small_states(settings: int = 6, each: int = 4, seed: int = 0, shape=(5, 9, 7)) -> xr.Dataset:
    """States whose temperature follows the parameters ``wind`` and ``mixing`` and the season, plus noise."""
    rng = np.random.default_rng(seed)
    mesh = small_mesh(shape)
    n = settings * each
    wind = np.repeat(rng.uniform(0.1, 0.3, settings), each)
    mixing = np.repeat(10 ** rng.uniform(-5, -4, settings), each)
    season = np.tile(np.arange(each) / each, settings)
    depth = mesh.gdept.values[:, None, None]
    pattern = np.cos(np.deg2rad(mesh.nav_lat.values))[None] * np.exp(-depth / 200)
    signal = (wind - 0.2) * 30 + np.log(mixing / 3e-5) + np.cos(2 * np.pi * season)
    data = {}
    for i, (name, (mask, units, standard)) in enumerate(CF.items()):
        wet = mesh[mask].values.astype(bool)
        noise = 0.05 * rng.standard_normal((n, *wet.shape))
        values = {0: 10.0, 1: 35.0}.get(i, 0.0) + (1 + i) / 3 * signal[:, None, None, None] * pattern + noise
        values = np.where(wet, values, np.nan).astype("float32")
        dims = ("sample", "depth", "y", "x") if name != "ssh" else ("sample", "y", "x")
        attrs = {"mask": mask, "units": units, "standard_name": standard, "long_name": name}
        data[name] = (dims, values if name != "ssh" else values[:, 0], attrs)
    number = np.repeat(np.arange(settings), each)
    split = np.where(
        number < settings - 3,
        "train",
        np.where(number == settings - 3, "validation", np.where(number == settings - 2, "test", "edge")),
    )
    coords = {
        "setting": ("sample", np.array([f"s{k:02d}" for k in number])),
        "split": ("sample", split),
        "season": ("sample", season),
        "equilibrium": ("sample", np.tile(np.arange(each) > 0, settings)),
        "wind": ("sample", wind),
        "mixing": ("sample", mixing),
    }
    states = xr.Dataset(data, coords=coords)
    return states.merge(mesh).assign_attrs(**mesh.attrs, parameters=["wind", "mixing"])


@pytest.fixture(scope="session")
def states() -> xr.Dataset:
    return small_states()


@pytest.fixture(scope="session")
def grid(states) -> OceanGrid:
    return OceanGrid.from_dataset(states)


@pytest.fixture(scope="session")
def fields(states) -> Fields:
    return Fields.from_dataset(states)


@pytest.fixture(scope="session")
def tensor(states, fields, grid) -> torch.Tensor:
    return torch.from_numpy(fields.stack(states, grid))


@pytest.fixture
def autoencoder(fields, grid, tensor) -> Autoencoder:
    """Untrained, but with no layer at its zero start, so that every path is seen."""
    torch.manual_seed(0)
    model = Autoencoder(fields, grid, strides=[[2, 2, 2], [2, 2, 2]], widths=[8, 12], blocks=[1, 1], channels=3)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    model.normaliser.load_state_dict(Normaliser.fit(tensor.numpy(), fields.volumes(grid)).state_dict())
    model.fit_statistics(tensor)
    return model


@pytest.fixture(scope="session")
def road(tmp_path_factory, states) -> dict:
    """Folders of a store, a trained autoencoder, its latents and a trained generator: read only."""
    from ldm_ocean import artefacts, open_states
    from ldm_ocean.autoencoder.latents import write_latents
    from ldm_ocean.training import engine
    from ldm_ocean.training.autoencoder import AutoencoderTask
    from ldm_ocean.training.config import DiffusionConfig, VaeConfig, load
    from ldm_ocean.training.diffusion import DiffusionTask

    folder = tmp_path_factory.mktemp("road")
    paths = {k: folder / k for k in ("states.zarr", "vae", "latents.zarr", "diffusion")}
    states.to_zarr(paths["states.zarr"], consolidated=False)
    data = [f"data.states={paths['states.zarr']}", f"data.latents={paths['latents.zarr']}"]
    vae = load(VaeConfig, "vae", [*data, *SMALL_VAE, *SHORT])
    engine.fit(AutoencoderTask(vae), vae.train, paths["vae"])
    write_latents(paths["latents.zarr"], artefacts.load_codec(paths["vae"]), open_states(paths["states.zarr"]))
    diffusion = load(DiffusionConfig, "diffusion", [*data, f"codec={paths['vae']}", *SMALL_DIT, *SHORT])
    engine.fit(DiffusionTask(diffusion), diffusion.train, paths["diffusion"])
    return paths
