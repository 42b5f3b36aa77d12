"""What an ocean holds and how it is layered: means, contents, stability, mixed layers."""

from collections.abc import Iterator

import numpy as np

from ..errors import UserError
from ..ocean.fields import SALINITY, TEMPERATURE
from ..physics.boxes import box, box_mean, mean_at_depth
from ..physics.budget import heat_content, salt_content
from ..physics.eos import equation_of_state
from ..physics.mixed_layer import mixed_layer_depth
from ..physics.stratification import least_stable, strongly_unstable_volume, unstable_volume
from .basin import Basin, need_water
from .state import Scalar, State


def hydrography(ocean: Basin) -> Iterator[Scalar]:
    """All that variables, equation of state and regions allow; UserError for a region without water."""
    yield from box_means(ocean)
    yield from level_means(ocean)
    if ocean.has_density:
        if ocean.grid["tmask"][1:].any():
            yield from stability(ocean)
        yield from mixed_layers(ocean)
    if ocean.has(TEMPERATURE):
        yield Scalar("heat_content", "J", lambda s: heat_content(s[TEMPERATURE], s.volumes["t"]))
    if ocean.has(SALINITY):
        yield Scalar("salt_content", "kg", lambda s: salt_content(s[SALINITY], s.volumes["t"]))


def box_means(ocean: Basin) -> Iterator[Scalar]:
    """Volume mean of every variable on T points, in its own unit."""
    grid = ocean.grid
    for name, region in ocean.regions.boxes.items():
        inside = box(grid["gdept"], grid["nav_lat"], region.depth, region.latitude, region.outside)
        need_water(grid["tmask"] & inside, "box", name)
        for v, f in enumerate(ocean.fields):
            if f.deep and f.mask == "tmask":

                def mean(s: State, v=v, inside=inside) -> np.ndarray:
                    return box_mean(s.values[..., v, :, :, :], s.volumes["t"], inside)

                yield Scalar(f"{name}.{f.name}", f.attrs.get("units", "1"), mean)


def level_means(ocean: Basin) -> Iterator[Scalar]:
    """Area means at a depth, in the variable's own unit."""
    depth, mask, area = ocean.grid["gdept"], ocean.grid["tmask"], ocean.grid.area("t")
    for name, region in ocean.regions.levels.items():
        if not ocean.has(region.standard_name):
            continue
        if not depth[0] <= region.depth <= depth[-1]:
            raise UserError(
                f"level {name!r} at {region.depth:g} m lies outside the grid's {depth[0]:g} to {depth[-1]:g} m"
            )
        surface = (depth, region.depth, area, mask, ocean.rows(region.latitude))
        with np.errstate(invalid="ignore"):
            need_water(np.nan_to_num(mean_at_depth(mask * 1.0, *surface)), "level", name)
        unit = ocean.fields[ocean.channels[region.standard_name]].attrs.get("units", "1")

        def mean(s: State, variable=region.standard_name, surface=surface) -> np.ndarray:
            return mean_at_depth(s[variable], *surface)

        yield Scalar(name, unit, mean)


def stability(ocean: Basin) -> Iterator[Scalar]:
    """Share of the volume that is unstable, and the worst N²."""
    density, depth = equation_of_state(ocean.equation), ocean.grid["gdept"][:, None, None]
    volume = ocean.grid.volume("t")
    share = lambda s: unstable_volume(s[TEMPERATURE], s[SALINITY], depth, volume, density)  # noqa: E731
    yield Scalar("unstable_volume", "%", share)
    yield Scalar("strongly_unstable_volume", "%", lambda s: strongly_unstable_volume(s.buoyancy_frequency, volume))
    yield Scalar("least_stable", "s-2", lambda s: least_stable(s.buoyancy_frequency, volume))


def mixed_layers(ocean: Basin) -> Iterator[Scalar]:
    """Area means of mixed-layer depth [m]."""
    depth, mask, density = ocean.grid["gdept"], ocean.grid["tmask"], equation_of_state(ocean.equation)
    for name, region in ocean.regions.mixed_layers.items():
        weight = ocean.grid.area("t") * ocean.rows(region.latitude)
        need_water(weight, "mixed layer", name)

        def mean(s: State, threshold=region.threshold, weight=weight) -> np.ndarray:
            h = mixed_layer_depth(s[TEMPERATURE], s[SALINITY], depth, mask, density, threshold)
            return (np.nan_to_num(h) * weight).sum((-2, -1)) / weight.sum()

        yield Scalar(name, "m", mean)
