"""The depth mean of currents and the sea level that goes with it, on the C grid.

    nondivergent    ū' = ū − ∇φ       ∇·(H ∇φ) = ∇·(H ū)
                    is the smallest change Σ V |∇φ|² that leaves ∇·(H ū') = 0
    sea level       η' = η + ζ        H ζ/R² − ∇·(H ∇ζ) = ∇·(H (∇η + F/g))        F = ⟨f k×u + ∇p'/ρ0⟩
                    is the smallest Σ V (|F/g + ∇η'|² + ζ²/R²)

H is the depth of water. F, a mean over depth below the wind-driven levels, has the pressure of the density alone; where
it says nothing, near walls and the equator, F/g is −∇η. R is the distance beyond which differences of sea level are
left as given. Both are elliptic problems with closed walls, solved by conjugate gradients (Hestenes & Stiefel 1952).

Fields are (..., depth, y, x), numpy or torch, in double precision, which the solver needs, and 0 on land; ``mesh``
holds arrays of the fields' kind by NEMO's names, as an ``OceanGrid`` does. ``periodic_x``: the last column's neighbour
is the first.
"""

import warnings
from collections.abc import Callable

from .arrays import module
from .balance import deeper, forces, hydrostatic_pressure
from .cgrid import column_transports, outflow, slopes, south, west
from .eos import G

PLANE = (-2, -1)
RADIUS = 1e6  # R [m]
TOLERANCE, MOST = 1e-10, 5000  # relative norm of the residual; iterations


def nondivergent(u, v, mesh, periodic_x: bool):
    """(u', v') [m/s]: one velocity is taken from every column of faces so that no column of water fills or drains."""
    east, north = column_transports(u, v, mesh)
    slope_u, slope_v = _slopes(_solve(-east, -north, 0.0, mesh, periodic_x), mesh, periodic_x)
    return u - slope_u[..., None, :, :] * mesh["umask"], v - slope_v[..., None, :, :] * mesh["vmask"]


def sea_level(u, v, density, ssh, mesh, periodic_x: bool, equator: float = 5.0, below: float = 100.0):
    """η' [m] (..., y, x): the given ``ssh`` in balance with currents and ``density`` [kg/m³] ``below`` that depth [m].

    Within ±``equator`` [°] nothing asks for balance; the mean over the area stays.
    """
    first, deep = deeper(mesh, below)
    pressure = hydrostatic_pressure(density, mesh["gdept"], 0 * ssh)
    deep_u, deep_v, deep_p = (x[..., first:, :, :] for x in (u, v, pressure))
    both = forces(deep_u, deep_v, deep_p, deep, periodic_x, equator)
    missed = []
    for (_, rest, weight), slope in zip(both, _slopes(ssh, mesh, periodic_x), strict=True):
        total = weight.sum(-3)
        known = total > 0
        missed.append((slope + (rest * weight).sum(-3) / (total + ~known) / G) * known)
    east, north = missed[0] * _depth(mesh, "u") * mesh["e2u"], missed[1] * _depth(mesh, "v") * mesh["e1v"]
    area = mesh["e1t"] * mesh["e2t"] * mesh["tmask"][0]
    zeta = _solve(east, north, area * _depth(mesh, "t") / RADIUS**2, mesh, periodic_x)
    return ssh + (zeta - (zeta * area).sum(PLANE)[..., None, None] / area.sum()) * mesh["tmask"][0]


def _depth(mesh, point: str):
    return (mesh[f"e3{point}"] * mesh[f"{point}mask"]).sum(-3)


def _slopes(x, mesh, periodic_x):
    """Those of ``x`` on the wet faces of the surface, 0 on dry ones."""
    along, across = slopes(x, mesh, periodic_x)
    return along * mesh["umask"][0], across * mesh["vmask"][0]


def _solve(east, north, screen, mesh, periodic_x):
    """φ (..., y, x) with ``screen`` φ − A ∇·(H ∇φ) = what flows out of a cell, of area A, through its faces."""
    across_u, across_v = _depth(mesh, "u") * mesh["e2u"], _depth(mesh, "v") * mesh["e1v"]

    def operator(phi):
        slope_u, slope_v = _slopes(phi, mesh, periodic_x)
        return screen * phi - outflow(slope_u * across_u, slope_v * across_v, periodic_x)

    steep_u, steep_v = across_u / mesh["e1u"], across_v / mesh["e2v"]
    diagonal = screen + steep_u + west(steep_u, periodic_x) + steep_v + south(steep_v)
    size = _dot(east, east) + _dot(north, north)
    return conjugate_gradients(operator, outflow(east, north, periodic_x), diagonal + (diagonal == 0), size)


def conjugate_gradients(operator: Callable, right, diagonal, size):
    """x with operator(x) = ``right`` (..., y, x) for a symmetric positive (semi)definite operator of given diagonal.

    ``size`` (..., 1, 1) is the square that a residual is small beside: ``right`` itself may be a small difference.
    A warning names the residual where ``MOST`` steps do not bring it below ``TOLERANCE``, or where it is not finite.
    """
    xp = module(right)
    x, residual = 0 * right, right
    direction = scaled = residual / diagonal
    product = _dot(residual, scaled)
    limit = TOLERANCE**2 * size
    for count in range(MOST + 1):
        rest = _dot(residual, residual)
        if (rest <= limit).all():
            return x
        if count == MOST or not xp.isfinite(rest).all():
            break
        image = operator(direction)
        curvature = _dot(direction, image)
        step = product / xp.where(curvature > 0, curvature, 1)
        x, residual = x + step * direction, residual - step * image
        scaled = residual / diagonal
        product, last = _dot(residual, scaled), product
        direction = scaled + product / xp.where(last > 0, last, 1) * direction
    missed = float((rest / xp.where(size > 0, size, 1)).max()) ** 0.5
    warnings.warn(
        f"conjugate gradients end after {count} steps with a residual of {missed:.1e}, not {TOLERANCE:g}: "
        "currents and sea level are not quite in balance",
        stacklevel=2,
    )
    return x


def _dot(a, b):
    return (a * b).sum(PLANE)[..., None, None]
