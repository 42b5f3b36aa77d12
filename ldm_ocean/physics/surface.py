"""Thickness of cells under a moving surface where levels stretch with their column (z*: Adcroft & Campin 2004).

    e3 = e3_0 (1 + η/H)                              H = Σ e3_0 over the wet cells of the column
    η_u = ½ [(e1 e2 η)_i + (e1 e2 η)_{i+1}]_t / (e1 e2)_u        likewise along j for η_v

as NEMO's quasi-Eulerian coordinate has it: a column holds the water it has at rest and e1 e2 η. Arrays are numpy or
torch, by NEMO's names.
"""

from .cgrid import east, north


def moved(mesh, ssh, periodic_x: bool) -> dict:
    """``mesh`` with e3t, e3u, e3v [m] under ``ssh`` η [m] (..., y, x), finite on land; they get (..., depth, y, x).

    ``periodic_x``: the last column's neighbour is the first. Land keeps its thickness.
    """
    lifted = mesh["e1t"] * mesh["e2t"] * ssh
    rise = {
        "t": ssh,
        "u": (lifted + east(lifted, periodic_x)) / 2 / (mesh["e1u"] * mesh["e2u"]),
        "v": (lifted + north(lifted)) / 2 / (mesh["e1v"] * mesh["e2v"]),
    }
    out = dict(mesh)
    for point, eta in rise.items():
        still, mask = mesh[f"e3{point}"], mesh[f"{point}mask"]
        height = (still * mask).sum(-3)
        stretch = 1 + mask[0] * eta / (height + (height == 0))
        out[f"e3{point}"] = still * stretch[..., None, :, :]
    return out
