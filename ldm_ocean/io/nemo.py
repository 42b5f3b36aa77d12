"""NEMO restarts: canonical states in the form that the model starts from.

NEMO needs T, S, u, v and sea level of one instant, in the order ([time,] depth, y, x), land finite and at rest. A
leap-frog start φⁿ⁺¹ = φⁿ⁻¹ + 2Δt F(φⁿ) wants the step before as well, and of a change of φⁿ alone half is lost: the
time filter mixes it with the old φⁿ⁻¹. So a file written here has no step before; NEMO then begins with a forward
(Euler) step from φⁿ. NEMO 5 (Runge-Kutta) has one time level and reads the same names.

The date. Idealised forcing follows kt Δt in a year of 360 days, where kt is the last step done. A state of season s
(share of the year gone) gets the end of day d = round(360 s), 1 ≤ d ≤ 360, of a first year: kt = 86400 d/Δt.
"""

from importlib.resources import files
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr
import yaml

from ..errors import UserError
from ..ocean.grid import MESH, OceanGrid
from .atomic import published
from .checks import check_values
from .mesh import read_mesh
from .names import Names
from .output import MARK
from .source import Snapshot, open_source
from .times import IDEAL_YEAR, SECONDS_PER_DAY

LAYOUT = yaml.safe_load(files(__package__).joinpath("nemo.yaml").read_text())
ENDING = "_restart.nc"
SAME_PLACE = 1e-3  # [degrees] coordinates in single precision
SAME_DEPTH = 0.01  # share of the depth


def read_grid(mesh: Path) -> OceanGrid:
    """The grid of a mesh_mask as NEMO has it, overlap columns and levels without water included."""
    return OceanGrid.from_dataset(read_mesh(open_source(Path(mesh), Names.load())))


def difference(states: xr.Dataset, grid: OceanGrid) -> str | None:
    """What keeps canonical states from being a restart on ``grid``, in a few words; None where nothing does.

    Overlap columns, which are cut off when states are read, and levels without water are no difference.
    """
    own = OceanGrid.from_dataset(states)
    levels, columns = own.shape[0], slice(1, -1) if _overlaps(own, grid) else slice(None)
    mesh = {k: grid[k][..., columns] if grid[k].ndim > 1 else grid[k] for k in MESH}
    if own.shape[1:] != mesh["nav_lat"].shape or levels > grid.shape[0]:
        return f"the states have {_times(own.shape)} cells, the mesh {_times(grid.shape)}"
    if mesh["tmask"][levels:].any():
        return f"the mesh has water below the {levels} levels of the states"
    far = max(
        np.abs(own["nav_lat"] - mesh["nav_lat"]).max(),
        np.abs((own["nav_lon"] - mesh["nav_lon"] + 180) % 360 - 180).max(),
    )
    if far > SAME_PLACE:
        return f"cells of the states lie up to {far:.3g}° from those of the mesh"
    off = np.abs(own["gdept"] - mesh["gdept"][:levels])
    if (off > SAME_DEPTH * mesh["gdept"][:levels]).any():
        return f"levels of the states lie up to {off.max():.3g} m from those of the mesh"
    for mask in MESH[:3]:
        wetter = int((mesh[mask][:levels] & ~own[mask]).sum())
        drier = int((own[mask] & ~mesh[mask][:levels]).sum())
        if wetter or drier:
            return f"{mask} differs: {wetter} wet cells of the mesh are land in the states, {drier} the other way round"
    return None


def season_of(state: xr.Dataset) -> float | None:
    """Share of the year of one state, None where it does not tell."""
    season = float(np.ravel(state["season"].values)[0]) if "season" in state.coords else np.nan
    return season if np.isfinite(season) else None


def day_of(season: float) -> int:
    """The day of a year of 360 at whose end a ``season`` is, from 1: day 360 for season 0."""
    return round(season % 1.0 * IDEAL_YEAR) or int(IDEAL_YEAR)


