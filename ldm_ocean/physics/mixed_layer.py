"""Depth of the mixed layer: where potential density first exceeds that of a reference depth by Δσ.

    σ(h) = σ(z_ref) + Δσ,     z_ref = 10 m,  Δσ = 0.01 or 0.03 kg/m³        (de Boyer Montégut et al. 2004)

σ is the density at the pressure of the surface, linear between levels. A column that never exceeds the threshold is
mixed down to its deepest wet T point. Land is NaN. numpy arrays and torch tensors alike.
"""

from collections.abc import Callable

from .arrays import module
from .boxes import at_depth


def mixed_layer_depth(
    temperature, salinity, depth, mask, density: Callable, threshold: float = 0.03, reference: float = 10.0
):
    """h [m], shape (..., y, x), of fields (..., depth, y, x) that are finite on land.

    ``depth`` [m] is (depth,), increasing; ``mask`` (depth, y, x). ``reference`` [m] is the first level's depth where
    that lies deeper. ``threshold`` is Δσ [kg/m³].
    """
    xp = module(temperature)
    sigma = density(temperature, salinity, 0.0)
    limit = at_depth(sigma, depth, max(reference, float(depth[0])))[..., None, :, :] + threshold
    z, wet = depth[:, None, None], mask > 0
    dense = (sigma[..., 1:, :, :] > limit) & wet[1:] & (z[1:] > reference)
    first = dense & (dense.cumsum(-3) == 1)
    step = sigma[..., 1:, :, :] - sigma[..., :-1, :, :]
    share = (limit - sigma[..., :-1, :, :]) / xp.where(first, step, 1.0)
    crossing = (first * (z[:-1] + share * (z[1:] - z[:-1]))).sum(-3)
    h = xp.where(first.any(-3), crossing, xp.amax(wet * z, 0))
    return xp.where(wet[0], h, xp.nan)
