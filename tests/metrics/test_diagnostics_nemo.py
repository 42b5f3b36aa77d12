"""What we say of a NEMO restart agrees with plain xarray on NEMO's own files; no kernel of ours is used for that."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ldm_ocean.io.history import read_history
from ldm_ocean.metrics.config import load_config
from ldm_ocean.metrics.description import score_states
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.surface import moved
from ldm_ocean.training.config import CONFIGS

NEMO = Path(__file__).parents[1] / "fixtures" / "nemo_dino_4deg"
MESH, RESTART = NEMO / "mesh_mask.nc", NEMO / "DINO_00172800_restart.nc"


def raw(path: Path) -> xr.Dataset:
    data = xr.load_dataset(path, decode_times=False, decode_coords=False)
    return data.drop_vars([k for k in ("x", "y") if k in data]).astype("float64")


@pytest.fixture(scope="module")
def mesh() -> xr.Dataset:
    m = raw(MESH).isel(time_counter=0)
    return m.assign_coords(nav_lev=m.gdept_1d.values)


@pytest.fixture(scope="module")
def restart(mesh) -> xr.Dataset:
    return raw(RESTART).isel(time_counter=0).assign_coords(nav_lev=mesh.nav_lev)


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    config = load_config(CONFIGS / "evaluate" / "dino-nemo.yaml")
    own = score_states(read_history([RESTART], MESH, equation_of_state="seos").load("restart"), config)["settings"][
        "restart"
    ]
    return {k: record["mean"] for k, record in own.items() if k != "samples"}


def volume(mesh: xr.Dataset, restart: xr.Dataset) -> xr.DataArray:
    height = (mesh.e3t_0 * mesh.tmask).sum("nav_lev")
    stretch = 1 + (restart.sshn / height.where(height > 0)).fillna(0)
    return mesh.e1t * mesh.e2t * mesh.e3t_0 * stretch * mesh.tmask


def zonal_transport(mesh: xr.Dataset, restart: xr.Dataset) -> xr.DataArray:
    """Σ_k u e2u e3u [m³/s], with the sea level of a U point as NEMO averages it: by area, over both sides."""
    water = mesh.e1t * mesh.e2t * restart.sshn
    ssh = (water + water.roll(x=-1)) / 2 / (mesh.e1u * mesh.e2u)
    height = (mesh.e3u_0 * mesh.umask).sum("nav_lev")
    flow = (restart.un * mesh.umask * mesh.e3u_0).sum("nav_lev") * mesh.e2u
    return flow * (1 + (ssh / height.where(height > 0)).fillna(0))


def test_box_means_agree_with_xarray(mesh, restart, found):
    depth, low = mesh.nav_lev, abs(mesh.gphit) < 30
    boxes = {"deep_water": (depth > 500) & (depth < 3000) & low, "bottom_water": ~((depth < 3000) & low)}
    for name, inside in boxes.items():
        weights = volume(mesh, restart).where(inside, 0)
        for ours, theirs in (("toce", "tn"), ("soce", "sn")):
            expected = restart[theirs].weighted(weights).mean().item()
            assert found[f"{name}.{ours}"] == pytest.approx(expected, rel=1e-6)


def test_temperature_at_500_m_agrees_with_xarray(mesh, restart, found):
    surface = restart.tn.where(mesh.tmask > 0).interp(nav_lev=500.0)
    area = (mesh.e1t * mesh.e2t).where((abs(mesh.gphit) < 30) & surface.notnull(), 0)
    assert found["t500"] == pytest.approx(surface.weighted(area).mean().item(), rel=1e-6)


def test_channel_transport_agrees_with_xarray_and_needs_the_moving_surface(mesh, restart, found):
    rows = (mesh.gphit > -66) & (mesh.gphit < -44)
    east = abs(mesh.glamt.isel(y=int(rows.any("x").values.nonzero()[0][0]))).argmin("x")
    flow = zonal_transport(mesh, restart).where(rows, 0).sum("y") / 1e6
    assert found["channel"] == pytest.approx(flow.isel(x=east).item(), rel=1e-6)
    still = zonal_transport(mesh, restart.assign(sshn=0 * restart.sshn)).where(rows, 0).sum("y") / 1e6
    assert found["channel"] != pytest.approx(still.isel(x=east).item(), rel=1e-5)


def test_the_subtropical_gyre_agrees_with_xarray(mesh, restart, found):
    flow = zonal_transport(mesh, restart)
    psi = (flow.sum("y") - flow.cumsum("y")) / 1e6  # at the north-eastern corners, 0 at the northern wall
    north = (mesh.gphit + mesh.gphit.shift(y=-1)) / 2
    assert found["subtropical"] == pytest.approx(psi.where((north > 0) & (north < 40)).max().item(), rel=1e-6)


def test_contents_agree_with_xarray(mesh, restart, found):
    water = volume(mesh, restart)
    assert found["heat_content"] == pytest.approx(1026 * 3991.868 * (water * restart.tn).sum().item(), rel=1e-6)
    assert found["salt_content"] == pytest.approx(1.026 * (water * restart.sn).sum().item(), rel=1e-6)


def test_cells_stretch_as_nemo_says_its_own_did():
    output = raw(NEMO / "DINO_1m_grid_T.nc")
    data = read_history([NEMO / "DINO_1m_grid_T.nc"], MESH).load("means")
    grid = OceanGrid.from_dataset(data)
    ours = moved(grid.mesh, np.nan_to_num(data.ssh.values.astype("float64")), grid.periodic_x)["e3t"]
    wet = np.broadcast_to(grid["tmask"], ours.shape)
    np.testing.assert_allclose(ours[wet], output.vovvle3t.values[wet], rtol=1e-6)
    assert abs(ours / grid["e3t"] - 1)[wet].max() > 1e-4


def test_a_real_restart_is_plausible(found):
    """Within what four degrees of DINO after thirty years can be."""
    limits = {
        "deep_water.toce": (2, 8), "deep_water.soce": (34.5, 36), "t500": (6, 16), "channel": (50, 250),
        "subtropical": (5, 60), "northern_cell": (1, 30), "bottom_cell": (-30, 0), "heat_22n": (-1.5, 1.5),
        "unstable_volume": (0, 10), "mixed_layer_003": (20, 500), "geostrophic_residual": (0, 0.2),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        assert low < found[name] < high, name
    assert found["wall_normal_flow"] == 0 and found["mixed_layer_001"] < found["mixed_layer_003"]