def date_of(day: int) -> int:
    """yyyymmdd of a ``day`` counted from 1, the first of year 1, in months of 30 days."""
    year, rest = divmod(day - 1, int(IDEAL_YEAR))
    return 10000 * (year + 1) + 100 * (rest // 30 + 1) + rest % 30 + 1


def calendar(season: float, rdt: float) -> dict[str, float]:
    """kt, ndastp, adatrj, ntime of a state of ``season`` (share of the year) for time steps of ``rdt`` [s]."""
    if not rdt > 0 or SECONDS_PER_DAY % rdt:
        raise UserError(f"a time step of {rdt:g} s does not divide the day, as NEMO wants it: correct --rdt")
    day = day_of(season)
    values = (day * SECONDS_PER_DAY / rdt, date_of(day), day, 0)
    return dict(zip(LAYOUT["calendar"], map(float, values), strict=True))


def write_restart(
    path: Path,
    state: xr.Dataset,
    grid: OceanGrid,
    template: Path | None = None,
    rdt: float | None = None,
    mark: str = "",
) -> int | None:
    """Write one canonical ``state`` (no or one sample) on ``grid``; returns its kt, None where no date is written.

    Without ``template``: the five fields and coordinates; with ``rdt`` [s] the date that belongs to the season.
    With ``template``, a restart of the same configuration: its own format, everything in it kept to the last bit but
    the five fields, the step before them, which goes, and the date, by the template's own time step unless ``rdt`` is
    given. ``mark`` says who wrote it (see ``io.output``). UserError for states on another grid, implausible values and
    names that NEMO misreads.
    """
    path = Path(path)
    check_name(path)
    fields, season = start_fields(state, grid), season_of(state)
    with published(path, RuntimeError) as temporary:
        if template is None:
            date = _date(season, rdt)
            _write_minimal(temporary, fields, date, grid, str(state.attrs.get("source", "ldm_ocean")))
        else:
            with open_netcdf(template) as old:
                date = _date(season, _time_step(old, rdt))
                _check_template(old, fields, season, bool(date))
                _write_like(temporary, old, fields | date)
        if mark:
            with netCDF4.Dataset(temporary, "a") as written:
                written.setncattr(MARK, mark)
    return int(date[LAYOUT["calendar"][0]]) if date else None


def check_name(path: Path) -> None:
    """UserError for a name that NEMO would not find, or take for one processor's piece (``…_0000.nc``)."""
    if not path.name.endswith(ENDING):
        raise UserError(f"{path} must end in {ENDING} (NEMO takes …_<digits>.nc for one rank's piece): rename it")
    if not path.resolve().parent.is_dir():
        raise UserError(f"no folder {path.resolve().parent}: create it first")


def open_netcdf(path: Path) -> netCDF4.Dataset:
    """Open a file with its values as they are stored; UserError where that cannot be done."""
    try:
        data = netCDF4.Dataset(path)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}): check the path, write it again") from error
    data.set_auto_maskandscale(False)
    data.set_auto_chartostring(False)
    return data


def _overlaps(own: OceanGrid, grid: OceanGrid) -> bool:
    """Whether ``grid`` has, other than ``own``, a column more at either end that repeats its inner ones."""
    wider = own.periodic_x and grid.shape[2] == own.shape[2] + 2
    return wider and np.array_equal(grid["tmask"][..., [0, -1]], grid["tmask"][..., [-2, 1]])


def _times(shape) -> str:
    return " × ".join(map(str, shape))


def start_fields(state: xr.Dataset, grid: OceanGrid) -> dict[str, np.ndarray]:
    """Name in the restart → float64 on the whole mesh, 0 on land; UserError for anything a model would choke on."""
    if (differs := difference(state, grid)) is not None:
        raise UserError(f"{differs}: interpolate with --regrid, or give the mesh of the states")
    names, levels, wider = Names.load(), grid.shape[0], grid.shape[2] > state.sizes["x"]  # by its overlap
    out = {}
    for name, raw in LAYOUT["now"].items():
        if name not in state:
            raise UserError(f"the states have no {name}: NEMO starts from {', '.join(LAYOUT['now'])}")
        values, deep = state[name], "depth" in state[name].dims
        if values.sizes.get("sample", 1) != 1:
            raise UserError(f"one restart holds one state, not {values.sizes['sample']}: choose one")
        array = values.squeeze("sample") if "sample" in values.dims else values
        array = array.transpose(*(("depth",) if deep else ()), "y", "x").values.astype("float64")
        if wider:
            array = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(1, 1)], mode="wrap")
        if deep:
            array = np.pad(array, [(0, levels - len(array)), (0, 0), (0, 0)], constant_values=np.nan)
        mask = grid[values.attrs["mask"]]
        mask = mask if deep else mask[0]
        check_values(Snapshot(array, ~np.isfinite(array), np.zeros(array.shape, bool)), name, names, mask, "the states")
        out[raw] = np.where(mask, array, 0.0)
    return out


