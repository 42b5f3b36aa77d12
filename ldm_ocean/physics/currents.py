"""Currents brought nearer to geostrophic balance with density and sea level, on the C grid.

    δ = argmin  Σ V |δ|² + β Σ V |u + δ − u_g|²        u_g = −∂_y p'/(f ρ0),   v_g = ∂_x p'/(f ρ0)

at every level by itself. The second sum is taken where pressure is at home: u_g lives on V faces, where u + δ is the
mean over the four nearest U faces, and v_g on U faces likewise; a face counts if those four are wet and it lies outside
the guarded band |φ| < φ_e, where f vanishes. The smallest change is asked for, and not u_g itself, because a coarse
ocean is not geostrophic to the last: friction and curvature make some ten per cent. Down to a depth nothing changes:
the shear of the wind-driven layer is no thermal wind, but carries heat.

Each component is a symmetric positive definite problem, solved by conjugate gradients.
"""

from collections.abc import Callable

from .arrays import module
from .balance import coriolis, deeper, forces
from .barotropic import PLANE, conjugate_gradients
from .cgrid import onto_u, onto_v
from .transport import corner_latitude

TOO_FAST = 1.0  # Courant number from which explicit advection is unstable
WEIGHT = 1.0  # β: takes generated states to the residual that simulated ones have


def courant_number(u, v, mesh, step: float):
    """(|u| / e1 + |v| / e2) Δt of currents [m/s] (..., depth, y, x) at U and V points, for steps of ``step`` [s]."""
    return step * (abs(u) / mesh["e1u"] + abs(v) / mesh["e2v"])


def balanced(u, v, pressure, mesh, periodic_x: bool, equator: float = 5.0, below: float = 100.0):
    """(u + δ, v + δ) [m/s] at U and V points, (..., depth, y, x), numpy or torch; 0 on dry faces.

    ``pressure`` p' [Pa] at T points is finite on land; ``mesh`` holds arrays of the fields' kind by NEMO's names, as an
    ``OceanGrid`` does. ``equator`` is φ_e [°]; levels above the first at or ``below`` that depth [m] stay.
    """
    first, deep = deeper(mesh, below)
    deep_u, deep_v, deep_p = (x[..., first:, :, :] for x in (u, v, pressure))
    (_, rest_u, weight_u), (_, rest_v, weight_v) = forces(deep_u, deep_v, deep_p, deep, periodic_x, equator)
    excess_u = rest_v / _or_one(coriolis(corner_latitude(mesh["nav_lat"])))
    excess_v = -rest_u / _or_one(coriolis(mesh["nav_lat"]))

    def at_u(x):
        return onto_u(x, periodic_x)

    def at_v(x):
        return onto_v(x, periodic_x)

    volume_u, volume_v = (deep[f"e1{p}"] * deep[f"e2{p}"] * deep[f"e3{p}"] * deep[f"{p}mask"] for p in "uv")
    return (
        _plus(u * mesh["umask"], _change(excess_u, weight_v, at_v, at_u, volume_u)),
        _plus(v * mesh["vmask"], _change(excess_v, weight_u, at_u, at_v, volume_v)),
    )


def _change(excess, weight, there: Callable, back: Callable, volume):
    """δ of the smallest Σ V δ² + β Σ w (excess + there(δ))², 0 where V is; ``back`` is the transpose of ``there``."""
    wet = volume > 0
    right = -WEIGHT * back(weight * excess) * wet
    diagonal = volume + WEIGHT / 4 * back(weight) * wet + ~wet
    size = (right**2).sum(PLANE)[..., None, None]
    return conjugate_gradients(lambda x: volume * x + WEIGHT * back(weight * there(x)) * wet, right, diagonal, size)


def _plus(x, deep):
    """``x`` with a change of its lowest levels."""
    upper = x[..., : x.shape[-3] - deep.shape[-3], :, :]
    return module(x).concatenate((upper, x[..., upper.shape[-3] :, :, :] + deep), -3)


def _or_one(x):
    return x + (x == 0)
