"""Means over parts of the ocean: boxes of depth and latitude, and surfaces of constant depth.

Fields are (..., depth, y, x), numpy or torch; their value on land does not matter as long as it is finite.
"""


def box(depth, latitude, depths: tuple[float, float], latitudes: tuple[float, float], outside: bool = False):
    """Bool (depth, y, x): d0 < depth < d1 and φ0 < latitude < φ1, or everything but that if ``outside``.

    ``depth`` [m, positive down] is (depth,), ``latitude`` [°N] is (y, x); limits are open on both sides.
    """
    rows = (latitude > latitudes[0]) & (latitude < latitudes[1])
    levels = (depth > depths[0]) & (depth < depths[1])
    inside = levels[:, None, None] & rows[None]
    return ~inside if outside else inside


def box_mean(x, volume, inside):
    """Σ_box V x / Σ_box V, in the unit of ``x``, shape (...); ``volume`` [m³] (..., depth, y, x) is 0 on land."""
    weight = volume * inside
    return (x * weight).sum((-3, -2, -1)) / weight.sum((-3, -2, -1))


def at_depth(x, depth, target: float):
    """``x`` on the surface ``target`` [m], linear between the two levels around it, shape (..., y, x).

    ``depth`` [m] is (depth,), increasing. ValueError outside its range: nothing is extrapolated.
    """
    upper = max(int((depth <= target).sum()) - 1, 0)
    upper = min(upper, len(depth) - 2)
    share = float((target - depth[upper]) / (depth[upper + 1] - depth[upper]))
    if not 0 <= share <= 1:
        raise ValueError(f"depth {target} m lies outside the levels, {float(depth[0]):g} to {float(depth[-1]):g} m")
    return (1 - share) * x[..., upper, :, :] + share * x[..., upper + 1, :, :]


def mean_at_depth(x, depth, target: float, area, mask, inside):
    """Area mean of ``x`` at ``target`` [m] where both levels around it are wet, in the unit of ``x``, shape (...).

    ``area`` [m²] and ``inside`` (bool) are (y, x), ``mask`` (depth, y, x).
    """
    weight = area * inside * (at_depth(mask * 1.0, depth, target) == 1)
    return (at_depth(x, depth, target) * weight).sum((-2, -1)) / weight.sum()
