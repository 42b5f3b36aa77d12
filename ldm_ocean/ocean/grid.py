"""The ocean's grid: masks, cell metrics, coordinates.

Names are NEMO's. T, U and V points each have a mask (depth, y, x) and metrics e1 (along x), e2 (along y), e3 (vertical)
in metres; U lies on the eastern, V on the northern face of its T cell.
"""

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from ..errors import UserError

POINTS = ("t", "u", "v")
MESH = [f"{p}mask" for p in POINTS] + [f"{e}{p}" for e in ("e1", "e2", "e3") for p in POINTS]
MESH += ["nav_lat", "nav_lon", "gdept"]


LEVEL = 0.01  # share of its depth within which the cells of one level lie


def level_depths(mesh: dict[str, np.ndarray]) -> np.ndarray:
    """Depth [m] of each level, (depth,), where ``mesh`` gives one for each cell.

    Cells on the floor may be cut (partial steps), those above it lie where the level lies. Where they do not, as under
    coordinates that follow the ground, the mean over the water stands for the level, with a warning.
    """
    depth, wet = mesh["gdept"], mesh["tmask"]
    water = wet | ~wet.any((1, 2), keepdims=True)  # a level may hold nothing but land, or but floor cells
    above_floor = wet & np.concatenate([wet[1:], np.zeros_like(wet[:1])])
    whole = np.where(above_floor.any((1, 2), keepdims=True), above_floor, water)
    deepest, highest = depth.max((1, 2), where=whole, initial=0), depth.min((1, 2), where=whole, initial=np.inf)
    off = np.where(above_floor.any((1, 2)), deepest - highest, 0)
    if (off <= LEVEL * deepest).all():
        return deepest
    warnings.warn(
        f"cells of one level lie up to {off.max():.0f} m apart: their mean depth stands for the level, which is rough "
        "for density, balance and boxes; interpolate the states to levels of one depth",
        stacklevel=3,
    )
    volume = water * mesh["e1t"] * mesh["e2t"] * mesh["e3t"]
    return (np.where(water, depth, 0) * volume).sum((1, 2)) / volume.sum((1, 2))


@dataclass(frozen=True)
class OceanGrid:
    """Mesh arrays by NEMO's names, whether x closes on itself where it is open, and what its model calls density.

    ``equation_of_state`` is a name of ``physics.eos``, None where it is not known.
    """

    mesh: dict[str, np.ndarray]
    periodic_x: bool = False
    equation_of_state: str | None = None

    @classmethod
    def from_dataset(cls, data: xr.Dataset) -> "OceanGrid":
        """Take the mesh out of a canonical data set; UserError names what is missing."""
        missing = [name for name in MESH if name not in data]
        if missing:
            raise UserError(f"mesh lacks {', '.join(missing)}: give a mesh_mask to `ldm-ocean prepare --mesh`")
        order = [d for d in ("depth", "y", "x")]
        mesh = {k: data[k].transpose(*[d for d in order if d in data[k].dims]).values for k in MESH}
        for name in MESH[:3]:
            mesh[name] = mesh[name].astype(bool)
        if mesh["gdept"].ndim == 3:
            mesh["gdept"] = level_depths(mesh)
        return cls(mesh, bool(data.attrs.get("periodic_x", 0)), data.attrs.get("equation_of_state"))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.mesh[name]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(depth, y, x)."""
        return self.mesh["tmask"].shape

    @property
    def period(self) -> float | None:
        """Length of a periodic x axis [°], None where x is closed."""
        if not self.periodic_x:
            return None
        lon = np.unwrap(self.mesh["nav_lon"], period=360.0, axis=1)  # row for row: some may begin across the dateline
        return float(np.ptp(lon, axis=1).max() * lon.shape[1] / max(lon.shape[1] - 1, 1))

    def volume(self, point: str = "t") -> np.ndarray:
        """Cell volume e1·e2·e3·mask [m³] at T, U or V points, (depth, y, x), 0 on land."""
        area = self.mesh[f"e1{point}"] * self.mesh[f"e2{point}"]
        return np.where(self.mesh[f"{point}mask"], area * self.mesh[f"e3{point}"], 0.0)

    def area(self, point: str = "t") -> np.ndarray:
        """Horizontal area of the surface cells [m²], (y, x), 0 on land."""
        return self.mesh[f"e1{point}"] * self.mesh[f"e2{point}"] * self.mesh[f"{point}mask"][0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of masks and coordinates: two grids with the same digest hold the same ocean."""
        h = hashlib.sha256(repr((self.shape, self.periodic_x)).encode())
        for name in MESH:
            values = self.mesh[name]
            h.update(np.packbits(values).tobytes() if values.dtype == bool else values.astype("float32").tobytes())
        return h.hexdigest()

    def check_same(self, other: "OceanGrid", what: str, mend: str) -> None:
        """UserError, with both hashes, unless ``other``, on which ``what`` lies, is this one."""
        if self.digest != other.digest:
            raise UserError(f"{what} lies on another grid ({other.digest[:12]}, not {self.digest[:12]}): {mend}")

    def to_dataset(self) -> xr.Dataset:
        """The mesh as a data set in NEMO's names."""
        dims = {1: ("depth",), 2: ("y", "x"), 3: ("depth", "y", "x")}
        data = {k: (dims[v.ndim], v.astype("int8") if v.dtype == bool else v) for k, v in self.mesh.items()}
        known = {} if self.equation_of_state is None else {"equation_of_state": self.equation_of_state}
        return xr.Dataset(data, attrs={"periodic_x": int(self.periodic_x), **known})
