"""Relative vorticity on the C grid, at F points, the north-eastern corners of the T cells.

    ζ = (δ_i(e2v v) − δ_j(e1u u)) / (e1f e2f)        circulation around a corner over its area (Arakawa & Lamb 1977)

The corners' metrics are those of the faces beside them, e1f = e1v and e2f = e2u: exact where the grid's rows are
parallels and its columns meridians.
"""

from .cgrid import east, north


def relative_vorticity(u, v, mesh, periodic_x: bool):
    """(ζ [1/s], wet), (..., depth, y, x) and bool (depth, y, x), of currents (..., depth, y, x) [m/s], 0 on land.

    ``wet`` says where all four faces around the corner are; along a coast ζ knows nothing of the shear at the wall.
    ``mesh`` holds arrays of the fields' kind (numpy or torch) by NEMO's names.
    """
    along, across = mesh["e1u"] * u, mesh["e2v"] * v
    circulation = east(across, periodic_x) - across - north(along) + along
    u_wet, v_wet = mesh["umask"] * 1.0, mesh["vmask"] * 1.0
    wet = u_wet * north(u_wet) * v_wet * east(v_wet, periodic_x) > 0
    return circulation / (mesh["e1v"] * mesh["e2u"]), wet
