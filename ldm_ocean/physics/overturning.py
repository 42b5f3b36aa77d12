"""The meridional overturning and the heat it carries, from the flow along the grid's y on the C grid.

    by depth      ψ(y, z) = −∫_bottom^z ∫ v dx dz'                            [Sv]
    by density    ψ(y, σ) = −∫∫_{σ' ≥ σ} v dx dz'                             [Sv]
    heat          H(y)    = ρ0 c_p ∫∫ v T^v dx dz,  T^v mean of two T points      [PW]

ψ is 0 at the bottom; a cell that flows north above and south below is positive. ``v`` [m/s] is (..., depth, y, x) on
the northern faces, 0 on land; ``e1v`` [m] is (y, x), ``e3v`` [m] (depth, y, x) or, where the surface moves, of the same
shape as ``v``. numpy arrays and torch tensors alike.
"""

import math

from .arrays import module
from .boxes import box
from .eos import C_P, RHO_0
from .transport import SVERDRUP

PETAWATT = 1e15


def overturning(v, e1v, e3v):
    """ψ [Sv] at the upper face of each level (W points), at the latitude of V points, shape (..., depth, y)."""
    flow = (v * e3v * e1v).sum(-1)
    return (flow.cumsum(-2) - flow - flow.sum(-2)[..., None, :]) / SVERDRUP


def overturning_in_density(v, e1v, e3v, sigma, classes):
    """ψ [Sv] of the water at least as dense as each of ``classes`` (c,), shape (..., c, y).

    ``sigma`` [kg/m³] is a density at T points, (..., depth, y, x), finite on land; faces take the mean of both sides.
    """
    xp, flow, count = module(v), v * e3v * e1v, len(classes) + 1
    passed = xp.broadcast_to(xp.searchsorted(classes, on_northern_faces(sigma), side="right"), flow.shape)
    row = xp.ones_like(passed[..., :1, :, :1])
    number = row.reshape(-1).cumsum(0).reshape(row.shape) - 1  # of the rows of all samples, in one sequence
    bins = (number * count + passed).reshape(-1)
    transport = xp.bincount(bins, flow.reshape(-1), math.prod(row.shape) * count)
    lighter = transport.reshape(*row.shape[:-3], row.shape[-2], count).cumsum(-1)
    return (lighter[..., :-1] - lighter[..., -1:]).swapaxes(-1, -2) / SVERDRUP


def northern_cell(psi, depth, latitude, depths: tuple[float, float], latitudes: tuple[float, float]):
    """Largest ψ [Sv] between two depths [m] and two latitudes [°N], exclusive, shape (...).

    ``depth`` (c,) is that of the W points, or their density for ψ(y, σ); ``latitude`` (y,) that of the V points.
    """
    chosen = psi[..., box(depth, latitude[:, None], depths, latitudes)[..., 0]]
    return module(psi).amax(chosen, -1)


def bottom_cell(psi, depth, latitude, depths: tuple[float, float], latitudes: tuple[float, float]):
    """Smallest ψ [Sv] in such a range, shape (...): negative, the strength of the cell fed by dense southern water."""
    return -northern_cell(-psi, depth, latitude, depths, latitudes)


def heat_transport(v, temperature, e1v, e3v):
    """H [PW], shape (..., y), at the latitude of V points; ``temperature`` [°C] at T points, finite on land."""
    flow = v * e3v * e1v * on_northern_faces(temperature)
    return RHO_0 * C_P * flow.sum((-3, -1)) / PETAWATT


def on_northern_faces(x):
    """Mean of the T points south and north of each V point; the last row keeps its own value."""
    return (x + module(x).concatenate((x[..., 1:, :], x[..., -1:, :]), -2)) / 2
