"""The mesh in canonical form: read from NEMO's mesh_mask, or derived from a file's coordinates and its land.

Derived metrics are spherical: e1 = R √((cos φ ∂λ/∂i)² + (∂φ/∂i)²), e2 alike along j; e3 from the bounds of the levels.

Re-entrant grids. x is periodic where a wet U face closes the last column onto the first. NEMO before 4.2 (and any
source that repeats its first and last columns) carries one *overlap* column at each end; two such cells would be one
piece of ocean counted twice, so they are cut off and the attribute ``x_overlap`` says so.
"""

import numpy as np
import xarray as xr

from ..errors import UserError
from ..ocean.grid import MESH, POINTS
from .source import Source

RADIUS = 6371229.0  # [m] as NEMO has it
DIMS = {1: ("depth",), 2: ("y", "x"), 3: ("depth", "y", "x")}


def read_mesh(source: Source) -> xr.Dataset:
    """From a file with ``tmask`` (mesh_mask, NEMO 3.6 to 5) or ``bottom_level`` (domain_cfg)."""
    found = {}
    for name, spellings in source.names.mesh.items():
        raw = next((k for k in spellings if k in source.data.variables), None)
        if raw is not None:
            array = source.canonical(raw)
            array = array.isel(sample=0) if "sample" in array.dims else array
            found[name] = source.oriented(array, raw).values
    missing = [k for k in ("e1t", "e2t", "e3t") if k not in found]
    if missing or not source.coordinates.keys() >= {"nav_lat", "nav_lon"}:
        raise UserError(
            f"{source.path} lacks {', '.join(missing) or 'coordinates'}: give a whole mesh_mask with --mesh"
        )
    found.pop("thickness", None)
    return _completed(found | source.coordinates, str(source.data.attrs.get(source.names.periodic_attribute)) == "1")


def has_mask(source: Source) -> bool:
    """True for a mesh file, False for one whose mask must be derived."""
    return any(k in source.data.variables for k in source.names.mesh["tmask"] + source.names.mesh["bottom_level"])


def _completed(mesh: dict, declared_periodic: bool) -> xr.Dataset:
    """Masks as bool, thickness per cell, and what other meshes leave out."""
    if "tmask" not in mesh:
        levels = np.arange(mesh["e3t"].shape[0])[:, None, None]
        mesh["tmask"] = levels < mesh["bottom_level"]
    mesh.pop("bottom_level", None)
    for point in POINTS:
        name = f"{point}mask"
        if name in mesh:
            mesh[name] = np.nan_to_num(np.asarray(mesh[name], "float64")) > 0.5
    shape = mesh["tmask"].shape
    periodic = _closes(mesh["tmask"], mesh["umask"]) if "umask" in mesh else declared_periodic
    _stagger(mesh, periodic)
    for name in ("e3t", "e3u", "e3v"):
        column = mesh[name] if mesh[name].ndim == 3 else mesh[name][:, None, None]
        mesh[name] = np.broadcast_to(column, shape)
    mesh.setdefault("gdept", np.cumsum(mesh["e3t"], 0) - mesh["e3t"] / 2)
    if mesh["gdept"].ndim == 3 and np.ptp(mesh["gdept"], axis=(1, 2)).max() < 1e-3:  # [m] level for level the same
        mesh["gdept"] = mesh["gdept"][:, 0, 0]
    for name, values in mesh.items():
        if values.shape[-2:] != shape[1:] and values.ndim > 1:
            raise UserError(
                f"mesh variable {name} is {values.shape}, tmask {shape}: give one whole mesh_mask with --mesh"
            )
    return dataset(mesh, periodic)


