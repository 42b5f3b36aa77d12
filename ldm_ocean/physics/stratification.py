"""Static stability of water columns; arrays are (..., depth, y, x), depth positive down.

    Brunt–Väisälä frequency    N² = g (α ΔT − β ΔS) / e3w,     Δ = upper − lower,  e3w the distance of the two T points

α and β belong to both waters' mean at the depth midway. Land values of the fields must be finite. A pair of cells is
wet if both are; its volume is that of its upper cell. numpy arrays and torch tensors alike.
"""

from collections.abc import Callable

from .arrays import module
from .eos import G

MUCH_INVERTED = 10.0  # % of the stratification: what is generated has up to 1, and runs unharmed


def density_steps(temperature, salinity, depth, density: Callable):
    """ρ_{k+1} − ρ_k [kg/m³] with both waters brought to the depth midway between them, shape (..., depth − 1, y, x).

    ``depth`` [m] broadcasts against the fields as (depth, 1, 1) or (depth, y, x). Negative: unstable.
    """
    middle = (depth[1:] + depth[:-1]) / 2
    upper = density(temperature[..., :-1, :, :], salinity[..., :-1, :, :], middle)
    lower = density(temperature[..., 1:, :, :], salinity[..., 1:, :, :], middle)
    return lower - upper


def pair_volume(volume):
    """V of each wet pair of neighbours, that of its upper cell, (depth − 1, y, x); 0 where either is land."""
    return volume[:-1] * (volume[1:] > 0)


def unstable_volume(temperature, salinity, depth, volume, density: Callable):
    """100 · ΣV[ρ_{k+1} < ρ_k] / ΣV over wet pairs [%], locally referenced; the pair's V is its upper cell's.

    ``volume`` [m³] is (depth, y, x), 0 on land.
    """
    steps = density_steps(temperature, salinity, depth, density)
    pair = pair_volume(volume)
    return 100 * (pair * (steps < 0)).sum((-3, -2, -1)) / pair.sum()


def buoyancy_frequency(temperature, salinity, depth, expansion: Callable):
    """N² [s⁻²] between each level and the next, shape (..., depth − 1, y, x); negative where unstable.

    ``expansion`` gives α [1/K] and β [kg/g] of temperature, salinity and ``depth`` [m] (see ``eos.expansion``).
    """
    middle = [(x[..., :-1, :, :] + x[..., 1:, :, :]) / 2 for x in (temperature, salinity, depth)]
    alpha, beta = expansion(*middle)
    warmer, saltier = (x[..., :-1, :, :] - x[..., 1:, :, :] for x in (temperature, salinity))
    return G * (alpha * warmer - beta * saltier) / (depth[1:] - depth[:-1])


def strongly_unstable_volume(frequency, volume, limit: float = -1e-8):
    """100 · ΣV[N² < limit] / ΣV over wet pairs [%], shape (...); ``volume`` [m³] is (depth, y, x), 0 on land."""
    pair = pair_volume(volume)
    return 100 * (pair * (frequency < limit)).sum((-3, -2, -1)) / pair.sum()


def inverted_share(frequency, volume):
    """100 · ΣV|N²|[N² < 0] / ΣV|N²| over wet pairs [%], shape (...): how much of the stratification is upside down.

    0 in an ocean without any. ``volume`` [m³] is (depth, y, x), 0 on land.
    """
    weight = pair_volume(volume) * abs(frequency)
    return 100 * (weight * (frequency < 0)).sum((-3, -2, -1)) / weight.sum((-3, -2, -1)).clip(min=1e-300)


def least_stable(frequency, volume):
    """Smallest N² [s⁻²] of any wet pair, shape (...)."""
    wet = (volume[:-1] > 0) & (volume[1:] > 0)
    xp = module(frequency)
    return xp.amin(xp.where(wet, frequency, xp.inf), (-3, -2, -1))
