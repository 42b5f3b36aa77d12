"""Static stability of water columns; arrays are (..., depth, y, x), depth positive down."""

from collections.abc import Callable


def density_steps(temperature, salinity, depth, density: Callable):
    """ρ_{k+1} − ρ_k [kg/m³] with both waters brought to the depth midway between them, shape (..., depth − 1, y, x).

    ``depth`` [m] broadcasts against the fields as (depth, 1, 1) or (depth, y, x). Negative: unstable.
    """
    middle = (depth[1:] + depth[:-1]) / 2
    upper = density(temperature[..., :-1, :, :], salinity[..., :-1, :, :], middle)
    lower = density(temperature[..., 1:, :, :], salinity[..., 1:, :, :], middle)
    return lower - upper


def unstable_volume(temperature, salinity, depth, volume, density: Callable):
    """100 · ΣV[ρ_{k+1} < ρ_k] / ΣV over wet pairs [%], locally referenced; the pair's V is its upper cell's.

    ``volume`` [m³] is (depth, y, x), 0 on land; land values of the fields must be finite.
    """
    steps = density_steps(temperature, salinity, depth, density)
    pair = volume[:-1] * (volume[1:] > 0)
    return 100 * (pair * (steps < 0)).sum((-3, -2, -1)) / pair.sum()
