"""Currents in thermal-wind balance with the density, on the C grid.

    f ∂u/∂z = +(g/ρ0) ∂ρ/∂y        f ∂v/∂z = −(g/ρ0) ∂ρ/∂x        z positive up

Only the shear follows from the density; the depth mean stays that of the given currents, so the transport of every
column of faces, its divergence and the surface tendency stay too:

    u' = ū + γ (u_tw − ū_tw) + (1 − γ) (u − ū)        ū = Σ e3u u / Σ e3u  over wet faces

The share γ is 1 outside the guarded band |φ| < φ_e and sin²(πφ/2φ_e) inside, where f vanishes: γ/f → 0 at the equator.
From level to level, f u_tw changes by the slope of the pressure ∫gρ/ρ0 dz on the V faces (f v_tw: on the U faces),
averaged over those of the four nearest faces that are wet on both levels; next to no such face the shear is 0. The
wind's own shear (Ekman) in the uppermost levels is no thermal wind, but carries heat: down to a depth, u_tw has the
shear of the given currents.
"""

from collections.abc import Callable

import numpy as np

from .arrays import module
from .balance import _east, _north, _south, _west, coriolis
from .eos import RHO_0, G
from .transport import corner_latitude


def balanced(
    temperature, salinity, u, v, mesh, periodic_x: bool, density: Callable, equator: float = 5.0, below: float = 100.0
):
    """(u', v') [m/s] at U and V points: thermal wind about the depth mean of ``u`` and ``v``, 0 on dry faces.

    Fields are (..., depth, y, x), numpy or torch, ``temperature`` [°C], ``salinity`` [g/kg], ``u`` and ``v`` [m/s], all
    finite on land. ``mesh`` holds arrays of the fields' kind by NEMO's names, as an ``OceanGrid`` does; ``equator`` is
    φ_e [°], and the given shear stays above the first level at or ``below`` that depth [m]. ``periodic_x``: the last
    column's neighbour is the first.
    """
    depth = mesh["gdept"][:, None, None]
    rho = density(temperature, salinity, depth)
    layers = G / RHO_0 * (rho[..., 1:, :, :] + rho[..., :-1, :, :]) / 2 * (depth[1:] - depth[:-1])
    slope_x = (_east(layers, periodic_x) - layers) / mesh["e1u"]
    slope_y = (_north(layers) - layers) / mesh["e2v"]
    wet_u, wet_v = (mask[1:] * mask[:-1] * 1.0 for mask in (mesh["umask"], mesh["vmask"]))

    def at_u(x):
        return x + _south(x) + _east(x + _south(x), periodic_x)

    def at_v(x):
        return x + _north(x) + _west(x + _north(x), periodic_x)

    steps_u = -at_u(slope_y * wet_v) / _or_one(at_u(wet_v))
    steps_v = at_v(slope_x * wet_u) / _or_one(at_v(wet_u))
    latitude, first = mesh["nav_lat"], int((mesh["gdept"] < below).sum())
    return (
        _about_depth_mean(u, steps_u, latitude, mesh["umask"], mesh["e3u"], equator, first),
        _about_depth_mean(v, steps_v, corner_latitude(latitude), mesh["vmask"], mesh["e3v"], equator, first),
    )


def _about_depth_mean(given, steps, latitude, mask, e3, equator, first):
    """ū + γ (u_tw − ū_tw) + (1 − γ) (u − ū) for u ``given``, from the ``steps`` of f u_tw between levels [m/s²]."""
    xp = module(given)
    share = xp.sin(xp.clip(abs(latitude) / equator, 0, 1) * (np.pi / 2)) ** 2
    f = coriolis(latitude)
    shear = given[..., 1:, :, :] - given[..., :-1, :, :]
    shear[..., first:, :, :] = (steps / (f + (f == 0)))[..., first:, :, :]
    below_surface = shear.cumsum(-3)
    wind = xp.concatenate((0 * below_surface[..., :1, :, :], below_surface), -3)
    wet = mask * 1.0
    change = wind - given
    mean = (change * e3 * wet).sum(-3) / _or_one((e3 * wet).sum(-3))
    return (given + share * (change - mean[..., None, :, :])) * wet


def _or_one(total):
    return total + (total == 0)
