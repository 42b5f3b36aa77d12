"""Neighbours on the C grid: fields (..., y, x), numpy or torch; beyond a wall there is 0.

A U point is the eastern, a V point the northern face of its T cell. ``periodic_x``: the last column's neighbour is the
first.
"""

from .arrays import module


def east(x, periodic_x: bool):
    """The eastern neighbour of each cell."""
    return module(x).concatenate((x[..., 1:], x[..., :1] * periodic_x), -1)


def west(x, periodic_x: bool):
    """The western neighbour of each cell."""
    return module(x).concatenate((x[..., -1:] * periodic_x, x[..., :-1]), -1)


def north(x):
    """The northern neighbour of each cell."""
    return module(x).concatenate((x[..., 1:, :], 0 * x[..., :1, :]), -2)


def south(x):
    """The southern neighbour of each cell."""
    return module(x).concatenate((0 * x[..., :1, :], x[..., :-1, :]), -2)


def onto_u(v, periodic_x: bool):
    """Mean of the four V faces around each U face; the transpose of ``onto_v``."""
    return (v + south(v) + east(v + south(v), periodic_x)) / 4


def onto_v(u, periodic_x: bool):
    """Mean of the four U faces around each V face."""
    return (u + north(u) + west(u + north(u), periodic_x)) / 4


def column_transports(u, v, mesh):
    """(eastward, northward) [m³/s] through all levels of each U and V face, (..., y, x)."""
    return (u * mesh["e3u"]).sum(-3) * mesh["e2u"], (v * mesh["e3v"]).sum(-3) * mesh["e1v"]


def outflow(across_u, across_v, periodic_x: bool):
    """What leaves each T cell through its four faces, of what crosses U faces eastward and V faces northward."""
    return across_u - west(across_u, periodic_x) + across_v - south(across_v)


def slopes(x, mesh, periodic_x: bool):
    """(∂x/∂λ, ∂x/∂φ) per metre of ``x`` at T points, on all U and V faces, wet or dry."""
    return (east(x, periodic_x) - x) / mesh["e1u"], (north(x) - x) / mesh["e2v"]