def _stagger(mesh: dict, periodic: bool):
    """U and V masks, metrics and thickness from those of T, where missing: wet between wet, the thinner of two."""
    east, north = _shifted(mesh["tmask"], -1, periodic), _shifted(mesh["tmask"], -2, False)
    mesh.setdefault("umask", mesh["tmask"] & east)
    mesh.setdefault("vmask", mesh["tmask"] & north)
    for name in ("e1", "e2"):
        for point, axis in (("u", -1), ("v", -2)):
            t = mesh[f"{name}t"]
            mesh.setdefault(f"{name}{point}", (t + _neighbour(t, axis, periodic and axis == -1)) / 2)
    for point, axis in (("u", -1), ("v", -2)):
        t = mesh["e3t"]
        thinner = np.minimum(t, _neighbour(t, axis, periodic and axis == -1)) if t.ndim == 3 else t
        mesh.setdefault(f"e3{point}", thinner)


def _neighbour(values: np.ndarray, axis: int, periodic: bool) -> np.ndarray:
    """The next value along ``axis``; at the end the first one, or the last again."""
    rolled = np.roll(values, -1, axis)
    if not periodic:
        np.moveaxis(rolled, axis, 0)[-1] = np.moveaxis(values, axis, 0)[-1]
    return rolled


def _shifted(mask: np.ndarray, axis: int, periodic: bool) -> np.ndarray:
    """The next cell's mask along ``axis``; beyond a closed end there is land."""
    out = _neighbour(mask, axis, periodic).copy()
    if not periodic:
        np.moveaxis(out, axis, 0)[-1] = False
    return out


def _closes(tmask: np.ndarray, umask: np.ndarray) -> bool:
    return bool((umask[..., -1] & tmask[..., -1] & tmask[..., 0]).any())


def dataset(mesh: dict, periodic: bool) -> xr.Dataset:
    """Arrays by NEMO's names → the canonical mesh data set."""
    out = {}
    for name in MESH:
        values = mesh[name]
        out[name] = (DIMS[values.ndim], values.astype("int8" if values.dtype == bool else "float64"))
    units = {k: {"units": "m"} for k in MESH if k[0] in "eg"} | {
        "nav_lat": {"units": "degrees_north"},
        "nav_lon": {"units": "degrees_east"},
    }
    return xr.Dataset({k: (*v, units.get(k, {})) for k, v in out.items()}, attrs={"periodic_x": int(periodic)})


def derive_mesh(sources: dict[str, Source], cyclic: bool | None = None) -> xr.Dataset:
    """From the first state of each variable (name → source) and the coordinates; ``cyclic`` overrules longitudes."""
    name = _name_for_mask(sources)
    source = sources[name]
    if not source.coordinates.keys() >= {"nav_lat", "nav_lon"}:
        raise UserError(
            f"{source.path} has no latitude and longitude: give --mesh, or name them with --map (coordinates)"
        )
    raw = source.variables[name][0]
    depth = source.metres(raw)
    if depth is None:
        raise UserError(f"{source.path} has no depths in metres for {raw}: give --mesh")
    lat, lon = source.coordinates["nav_lat"], np.unwrap(source.coordinates["nav_lon"], period=360.0, axis=1)
    if np.abs(np.diff(lat, axis=1)).mean() > np.abs(np.diff(lat, axis=0)).mean():
        raise UserError(
            f"latitude in {source.path} varies along x, not y: its axes are swapped, name them with --map (dimensions)"
        )
    step = np.median(np.diff(lon, axis=1))
    periodic = bool(abs(lon.shape[1] * step - 360.0) < step / 2) if cyclic is None else cyclic
    tmask = _water(source, name)
    mesh = {"tmask": tmask, "nav_lat": lat, "nav_lon": source.coordinates["nav_lon"], "gdept": depth}
    stored = _stored_thickness(source, tmask, depth)
    mesh |= _spherical(lat, lon) | {"e3t": _thickness(source, raw, depth) if stored is None else stored}
    for point in ("u", "v"):  # a velocity that marks its own land by fill values knows its mask best
        for k, s in sources.items():
            variable = s.variables[k][1]
            if (
                variable.point == point
                and variable.deep
                and (hole := s.read(k, 0).hole).any()
                and hole.shape == tmask.shape
            ):
                mesh[f"{point}mask"] = ~hole
    _stagger(mesh, periodic)
    for name in ("e3t", "e3u", "e3v"):
        mesh[name] = np.broadcast_to(mesh[name] if mesh[name].ndim == 3 else mesh[name][:, None, None], tmask.shape)
    return dataset(mesh, periodic)


