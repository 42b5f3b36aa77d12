"""NEMO's files for tests: small real ones, and made-up meshes in NEMO's form."""

from pathlib import Path

import numpy as np
import xarray as xr

from ldm_ocean.io.history import read_history

NEMO = Path(__file__).parent / "fixtures" / "nemo_dino_4deg"
MESH = NEMO / "mesh_mask.nc"
RESTART = NEMO / "DINO_00172800_restart.nc"
WHOLE = NEMO / "DINO_00172800_top_restart.nc"  # all 33 variables of a restart, the three uppermost levels of it
FIELDS = ("toce", "soce", "uoce", "voce", "ssh")


def raw(path: Path) -> xr.Dataset:
    """The values as they are stored."""
    return xr.load_dataset(path, decode_times=False, decode_coords=False, mask_and_scale=False)


def states_of(*paths: Path, mesh: Path) -> xr.Dataset:
    return read_history(list(paths), mesh, equation_of_state="seos").load("states")


def save_mesh(mesh: xr.Dataset, path: Path) -> Path:
    """A canonical mesh as NEMO's mesh_mask."""
    names = {
        "e3t": "e3t_0",
        "e3u": "e3u_0",
        "e3v": "e3v_0",
        "gdept": "gdept_1d",
        "nav_lat": "gphit",
        "nav_lon": "glamt",
    }
    mesh.rename({**names, "depth": "nav_lev"}).expand_dims("time_counter").to_netcdf(path)
    return path


def upper_mesh(path: Path) -> Path:
    """The mesh of ``WHOLE``."""
    raw(MESH).isel(nav_lev=slice(3)).to_netcdf(path)
    return path


def with_overlap(mesh: xr.Dataset) -> xr.Dataset:
    """A periodic mesh with its last column repeated before the first, its first behind the last."""
    return mesh.isel(x=np.r_[-1, 0 : mesh.sizes["x"], 0])


def same(a: xr.Dataset, b: xr.Dataset):
    """All fields agree to the last bit."""
    for name in FIELDS:
        np.testing.assert_array_equal(a[name].values, b[name].values)


def run_folder(folder: Path, warmer: list[float], text: str = "", **namelist: float) -> Path:
    """What a finished run of NEMO leaves: output, three means a year, of which those of year n are the real first one,
    ``warmer[n]`` degrees warmer everywhere (no year, no output); ``text`` in its run.stat; a namelist_cfg."""
    folder.mkdir(parents=True)
    offsets = np.repeat(np.asarray(warmer, "float32"), 3)
    for point in "TUV" if warmer else "":
        with xr.open_dataset(NEMO / f"DINO_1m_grid_{point}.nc", decode_times=False) as data:
            output = data.load().isel(time_counter=np.zeros(len(offsets), int))
        days = output.time_counter + 120 * 86400.0 * np.arange(len(offsets))
        output = output.assign_coords(time_counter=days.assign_attrs(output.time_counter.attrs))
        if point == "T":
            heat = output.vovvle3t * xr.DataArray(offsets, dims="time_counter")  # NEMO multiplies by the thickness
            output["votemper"] = output.votemper + heat * (output.votemper != 0)
        output.drop_encoding().to_netcdf(folder / f"DINO_4m_grid_{point}.nc")
    if text:
        (folder / "run.stat").write_text(text)
    lines = "".join(f"    {k} = {v}\n" for k, v in namelist.items())
    (folder / "namelist_cfg").write_text(f"&namrun\n{lines}/\n")
    return folder
