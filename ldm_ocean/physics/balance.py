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


def geostrophic_residual(u, v, pressure, mesh, periodic_x: bool, equator: float = 5.0):
    """‖f k×u + ∇p'/ρ0‖ / ‖f u‖, dimensionless, shape (...), outside ±``equator`` [°]; 1 for a flat ocean."""
    return _ratio(_forces(u, v, pressure, mesh, periodic_x, equator))


def thermal_wind_residual(u, v, density, mesh, periodic_x: bool, equator: float = 5.0):
    """‖∂_z(f k×u + ∇p'/ρ0)‖ / ‖∂_z f u‖, dimensionless, shape (...), outside ±``equator`` [°]."""
    pressure = hydrostatic_pressure(density, mesh["gdept"], 0 * density[..., 0, :, :])
    forces = _forces(u, v, pressure, mesh, periodic_x, equator)
    spacing = _spacing(mesh["gdept"])
    return _ratio(
        [(_step(c) / spacing, _step(r) / spacing, w[..., :-1, :, :] * (w[..., 1:, :, :] > 0)) for c, r, w in forces]
    )


def surface_tendency(u, v, mesh, periodic_x: bool):
    """∂η/∂t [m/s] that the divergence of the columns implies, shape (..., y, x), 0 on land."""
    east, north = (u * mesh["e3u"]).sum(-3) * mesh["e2u"], (v * mesh["e3v"]).sum(-3) * mesh["e1v"]
    inflow = _west(east, periodic_x) - east + _south(north) - north
    return inflow / (mesh["e1t"] * mesh["e2t"]) * mesh["tmask"][0]


def wall_normal_flow(velocity, mask):
    """Largest |velocity| [m/s] on dry faces, shape (...); ``mask`` (depth, y, x) is that of the velocity's points."""
    return module(velocity).amax(abs(velocity) * (mask == 0), FIELD)


def _forces(u, v, pressure, mesh, periodic_x, equator):
    """[(Coriolis force, its sum with the pressure force, weight)] at U and at V points, per unit of mass."""
    v_at_u = (v + _south(v) + _east(v + _south(v), periodic_x)) / 4
    u_at_v = (u + _north(u) + _west(u + _north(u), periodic_x)) / 4
    wet_u, wet_v = mesh["umask"] * 1.0, mesh["vmask"] * 1.0
    weight_u = wet_u * wet_v * _south(wet_v) * _east(wet_v * _south(wet_v), periodic_x)
    weight_v = wet_v * wet_u * _north(wet_u) * _west(wet_u * _north(wet_u), periodic_x)
    latitude_u, latitude_v = mesh["nav_lat"], corner_latitude(mesh["nav_lat"])
    weight_u = weight_u * mesh["e1u"] * mesh["e2u"] * mesh["e3u"] * (abs(latitude_u) > equator)
    weight_v = weight_v * mesh["e1v"] * mesh["e2v"] * mesh["e3v"] * (abs(latitude_v) > equator)
    force_u, force_v = -coriolis(latitude_u) * v_at_u, coriolis(latitude_v) * u_at_v
    slope_u = (_east(pressure, periodic_x) - pressure) / (RHO_0 * mesh["e1u"])
    slope_v = (_north(pressure) - pressure) / (RHO_0 * mesh["e2v"])
    return [(force_u, force_u + slope_u, weight_u), (force_v, force_v + slope_v, weight_v)]


def _ratio(forces):
    residual = sum((w * r**2).sum(FIELD) for _, r, w in forces)
    return (residual / sum((w * c**2).sum(FIELD) for c, _, w in forces)) ** 0.5


def _spacing(depth):
    return (depth[1:] - depth[:-1])[:, None, None]


def _step(x):
    return x[..., 1:, :, :] - x[..., :-1, :, :]


def _east(x, periodic_x):
    """The eastern neighbour of each cell; 0 beyond a wall."""
    return _join((x[..., 1:], x[..., :1] * periodic_x), -1)


def _west(x, periodic_x):
    return _join((x[..., -1:] * periodic_x, x[..., :-1]), -1)


def _north(x):
    return _join((x[..., 1:, :], 0 * x[..., :1, :]), -2)


def _south(x):
    return _join((0 * x[..., :1, :], x[..., :-1, :]), -2)


def _join(parts, axis):
    return module(parts[0]).concatenate(parts, axis)
