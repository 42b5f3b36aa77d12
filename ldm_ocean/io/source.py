"""One file (NetCDF-3/4, Zarr, Veros restart) seen through the name map: canonical variables, read state by state.

Whatever the file does, ``Source.read`` returns (depth, y, x) or (y, x), depth growing from the surface down and
latitude growing with y where the file tells, in canonical units. Nothing but the state asked for is read from disk.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import UserError
from . import veros
from .names import AUTO, Names, Variable
from .times import Times, read_times
from .untrusted import open_group

HUGE = 1e15  # nothing in an ocean is larger: a fill value without the attribute
ORDER = ("sample", "depth", "y", "x")
DEGREES = {"nav_lat": 90.0, "nav_lon": 540.0}  # the most that coordinates reach, unrolled round the globe or not
METRES = re.compile(r"k?m|(kilo)?met(re|er)s?", re.IGNORECASE)
AXES = {"T": "sample", "Z": "depth", "Y": "y", "X": "x"}
STANDARD_ROLES = {"time": "sample", "depth": "depth", "latitude": "y", "longitude": "x"}


@dataclass(frozen=True)
class Snapshot:
    """One state of one variable: ``values`` float64 in canonical units, and where the file marks land."""

    values: np.ndarray
    hole: np.ndarray  # NaN, fill value, huge, or the mapped land value
    zero: np.ndarray  # exactly zero in a file that marks land by zeros


class Source:
    """An open file; ``variables`` maps the canonical names found to (raw name, table entry)."""

    def __init__(self, path: Path, data: xr.Dataset, names: Names):
        self.path, self.data, self.names = path, data, names
        self.variables = {k: (raw, v) for k, v in names.variables.items() if (raw := self._find(k, v))}
        dims = {self.dim(raw, "sample") for raw, _ in self.variables.values()}
        if len(dims) > 1:
            raise UserError(
                f"{path} has several time axes ({', '.join(map(str, dims))}): split it, or name one with --map"
            )
        self.times: Times = read_times(data, dims.pop() if dims else None, names.calendars)
        self._zero_is_land: dict[str, bool] = {}

    def _find(self, name: str, variable: Variable) -> str | None:
        for raw in variable.names:
            if raw in self.data.variables and self._fits(raw, variable):
                return raw
        standard = [
            str(k) for k, v in self.data.data_vars.items() if v.attrs.get("standard_name") in variable.standard_names
        ]
        standard = [k for k in standard if self._fits(k, variable)]
        if len(standard) > 1:
            raise UserError(
                f"{self.path} has several candidates for {name} ({', '.join(standard)}): name one with --map"
            )
        return standard[0] if standard else None

    def _fits(self, raw: str, variable: Variable) -> bool:
        roles = self.roles(self.data[raw]).values()
        deep = "depth" in roles or not variable.deep
        return {"y", "x"} <= set(roles) and deep and self.data[raw].dtype.kind in "fiu"

    def role(self, dim: str) -> str | None:
        """sample, depth, y, x, or None: by name, else by the CF attributes of the dimension's coordinate."""
        if dim in self.names.dimensions:
            return self.names.dimensions[dim]
        attrs = self.data[dim].attrs if dim in self.data.variables else {}
        if attrs.get("axis") in AXES:
            return AXES[attrs["axis"]]
        units = str(attrs.get("units", ""))
        if "degree" in units:
            return "y" if "north" in units else "x" if "east" in units else None
        return "sample" if " since " in units else STANDARD_ROLES.get(attrs.get("standard_name", ""))

    def roles(self, array: xr.DataArray) -> dict[str, str]:
        """Dimension → role of those that have one."""
        return {d: r for d in map(str, array.dims) if (r := self.role(d))}

    def dim(self, raw: str, role: str) -> str | None:
        """The dimension of ``raw`` that plays ``role``."""
        return next((d for d, r in self.roles(self.data[raw]).items() if r == role), None)

    def canonical(self, raw: str) -> xr.DataArray:
        """The array (lazy) under canonical dimensions in canonical order; single odd dimensions are dropped."""
        array = self.data[raw].reset_coords(drop=True)
        roles = self.roles(array)
        odd = [d for d in array.dims if d not in roles]
        if any(array.sizes[d] > 1 for d in odd):
            raise UserError(
                f"{raw} in {self.path} has a dimension {odd[0]!r} with no known role: name it with --map (dimensions)"
            )
        if len(set(roles.values())) < len(roles):
            raise UserError(
                f"{raw} in {self.path} has dimensions {', '.join(roles)}, two of one role: name them with --map"
            )
        array = array.isel({d: 0 for d in odd}).rename(roles)
        array = array.drop_vars(list(array.coords))
        return array.transpose(*[d for d in ORDER if d in array.dims])

    def depths(self, raw: str) -> np.ndarray | None:
        """The depth coordinate of ``raw`` in file order, positive down; None where there is none."""
        dim = self.dim(raw, "depth")
        if dim is None or dim not in self.data.variables or self.data[dim].ndim != 1:
            return None
        values = np.asarray(self.data[dim].values, "float64")
        up = self.data[dim].attrs.get("positive", "").lower() == "up" or (values <= 0).all()
        return -values if up else values

    def metres(self, raw: str) -> np.ndarray | None:
        """Depths [m] from the surface down, None where the file only numbers its levels."""
        depth = self.depths(raw)
        if depth is None:
            return None
        counted = self.data[self.dim(raw, "depth")].attrs.get("units") in ("level", "1")
        return None if counted or np.array_equal(depth, np.arange(len(depth))) else np.sort(depth)

    @cached_property
    def horizontal(self) -> dict[str, np.ndarray]:
        """``nav_lat``, ``nav_lon`` [degrees] on the plane, in file order, as far as the file has them.

        UserError for metres in their place.
        """
        out = {}
        sizes = self.plane
        for target in ("nav_lat", "nav_lon"):
            for raw in self.names.coordinates[target] + self.names.plane[target]:
                if raw not in self.data.variables or self.data[raw].dtype.kind not in "fiu":
                    continue
                array = self._plane_of(raw)
                if array is None or (raw in self.names.plane[target] and array.ndim < 2):
                    continue
                other = [d for d in ("y", "x") if d not in array.dims]
                full = array.expand_dims({d: sizes[d] for d in other}).transpose("y", "x").values.astype("float64")
                if np.isfinite(full).all() and np.ptp(full) > 0:
                    self._check_degrees(raw, full, DEGREES[target])
                    out[target] = full
                    break
        return out

    def _check_degrees(self, raw: str, values: np.ndarray, most: float):
        units, far = str(self.data[raw].attrs.get("units", "")), np.abs(values).max()
        if METRES.fullmatch(units.strip()) or far > most:
            raise UserError(
                f"{raw} in {self.path} is no angle (up to {far:.6g} {units}): give degrees; on an f- or β-plane "
                "latitude is where the Earth's f is that of the model, as in the channel of `ldm-ocean simulate`"
            )

    def _plane_of(self, raw: str) -> xr.DataArray | None:
        array = self.data[raw]
        roles = self.roles(array)
        if any(d not in roles for d in array.dims) or not {"y", "x"} & set(roles.values()) or "depth" in roles.values():
            return None
        array = self.canonical(raw)
        return array.isel(sample=0) if "sample" in array.dims else array

    @cached_property
    def plane(self) -> dict[str, int]:
        """Sizes of y and x."""
        for v in self.data.variables:
            roles = {r: d for d, r in self.roles(self.data[v]).items()}
            if {"y", "x"} <= set(roles):
                return {k: self.data.sizes[roles[k]] for k in ("y", "x")}
        return {}

    @property
    def south_is_last(self) -> bool:
        """True where latitude falls with the file's y."""
        lat = self.horizontal.get("nav_lat")
        return lat is not None and float(np.median(np.diff(lat, axis=0))) < 0

    def oriented(self, array: xr.DataArray, raw: str) -> xr.DataArray:
        """Surface first, south first."""
        depth = self.depths(raw) if "depth" in array.dims else None
        if depth is not None and len(depth) > 1 and depth[0] > depth[-1]:
            array = array.isel(depth=slice(None, None, -1))
        return array.isel(y=slice(None, None, -1)) if self.south_is_last and "y" in array.dims else array

    @property
    def coordinates(self) -> dict[str, np.ndarray]:
        """``horizontal``, south first."""
        return {k: v[::-1] if self.south_is_last else v for k, v in self.horizontal.items()}

    def read(self, name: str, step: int) -> Snapshot:
        """State number ``step`` of a canonical variable; UserError when the file cannot be read."""
        raw, variable = self.variables[name]
        try:
            values = self._values(raw, step, variable.deep).astype("float64")
            divisor = self.divisor(variable)
            thickness = self._values(divisor, step, True).astype("float64") if divisor else None
        except UserError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"cannot read {raw} in {self.path} ({error}): is the file whole?") from error
        land = self.names.land
        hole = ~(np.abs(np.nan_to_num(values, nan=np.inf)) < HUGE)
        if not isinstance(land, str):
            hole |= np.isclose(values, land, rtol=1e-6, atol=0)
        if name not in self._zero_is_land:
            self._zero_is_land[name] = land == "zero" or (land == AUTO and not hole.any())
        zero = (values == 0) if self._zero_is_land[name] else np.zeros_like(hole)
        if thickness is not None:
            values = np.divide(values, thickness, out=np.zeros_like(values), where=thickness > 0)
        scale, offset = self.names.conversion(name, raw, self.data[raw].attrs.get("units"), str(self.path))
        with np.errstate(invalid="ignore", over="ignore"):
            return Snapshot(np.where(hole, np.nan, values * scale + offset), hole, zero)

    def divisor(self, variable: Variable) -> str | None:
        """Name of the thickness by which the stored field was multiplied, None where it was not."""
        if variable.thickness in self.data.variables and variable.thickness_unless not in self.data.attrs:
            return variable.thickness
        return None

    def _values(self, raw: str, step: int, deep: bool) -> np.ndarray:
        array = self.canonical(raw)
        if "sample" in array.dims:
            array = array.isel(sample=step)
        if "depth" in array.dims and not deep:
            if array.sizes["depth"] > 1:
                raise UserError(
                    f"{raw} in {self.path} has {array.sizes['depth']} levels where one is wanted: map another variable"
                )
            array = array.isel(depth=0)
        return self.oriented(array, raw).values

    def steps(self) -> int:
        return len(self.times.days)


def open_source(path: Path, names: Names, settings: dict | None = None) -> Source:
    """Open any supported file; ``settings`` are the Veros settings known from elsewhere (its restarts have none)."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"no file {path}: check the path")
    data = _open(path)
    return Source(path, veros.with_sea_level(data, veros.settings_of(data) or settings or {}), names)


def _open(path: Path) -> xr.Dataset:
    try:
        if path.is_dir():
            known = open_group(path, zarr_format=None).metadata.zarr_format
            return xr.open_zarr(
                path, decode_times=False, decode_timedelta=False, chunks=None, consolidated=False, zarr_format=known
            )
        if veros.is_restart(path):
            return veros.open_restart(path)
        return xr.open_dataset(path, decode_times=False, decode_timedelta=False, decode_coords=False)
    except UserError:
        raise
    except Exception as error:  # each backend has exceptions of its own
        reason = str(error).strip().split("\n")[0][:120]
        raise UserError(
            f"{path} is neither NetCDF, Zarr nor a Veros restart, or is truncated ({reason}): write it again"
        ) from error
