"""The census of water masses: how far two oceans differ in how much volume has which temperature and salinity.

    1-Wasserstein    W(X, Y) = ∫ |F_X(t) − F_Y(t)| dt        F the volume-weighted distribution function, exact
    sliced           W̄(X, Y) = ⟨W(n·X/s, n·Y/s)⟩             over directions n of the scaled T–S plane
                                                             (Bonneel, Rabin, Peyré & Pfister 2015)

Cells come flat, (n,), with their volumes [m³]; land has volume 0 and finite values.
"""

import math

from .arrays import module


def wasserstein(x, y, volume_x, volume_y):
    """W in the unit of ``x`` (n,) and ``y`` (m,), a scalar; numpy arrays or torch tensors, differentiable."""
    xp = module(x)
    values = xp.concatenate((x, y))
    order = xp.argsort(values)
    share = xp.concatenate((volume_x / volume_x.sum(), -volume_y / volume_y.sum()))
    return (abs(share[order].cumsum(0))[:-1] * xp.diff(values[order])).sum()


def sliced_wasserstein(x, y, volume_x, volume_y, scales: tuple[float, float], directions: int = 32):
    """W̄, dimensionless, of ``x`` (n, 2) and ``y`` (m, 2) whose two columns are measured in units of ``scales``.

    The directions lie evenly over the half circle: a shift by δ gives 2/π |δ/s|.
    """

    def along(points, angle):
        return points[:, 0] * (math.cos(angle) / scales[0]) + points[:, 1] * (math.sin(angle) / scales[1])

    angles = [math.pi * (d + 0.5) / directions for d in range(directions)]
    return sum(wasserstein(along(x, a), along(y, a), volume_x, volume_y) for a in angles) / directions