def _name_for_mask(sources: dict[str, Source]) -> str:
    deep = [k for k, s in sources.items() if s.variables[k][1].deep and s.variables[k][1].point == "t"]
    deep.sort(
        key=lambda k: (sources[k].variables[k][1].range or (-1, 0))[0] <= 0
    )  # never zero in water: salinity first
    if not deep:
        raise UserError("no 3-D variable on T points to take the land from: give --mesh")
    return deep[0]


def _water(source: Source, name: str) -> np.ndarray:
    frame = source.read(name, 0)
    return ~(frame.hole | frame.zero)


def _spherical(lat: np.ndarray, lon: np.ndarray) -> dict[str, np.ndarray]:
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    out = {}
    for name, axis in (("e1t", 1), ("e2t", 0)):
        dphi, dlam = np.gradient(phi, axis=axis), np.gradient(lam, axis=axis)
        out[name] = RADIUS * np.hypot(np.cos(phi) * dlam, dphi)
    return out


def _stored_thickness(source: Source, tmask: np.ndarray, depth: np.ndarray) -> np.ndarray | None:
    """Thickness that the file holds beside its fields, of the first state; on land its level's mean."""
    for raw in source.names.mesh["thickness"]:
        if raw not in source.data.variables:
            continue
        array = source.canonical(raw)
        array = array.isel(sample=0) if "sample" in array.dims else array
        values = source.oriented(array, raw).values.astype("float64")
        if values.shape == depth.shape:
            return values
        if values.shape == tmask.shape and (values[tmask] > 0).all():
            wet = tmask.sum((1, 2))
            mean = np.where(tmask, values, 0).sum((1, 2)) / np.maximum(wet, 1)
            mean = np.where(wet > 0, mean, mean[wet > 0][-1])
            return np.where(tmask, values, mean[:, None, None])
    return None


def _thickness(source: Source, raw: str, depth: np.ndarray) -> np.ndarray:
    """From CF bounds, from the faces of the levels, or by centring each level in its cell; else between mid-points."""
    dim = source.dim(raw, "depth")
    bounds = source.data[dim].attrs.get("bounds")
    if bounds in source.data.variables:
        thick = np.abs(np.diff(source.data[bounds].values.astype("float64"), axis=1))[:, 0]
        return thick[np.argsort(np.abs(source.data[dim].values))]
    for name in source.names.faces:
        if name in source.data.variables and source.data.sizes[name] == len(depth):
            tops = np.sort(np.abs(source.data[name].values.astype("float64")))
            return np.append(np.diff(tops), 2 * (depth[-1] - tops[-1]))
    faces = np.zeros(len(depth) + 1)
    for k, z in enumerate(depth):
        faces[k + 1] = 2 * z - faces[k]
    if (np.diff(faces) > 0).all() and (faces[1:-1] < depth[1:]).all():
        return np.diff(faces)
    middle = (depth[1:] + depth[:-1]) / 2
    return np.diff(np.concatenate([[0.0], middle, [2 * depth[-1] - middle[-1]]]))


def overlaps(values: np.ndarray, tmask: np.ndarray) -> bool:
    """True when the first and last columns of a state (…, y, x) on T points repeat its inner ones."""
    if values.shape[-1] < 5:
        return False
    pairs = [(0, -2), (-1, 1)]
    wet = [tmask[..., a] & tmask[..., b] for a, b in pairs]
    same = all((tmask[..., a] == tmask[..., b]).all() for a, b in pairs)
    equal = all(np.array_equal(values[..., a][w], values[..., b][w]) for (a, b), w in zip(pairs, wet, strict=True))
    inside = tmask[..., 0] & tmask[..., 1]
    varies = not np.array_equal(values[..., 0][inside], values[..., 1][inside])  # a uniform field proves nothing
    return bool(same and equal and varies and wet[0].any())
