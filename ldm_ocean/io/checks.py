"""What the files must fulfil before a state is kept: one grid with the mesh, the mesh's land, physical values."""

import numpy as np
import xarray as xr

from ..errors import UserError
from .names import Names
from .source import Snapshot, Source

LEVEL_TOLERANCE = 0.1  # NEMO labels its output with reference depths, 4 % off the true ones in places
DISAGREEMENT = 0.01  # share of the wet cells in which a file's land may differ from the mesh (a lake filled in)


def shape_of(source: Source, name: str) -> tuple[int, ...]:
    """Sizes of (depth, y, x), or (y, x), in the file."""
    raw, variable = source.variables[name]
    sizes = source.canonical(raw).sizes
    return tuple(sizes[d] for d in ("depth", "y", "x") if d in sizes and (variable.deep or d != "depth"))


def check_grid(source: Source, name: str, names: Names, grid: xr.Dataset):
    """UserError unless shape, levels and latitudes of the file are those of the mesh."""
    expected = tuple(grid.sizes[d] for d in ("depth", "y", "x"))[0 if names.variables[name].deep else 1 :]
    shape = shape_of(source, name)
    raw = source.variables[name][0]
    if shape != expected:
        swapped = shape[:-2] == expected[:-2] and shape[-2:] == expected[:-3:-1]
        mend = (
            "y and x are swapped, name them with --map (dimensions)" if swapped else "give the mesh_mask of this grid"
        )
        raise UserError(f"{raw} in {source.path} is {shape}, the mesh {expected}: {mend}")
    depth = source.metres(raw) if names.variables[name].deep else None
    if depth is not None and grid.gdept.ndim == 1:
        off = np.abs(depth - grid.gdept.values)
        if (off > 1 + LEVEL_TOLERANCE * grid.gdept.values).any():
            raise UserError(
                f"levels of {raw} in {source.path} differ from the mesh's by up to {off.max():.0f} m: "
                "give the mesh_mask of this grid"
            )
    lat = source.coordinates.get("nav_lat")
    if lat is None or lat.shape != grid.nav_lat.shape:
        return
    size = np.median(np.abs(np.diff(grid.nav_lat.values, axis=0)))
    if np.median(np.abs(lat - grid.nav_lat.values)) > 0.75 * size + 1e-3:
        turned = np.abs(np.diff(lat, axis=1)).mean() > np.abs(np.diff(lat, axis=0)).mean()
        mend = (
            "its y and x are swapped, name them with --map (dimensions)"
            if turned
            else "give the mesh_mask of this grid"
        )
        raise UserError(f"latitudes in {source.path} are not those of the mesh: {mend}")


class NoOcean(UserError):
    """Water without a value, or with one that no ocean has."""


def check_values(frame: Snapshot, name: str, names: Names, mask: np.ndarray, where: str):
    """UserError for holes at wet cells, for another land than the mesh's, for values that no ocean has."""
    variable, wet = names.variables[name], int(mask.sum())
    holes = mask & frame.hole
    if holes.any():
        cell = tuple(map(int, np.argwhere(holes)[0]))
        raise NoOcean(
            f"{name} is missing (NaN) at {holes.sum()} of {wet} wet cells, first {cell}, in {where}: "
            "mend it, or give the mesh it was run on"
        )
    if variable.never_zero:
        zeros, land = mask & frame.zero, frame.hole | frame.zero
        extra = ~mask & ~land if land.any() else np.zeros_like(mask)
        if max(zeros.sum(), extra.sum()) > DISAGREEMENT * wet:
            raise UserError(
                f"land of {name} in {where} is not the mesh's ({zeros.sum()} wet cells are 0, "
                f"{extra.sum()} land cells hold water): "
                "give the mesh_mask of this run"
            )
    if variable.range:
        low, high = variable.range
        outside = mask & ~((frame.values >= low) & (frame.values <= high))
        if outside.any():
            cell = tuple(map(int, np.argwhere(outside)[0]))
            raise NoOcean(
                f"{name} is {frame.values[cell]:.4g} at wet cell {cell} in {where}, "
                f"outside {low:g} to {high:g}: {variable.hint}"
            )
