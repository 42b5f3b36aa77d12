"""The name map: what each source calls a variable, dimension, unit. It is data (``names.yaml``), not code.

A user's map, in YAML, is laid over it:

    variables:                 # name in the file → canonical name, or a table
      so: soce
      temp_kelvin: {to: toce, scale: 1.0, offset: -273.15}
      dic: {to: dic, point: t, deep: true, units: mol m-3, standard_name: ..., range: [0, 10]}   # a new variable
    dimensions: {lev: depth, nlat: y, nlon: x, month: sample}
    coordinates: {TLAT: nav_lat, TLONG: nav_lon}
    periodic_x: true           # where there is no mesh_mask to tell (else: only if longitudes span 360°)
    land: zero                 # or nan, or a number: what marks land in the fields
"""

from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import yaml

from ..errors import UserError, nearest
from ..ocean.fields import PLAUSIBLE
from . import schema

ROLES = ("sample", "depth", "y", "x")
ATTRS = ("units", "standard_name", "long_name")
AUTO = "auto"  # land: NaN, fill values and |v| > 1e15; where there are none, zeros


@dataclass(frozen=True)
class Variable:
    """One canonical variable and how sources spell it; value = raw · scale + offset once ``scale`` is set."""

    names: tuple[str, ...]
    point: str
    deep: bool
    attrs: dict = field(default_factory=dict)
    standard_names: tuple[str, ...] = ()
    range: tuple[float, float] | None = None
    units: dict = field(default_factory=dict)
    never_zero: bool = False
    hint: str = "correct the file, or give scale and offset with --map"
    thickness: str | None = None
    thickness_unless: str | None = None
    scale: float | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class Names:
    """The whole table: canonical variables, dimension names → role, coordinates, mesh variables, land rule."""

    variables: dict[str, Variable]
    dimensions: dict[str, str]
    coordinates: dict[str, list[str]]
    plane: dict[str, list[str]]
    mesh: dict[str, list[str]]
    faces: list[str]
    calendars: dict[str, str]
    periodic_attribute: str
    periodic_x: bool | None = None
    land: str | float = AUTO

    @classmethod
    def load(cls, mapping: Path | None = None) -> "Names":
        """The shipped table, with the user's ``mapping`` on top; UserError for keys it does not know."""
        table = yaml.safe_load(files(__package__).joinpath("names.yaml").read_text())
        variables = {
            k: Variable(**v, range=PLAUSIBLE.get(v["attrs"]["standard_name"])) for k, v in table["variables"].items()
        }
        dimensions = {name: role for role, names in table["dimensions"].items() for name in names}
        names = cls(
            variables,
            dimensions,
            *(table[k] for k in ("coordinates", "plane", "mesh", "faces", "calendars", "periodic_attribute")),
        )
        return names if mapping is None else names._overlaid(Path(mapping))

    def _overlaid(self, path: Path) -> "Names":
        extra = schema.table(path, example := "variables: {theta_k: {to: toce, offset: -273.15}}")
        if not extra:
            raise UserError(f"{path} holds no table: write e.g. `{example}`")
        schema.check_keys(extra, ("variables", "dimensions", "coordinates", "land", "periodic_x"), str(path))
        dimensions = dict(self.dimensions)
        for name, role in (extra.get("dimensions") or {}).items():
            if role not in ROLES:
                raise UserError(f"{path}: dimension {name!r} cannot be {role!r}{nearest(role, ROLES)}")
            dimensions[name] = role
        coordinates = {k: list(v) for k, v in self.coordinates.items()}
        for name, target in (extra.get("coordinates") or {}).items():
            if target not in coordinates:
                raise UserError(f"{path}: coordinate {name!r} cannot be {target!r}{nearest(target, coordinates)}")
            coordinates[target].insert(0, name)
        variables = dict(self.variables)
        for name, entry in (extra.get("variables") or {}).items():
            target, variable = self._variable(path, name, entry)
            variables[target] = variable
        land = extra.get("land", self.land)
        if land not in (AUTO, "zero", "nan") and not isinstance(land, int | float):
            raise UserError(f"{path}: land is {land!r}: use zero, nan, or the number that marks land")
        return replace(
            self,
            variables=variables,
            dimensions=dimensions,
            coordinates=coordinates,
            land=land,
            periodic_x=extra.get("periodic_x"),
        )

    def _variable(self, path: Path, name: str, entry) -> tuple[str, Variable]:
        entry = {"to": entry} if isinstance(entry, str) else dict(entry or {})
        target = entry.pop("to", None)
        if target is None:
            raise UserError(f"{path}: {name!r} names no canonical variable: write `{name}: {{to: toce}}`")
        scale, offset = entry.pop("scale", None), entry.pop("offset", 0.0)
        if offset and scale is None:
            scale = 1.0
        limits = entry.pop("range", None)
        if target in self.variables:
            base = self.variables[target]
        elif {"point", "deep"} <= set(entry):
            base = Variable((), entry.pop("point"), bool(entry.pop("deep")))
            scale = 1.0 if scale is None else scale
        else:
            raise UserError(
                f"{path}: {name!r} goes to {target!r}{nearest(target, self.variables)}; a new one needs `point`, `deep`"
            )
        attrs = base.attrs | {k: entry.pop(k) for k in ATTRS if k in entry}
        schema.check_keys(entry, ("point", "deep", "to", "scale", "offset", "range", *ATTRS), f"{name} of {path}")
        # what the user names is taken as named: no other spelling, no hidden product with the thickness
        return target, replace(
            base, names=(name,), standard_names=(), attrs=attrs, scale=scale, offset=float(offset),
            range=limits or base.range, thickness=base.thickness if scale is None else None,
        )  # fmt: skip

    def conversion(self, name: str, raw_name: str, units: str | None, where: str) -> tuple[float, float]:
        """(scale, offset) that bring ``units`` to canonical ones; missing units are taken as canonical."""
        variable = self.variables[name]
        if variable.scale is not None:
            return variable.scale, variable.offset
        spelling = " ".join(str(units or "").split()).lower()
        if not spelling or spelling in variable.units:
            return tuple(variable.units.get(spelling, (1.0, 0.0)))
        raise UserError(
            f"{raw_name} in {where} has units {units!r}, not known for {name}: correct it, or give scale and "
            f"offset to {variable.attrs.get('units')} with --map"
        )