def _date(season: float | None, rdt: float | None) -> dict[str, float]:
    """Date and time step, nothing where either is not known."""
    return {} if season is None or rdt is None else calendar(season, rdt) | {LAYOUT["time_step"]: float(rdt)}


def _time_step(old: netCDF4.Dataset, rdt: float | None) -> float | None:
    if rdt is None and LAYOUT["time_step"] in old.variables:
        return float(np.ravel(old[LAYOUT["time_step"]][...])[0])
    return rdt


def _check_template(old: netCDF4.Dataset, fields: dict[str, np.ndarray], season: float | None, dated: bool):
    for name, values in fields.items():
        if name not in old.variables:
            raise UserError(f"{old.filepath()} has no {name}: give a restart of this configuration as template")
        shape = old[name].shape
        if shape not in (values.shape, (1, *values.shape)):
            raise UserError(
                f"{name} in {old.filepath()} is {shape}, the mesh {values.shape}: "
                "give a whole restart of this configuration (join the ranks' pieces first)"
            )
        packing = getattr(old[name], "scale_factor", 1), getattr(old[name], "add_offset", 0)
        if old[name].dtype.kind != "f" or packing != (1, 0):
            raise UserError(f"{name} in {old.filepath()} is packed, NEMO would scale our values: unpack the template")
    if not dated and LAYOUT["calendar"][0] in old.variables:
        if season is None:
            raise UserError(
                f"{old.filepath()} has a date, but the states tell no season: give them the coordinate `season` "
                f"(share of the year), or take {', '.join(LAYOUT['calendar'])} out of the template"
            )
        raise UserError(f"{old.filepath()} has a date but no time step: give it with --rdt")


def _write_minimal(path: Path, fields: dict, date: dict, grid: OceanGrid, source: str):
    time, (z, y, x) = LAYOUT["time_axis"], LAYOUT["dimensions"]
    with netCDF4.Dataset(path, "w") as new:
        new.source = source
        for name, size in zip((z, y, x), grid.shape, strict=True):
            new.createDimension(name, size)
        new.createDimension(time, None)
        for name, dims in LAYOUT["coordinates"].items():
            new.createVariable(name, "f8", dims)[...] = grid[name]
        new.createVariable(z, "f8", (z,))[...] = grid["gdept"]
        new[z].setncatts({"units": "m", "positive": "down"})
        new.createVariable(time, "f8", (time,))[...] = np.array([date.get(LAYOUT["calendar"][0], 0.0)])
        for name, values in fields.items():
            dims = (time, z, y, x) if values.ndim == 3 else (time, y, x)
            new.createVariable(name, "f8", dims, zlib=True, complevel=4)[...] = values[None]
        for name, value in date.items():
            new.createVariable(name, "f8", ())[...] = value


def _write_like(path: Path, old: netCDF4.Dataset, new_values: dict):
    """Copy ``old`` but for ``new_values`` and the step before; the time axis, which numbers the step, follows kt."""
    kt = new_values.get(LAYOUT["calendar"][0])
    if kt is not None and old.variables.get(LAYOUT["time_axis"]) is not None:
        new_values = new_values | {LAYOUT["time_axis"]: kt}
    with netCDF4.Dataset(path, "w", format=old.data_model) as new:
        new.set_auto_maskandscale(False)
        new.setncatts({k: old.getncattr(k) for k in old.ncattrs()})
        for name, dim in old.dimensions.items():
            new.createDimension(name, None if dim.isunlimited() else len(dim))
        for name, variable in old.variables.items():
            if name in LAYOUT["before"].values():
                continue
            copy = new.createVariable(name, variable.dtype, variable.dimensions, **_storage(variable))
            copy.set_auto_maskandscale(False)
            copy.set_auto_chartostring(False)
            copy.setncatts({k: variable.getncattr(k) for k in variable.ncattrs() if k != "_FillValue"})
            values = new_values.get(name)
            copy[...] = variable[...] if values is None else np.reshape(values, variable.shape)
        for name in new_values.keys() - old.variables.keys():
            new.createVariable(name, "f8", ())[...] = new_values[name]


def _storage(variable: netCDF4.Variable) -> dict:
    """Chunks, compression, byte order and fill value as the variable has them."""
    out = {"fill_value": getattr(variable, "_FillValue", None), "endian": variable.endian()}
    filters, chunks = variable.filters(), variable.chunking()
    if filters is None or chunks in (None, "contiguous"):  # netCDF-3, and scalars
        return out
    return out | {"chunksizes": chunks} | {k: filters[k] for k in ("zlib", "complevel", "shuffle", "fletcher32")}
