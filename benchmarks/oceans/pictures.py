"""What a packed data set looks like: maps and a section of one of its settings."""

from dataclasses import replace

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ldm_ocean.ocean.fields import EASTWARD, NORTHWARD, SALINITY, SEA_LEVEL, TEMPERATURE
from ldm_ocean.ocean.grid import OceanGrid
from ldm_ocean.physics.balance import coriolis
from ldm_ocean.physics.transport import corner_latitude
from ldm_ocean.physics.vorticity import relative_vorticity
from ldm_ocean.report import figures, views
from ldm_ocean.report.figures import Frame, Row, unit_label

EQUATOR = 5.0  # ° to either side where f is too small to divide by


def pictures(data: xr.Dataset, grid: OceanGrid) -> tuple[dict[str, Figure], dict[str, str]]:
    """Map and section of one setting's last state and of the mean of its states, of a test setting if there is one."""
    name = str(data.setting.values[(np.argmax(data.split.values == "test"))])
    own = data[views.variables(data)].isel(sample=np.flatnonzero(data.setting.values == name))
    with xr.set_options(keep_attrs=True):
        seen = {"one state": own.isel(sample=-1), f"mean of {own.sizes['sample']}": own.mean("sample")}
    column = int(grid["tmask"].sum((0, 1)).argmax())
    drawn = {
        "map": figures.draw_columns(_map(seen, grid)),
        "section": figures.draw_columns(_section(seen, grid, column)),
    }
    what = f"Setting `{name}`: its last state above, the mean of its {own.sizes['sample']} states below; land is grey."
    text = {"map": what, "section": f"{what} From south to north along {grid['nav_lon'][:, column].mean():.1f}°E."}
    if abs(grid["nav_lat"]).min() < EQUATOR and any(row.colours == figures.ROSSBY for row, _ in _map(seen, grid)):
        text["map"] += f" ζ/f is left out within {EQUATOR:g}° of the equator, where f vanishes."
    return drawn, text


def _map(seen: dict[str, xr.Dataset], grid: OceanGrid) -> list[tuple[Row, Frame]]:
    """Surface temperature, speed, sea level, and relative vorticity over f, as far as the variables go."""
    first, frame = next(iter(seen.values())), figures.map_frame(grid, 2.7)
    surface, columns = f"{grid['gdept'][0]:.0f} m", []
    for standard, title in ((TEMPERATURE, f"temperature, {surface}"), (SEA_LEVEL, "sea level")):
        if name := views.by_standard_name(first, standard):
            panels = {k: views.values(s, name, grid, first[name].attrs["mask"])[0] for k, s in seen.items()}
            columns.append((Row(title, unit_label(first[name].attrs["units"]), standard, panels), frame))
    east, north = (views.by_standard_name(first, n) for n in (EASTWARD, NORTHWARD))
    if east and north:
        flow = {
            k: [views.values(s, n, grid, f"{p}mask") for n, p in ((east, "u"), (north, "v"))] for k, s in seen.items()
        }
        speed = {k: views.speed(u, v, grid)[0] for k, (u, v) in flow.items()}
        columns.insert(1, (Row(f"speed, {surface}", "m s⁻¹", "sea_water_speed", speed), frame))
        spin = {k: _rossby(u, v, grid) for k, (u, v) in flow.items()}
        columns.append((Row("ζ/f", "", figures.ROSSBY, spin), replace(figures.corner_frame(grid), size=frame.size)))
    return columns


def _rossby(u: np.ndarray, v: np.ndarray, grid: OceanGrid) -> np.ndarray:
    """ζ/f (y, x) at the surface, NaN on land and where f vanishes."""
    zeta, wet = relative_vorticity(np.nan_to_num(u), np.nan_to_num(v), grid.mesh, grid.periodic_x)
    latitude = corner_latitude(grid["nav_lat"])
    shown = wet[0] & (abs(latitude) > EQUATOR)
    return np.divide(zeta[0], coriolis(latitude), out=np.full(shown.shape, np.nan), where=shown)


def _section(seen: dict[str, xr.Dataset], grid: OceanGrid, column: int) -> list[tuple[Row, Frame]]:
    """Temperature, salinity and zonal current against latitude and depth."""
    first, frame = next(iter(seen.values())), replace(figures.section_frame(grid), size=(2.4, 1.7))
    columns = []
    for standard in (TEMPERATURE, SALINITY, EASTWARD):
        if name := views.by_standard_name(first, standard):
            attrs = first[name].attrs
            panels = {
                f"{k}\ndepth [m]": views.values(s, name, grid, attrs["mask"])[..., column] for k, s in seen.items()
            }
            columns.append((Row(attrs.get("long_name", name), unit_label(attrs["units"]), standard, panels), frame))
    return columns
