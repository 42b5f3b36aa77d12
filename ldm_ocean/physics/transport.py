"""Volume transports on the C grid, in sverdrups (1 Sv = 10⁶ m³/s).

    section            T    = Σ_{k, j ∈ section} u e2u e3u
    streamfunction     ψ_j  = Σ_{j' > j} Σ_k u e2u e3u        so that  Σ_k u e3u = −∂ψ/∂y,  ψ = 0 at the northern wall

``u`` [m/s] is (..., depth, y, x) on the eastern faces, 0 on land; ``e2u`` [m] is (y, x), ``e3u`` [m] (depth, y, x) or,
where the surface moves, of the same shape as ``u``. numpy arrays and torch tensors alike.
"""

from .arrays import module

SVERDRUP = 1e6


def section_transport(u, e2u, e3u, column: int, rows):
    """Transport to the east [Sv] through the U faces of one ``column``, over ``rows`` (bool, (y,)); shape (...)."""
    flow = (u * e3u).sum(-3) * e2u
    return (flow[..., column] * rows).sum(-1) / SVERDRUP


def barotropic_streamfunction(u, e2u, e3u):
    """ψ [Sv] at F points, the north-eastern corners of the T cells, shape (..., y, x); clockwise gyres are positive."""
    flow = (u * e3u).sum(-3) * e2u
    return (flow.sum(-2)[..., None, :] - flow.cumsum(-2)) / SVERDRUP


def corner_latitude(latitude):
    """Latitude [°N] of the F points, (y, x), from that of the T points; the last row is extrapolated."""
    north = latitude * 1.0
    north[:-1] = (latitude[:-1] + latitude[1:]) / 2
    north[-1] = 2 * latitude[-1] - north[-2]
    return north


def gyre_maximum(psi, inside):
    """Largest ψ [Sv] among the F points ``inside`` (bool, (y, x)); shape (...)."""
    return module(psi).amax(psi[..., inside], -1)
