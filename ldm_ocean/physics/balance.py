"""How far currents, density and surface are in balance, on the C grid.

    hydrostatic pressure   p'(z) = g ρ0 η + g ∫_0^z (ρ − ρ0) dz'        [Pa], that of the resting ocean left out
    geostrophic residual   ‖f k×u + ∇p'/ρ0‖ / ‖f u‖
    thermal-wind residual  ‖∂_z (f k×u + ∇p'/ρ0)‖ / ‖∂_z f u‖           surface and barotropic flow drop out
    surface tendency       ∂η/∂t = −∇·∫u dz                             [m/s]
    wall-normal flow       max |u| on dry faces                         [m/s]

The x equation lives on U points, the y equation on V points, each with the other velocity's mean over its four nearest
faces; a face counts, by its volume, if those four are wet and it lies away from the equator. Norms are over both.

Fields are (..., depth, y, x), u and v 0 on land, the others finite there. ``mesh`` holds arrays of the fields' kind
(numpy or torch) by NEMO's names, as an ``OceanGrid`` does. ``periodic_x``: the last column's neighbour is the first.
Friction counts as imbalance; below the wind-driven layer it is small: give fields and mesh from a deeper level on.
"""

import numpy as np

from .arrays import module
from .cgrid import column_transports, onto_u, onto_v, outflow, slopes
from .eos import RHO_0, G
from .transport import corner_latitude

OMEGA = 7.292115e-5  # 1/s, rotation of the Earth
FIELD = (-3, -2, -1)


def coriolis(latitude):
    """f = 2Ω sin φ [1/s] at ``latitude`` [°N]."""
    return 2 * OMEGA * module(latitude).sin(latitude * (np.pi / 180))


def hydrostatic_pressure(density, depth, ssh):
    """p' [Pa] at T points from ``density`` [kg/m³], ``depth`` [m] (depth,) and ``ssh`` η [m] (..., y, x)."""
    anomaly = density - RHO_0
    top = anomaly[..., :1, :, :] * depth[0] + RHO_0 * ssh[..., None, :, :]
    layers = (anomaly[..., 1:, :, :] + anomaly[..., :-1, :, :]) / 2 * _spacing(depth)
    return G * module(density).concatenate((top, layers), -3).cumsum(-3)


def deeper(mesh, depth: float):
    """(first, mesh): the first level at or below ``depth`` [m], and the ``mesh`` from there on."""
    first = int((mesh["gdept"] < depth).sum())
    return first, {k: m[first:] if m.ndim == 3 or k == "gdept" else m for k, m in mesh.items()}


def geostrophic_residual(u, v, pressure, mesh, periodic_x: bool, equator: float = 5.0):
    """‖f k×u + ∇p'/ρ0‖ / ‖f u‖, dimensionless, shape (...), outside ±``equator`` [°]; 1 for a flat ocean."""
    return _ratio(forces(u, v, pressure, mesh, periodic_x, equator))


def thermal_wind_residual(u, v, density, mesh, periodic_x: bool, equator: float = 5.0):
    """‖∂_z(f k×u + ∇p'/ρ0)‖ / ‖∂_z f u‖, dimensionless, shape (...), outside ±``equator`` [°]."""
    pressure = hydrostatic_pressure(density, mesh["gdept"], 0 * density[..., 0, :, :])
    both = forces(u, v, pressure, mesh, periodic_x, equator)
    spacing = _spacing(mesh["gdept"])
    return _ratio(
        [(_step(c) / spacing, _step(r) / spacing, w[..., :-1, :, :] * (w[..., 1:, :, :] > 0)) for c, r, w in both]
    )


def surface_tendency(u, v, mesh, periodic_x: bool):
    """∂η/∂t [m/s] that the divergence of the columns implies, shape (..., y, x), 0 on land."""
    across_u, across_v = column_transports(u, v, mesh)
    return -outflow(across_u, across_v, periodic_x) / (mesh["e1t"] * mesh["e2t"]) * mesh["tmask"][0]


def wall_normal_flow(velocity, mask):
    """Largest |velocity| [m/s] on dry faces, shape (...); ``mask`` (depth, y, x) is that of the velocity's points."""
    return module(velocity).amax(abs(velocity) * (mask == 0), FIELD)


def forces(u, v, pressure, mesh, periodic_x: bool, equator: float):
    """[(Coriolis force, its sum with the pressure force, weight)] at U and at V points, per unit of mass."""
    wet_u, wet_v = mesh["umask"] * 1.0, mesh["vmask"] * 1.0
    weight_u = wet_u * (onto_u(wet_v, periodic_x) == 1)
    weight_v = wet_v * (onto_v(wet_u, periodic_x) == 1)
    latitude_u, latitude_v = mesh["nav_lat"], corner_latitude(mesh["nav_lat"])
    weight_u = weight_u * mesh["e1u"] * mesh["e2u"] * mesh["e3u"] * (abs(latitude_u) > equator)
    weight_v = weight_v * mesh["e1v"] * mesh["e2v"] * mesh["e3v"] * (abs(latitude_v) > equator)
    force_u = -coriolis(latitude_u) * onto_u(v, periodic_x)
    force_v = coriolis(latitude_v) * onto_v(u, periodic_x)
    slope_u, slope_v = slopes(pressure / RHO_0, mesh, periodic_x)
    return [(force_u, force_u + slope_u, weight_u), (force_v, force_v + slope_v, weight_v)]


def _ratio(both):
    residual = sum((w * r**2).sum(FIELD) for _, r, w in both)
    return (residual / sum((w * c**2).sum(FIELD) for c, _, w in both)) ** 0.5


def _spacing(depth):
    return (depth[1:] - depth[:-1])[:, None, None]


def _step(x):
    return x[..., 1:, :, :] - x[..., :-1, :, :]
