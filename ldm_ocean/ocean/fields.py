"""The field table: which variables make up a state, and how they become channels of one tensor.

A state is a tensor (V, D, Y, X). A variable without depth is a channel that is wet at the surface only.
"""

import os
import tempfile
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr

from ..errors import UserError, nearest
from .grid import OceanGrid

TEMPERATURE, SALINITY = "sea_water_potential_temperature", "sea_water_salinity"  # CF standard names
EASTWARD, NORTHWARD = "sea_water_x_velocity", "sea_water_y_velocity"
SEA_LEVEL = "sea_surface_height_above_geoid"
PLAUSIBLE = {  # standard name → what any ocean has, in the canonical unit
    TEMPERATURE: (-5.0, 45.0),
    SALINITY: (0.01, 50.0),
    EASTWARD: (-10.0, 10.0),
    NORTHWARD: (-10.0, 10.0),
    SEA_LEVEL: (-20.0, 20.0),
}


@dataclass(frozen=True)
class Field:
    """One variable: its name, the mask of its C-grid point, whether it has depth, its CF attributes."""

    name: str
    mask: str
    deep: bool
    attrs: dict = field(default_factory=dict, compare=False)


class Fields(tuple[Field, ...]):
    """The variables of a state in channel order."""

    @classmethod
    def from_dataset(cls, data: xr.Dataset, names: list[str] | None = None) -> "Fields":
        """Every variable with a ``sample`` dimension and a ``mask`` attribute, or those named."""
        known = [str(k) for k, v in data.data_vars.items() if "mask" in v.attrs and "sample" in v.dims]
        for name in names or []:
            if name not in known:
                raise UserError(f"no variable {name!r} among the states{nearest(name, known)}")
            if (names or []).count(name) > 1:
                raise UserError(f"the variable {name!r} is named twice: name it once")
        chosen = names or known
        if not chosen:
            raise UserError("the store holds no state variables: run `ldm-ocean prepare` on the files first")
        return cls(Field(k, data[k].attrs["mask"], "depth" in data[k].dims, dict(data[k].attrs)) for k in chosen)

    @classmethod
    def from_records(cls, records: list[dict]) -> "Fields":
        """Inverse of ``records``."""
        return cls(Field(**r) for r in records)

    def records(self) -> list[dict]:
        """JSON form, kept in every checkpoint and latent store."""
        return [vars(f) for f in self]

    @property
    def names(self) -> list[str]:
        return [f.name for f in self]

    def index_of(self, name: str) -> int:
        """Channel of the variable with this ``name`` or CF standard name; UserError if there is none."""
        for v, f in enumerate(self):
            if name in (f.name, f.attrs.get("standard_name")):
                return v
        raise UserError(f"no variable {name!r} among {', '.join(self.names)}{nearest(name, self.names)}")

    def masks(self, grid: OceanGrid) -> torch.Tensor:
        """(V, D, Y, X) bool: the mask of each variable's own point."""
        masks = np.stack([grid[f.mask] for f in self])
        for channel, f in zip(masks, self, strict=True):
            if not f.deep:
                channel[1:] = False
        return torch.from_numpy(masks)

    def volumes(self, grid: OceanGrid) -> torch.Tensor:
        """(V, D, Y, X) float64 cell volumes [m³] at each variable's own point, 0 on land."""
        volumes = np.stack([grid.volume(f.mask[0]) for f in self])
        return torch.from_numpy(volumes) * self.masks(grid)

    def stack(self, data: xr.Dataset, grid: OceanGrid) -> np.ndarray:
        """States (N, V, D, Y, X) float32, 0 on land whatever stood there; UserError for a hole at a wet point."""
        masks = self.masks(grid).numpy()
        out = np.zeros((data.sizes["sample"], *masks.shape), "float32")
        for v, f in enumerate(self):
            if f.name not in data:
                raise UserError(f"the states lack {f.name!r}: the model needs {', '.join(self.names)}")
            array = data[f.name].transpose("sample", *(("depth",) if f.deep else ()), "y", "x").values
            target = out[:, v] if f.deep else out[:, v, 0]
            if array.shape[1:] != target.shape[1:]:
                raise UserError(f"{f.name} is {array.shape[1:]}, the grid {target.shape[1:]}: prepare it for this mesh")
            wet = masks[v] if f.deep else masks[v, 0]
            target[:, wet] = array[:, wet]
            if not np.isfinite(target).all():
                sample, *cell = np.argwhere(~np.isfinite(target))[0]
                raise UserError(
                    f"{f.name} is not finite at wet cell {tuple(map(int, cell))} of sample {sample}"
                    f"{_place(data, int(sample))}: mend it or the mask"
                )
        return out

    def stack_on_disk(self, data: xr.Dataset, grid: OceanGrid, batch: int = 32) -> np.ndarray:
        """``stack`` in a file that has no name and goes with the process: memory holds what is looked at, no more."""
        shape = (data.sizes["sample"], len(self), *grid.shape)
        with tempfile.TemporaryFile() as file:
            try:
                os.posix_fallocate(file.fileno(), 0, 4 * int(np.prod(shape)))
            except OSError as error:
                room = f"{4e-9 * np.prod(shape):.1f} GB of states in {tempfile.gettempdir()}"
                raise UserError(f"no room for {room} ({error.strerror}): set TMPDIR to a place that has it") from error
            out = np.memmap(file, "float32", "r+", shape=shape)
        for start in range(0, len(out), batch):
            out[start : start + batch] = self.stack(data.isel(sample=slice(start, start + batch)), grid)
        return out

    def unstack(self, states: np.ndarray, grid: OceanGrid) -> xr.Dataset:
        """(N, V, D, Y, X) → data set in canonical form, NaN on land, CF attributes restored."""
        masks = self.masks(grid).numpy()
        data = {}
        for v, f in enumerate(self):
            values = np.where(masks[v], states[:, v], np.nan).astype("float32")
            dims = ("sample", "depth", "y", "x") if f.deep else ("sample", "y", "x")
            data[f.name] = (dims, values if f.deep else values[:, 0], {**f.attrs, "mask": f.mask})
        return xr.Dataset(data)


def _place(data: xr.Dataset, sample: int) -> str:
    """Where a sample comes from, as far as the data set knows: `` (setting s01, season 0.25, of states.zarr)``."""
    labels = [k for k in ("setting", "season") if k in data.coords and data[k].dims == ("sample",)]
    known = [f"{k} {data[k].values[sample]}" for k in labels]
    known += [f"of {data.encoding['source']}"] if "source" in data.encoding else []
    return f" ({', '.join(known)})" if known else ""
