"""A look at states in a notebook or a training loop: maps of one level, or zonal-mean sections."""

import xarray as xr
from matplotlib.figure import Figure

from ..errors import UserError, nearest
from ..ocean.grid import OceanGrid
from . import views
from .figures import Row, draw_rows, map_frame, section_frame, unit_label

PANELS = 4  # of a data set of many states
AXES = ("member", "sample")


def plot(
    states: xr.Dataset | dict[str, xr.Dataset],
    variable: str = "toce",
    depth: float | None = 0.0,
    grid: OceanGrid | None = None,
) -> Figure:
    """A row of panels with common colours, grey land and units: maps of ``variable`` at the level nearest to ``depth``
    [m], or its zonal means against latitude and depth where ``depth`` is None.

    states: canonical, with or without a sample or member axis, of which the first four are drawn; or several, by
    name, e.g. ``{"truth": …, "sample": …}``. ``grid`` where they do not hold their mesh. UserError for a variable that
    they lack. A notebook shows what is returned; ``figure.savefig`` writes it.
    """
    named = states if isinstance(states, dict) else _some(states)
    if not named or any(state.sizes.get(axis, 1) > 1 for state in named.values() for axis in AXES):
        raise UserError("nothing to draw, or several states under one name: give one state for each name")
    first = next(iter(named.values()))
    if variable not in (known := views.variables(first)):
        raise UserError(f"no variable {variable!r}{nearest(variable, known)}: there are {', '.join(known)}")
    grid = grid or OceanGrid.from_dataset(first)
    about = first[variable].attrs
    fields = {name: views.values(state, variable, grid, about["mask"]) for name, state in named.items()}
    title, deep = about.get("long_name", variable), "depth" in first[variable].dims
    if depth is None and deep:
        width = grid[f"e1{about['mask'][0]}"]
        frame, panels = section_frame(grid), {name: views.zonal_mean(x, width) for name, x in fields.items()}
    else:
        level = views.nearest_level(grid, depth or 0.0) if deep else 0
        title += f", {grid['gdept'][level]:.0f} m" if deep else ""
        frame, panels = map_frame(grid, 3.0), {name: x[..., level, :, :] for name, x in fields.items()}
    row = Row(title, unit_label(about.get("units", "")), about.get("standard_name", ""), panels)
    return draw_rows([row], frame)


def _some(states: xr.Dataset) -> dict[str, xr.Dataset]:
    """The first states by the number on their axis."""
    axis = next((dim for dim in AXES if dim in states.dims), None)
    if axis is None:
        return {"": states}
    return {f"{axis} {n}": states.isel({axis: n}) for n in range(min(states.sizes[axis], PANELS))}
