"""NEMO's reading rules, applied to any restart: what would stop the model, and what would silently spoil the run.

Each rule is a function of the open file that yields findings. ``stops``: NEMO refuses the file or ends the run in its
first steps. ``spoils``: it runs, and is wrong. ``note``: what the modeller should know.

Three rules are judgements. The step before may differ from now by what one step can do: on every level, the median
|φⁿ − φⁿ⁻¹| stays below 5e-3 of the standard deviation of φⁿ over all water (real runs at 4°: below 6e-4). Currents
cross no cell in one step: |u| Δt/e1 + |v| Δt/e2 < 1. And of the stratification Σ V|N²| no more than 10 % has N² < 0:
files of which 2 % of the volume had N² < −1e-8 s⁻², a few per mille of it, ran like stabilised ones.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..ocean.grid import OceanGrid
from ..physics.currents import TOO_FAST, courant_number
from ..physics.eos import expansion
from ..physics.stratification import (
    MUCH_INVERTED,
    buoyancy_frequency,
    inverted_share,
    least_stable,
    strongly_unstable_volume,
)
from .history import EQUATION_UNKNOWN
from .names import Names
from .nemo import LAYOUT, open_netcdf
from .restart_file import CANONICAL, Restart
from .times import IDEAL_YEAR, SAME_SEASON, SECONDS_PER_DAY, days_apart, season_of_date, season_of_step

STOPS, SPOILS, NOTE = "stops", "spoils", "note"
PIECE = re.compile(r"_\d+\.nc$")
ONE_STEP = 5e-3
NEUTRAL = -1e-8  # s⁻², what mixed layers have


@dataclass(frozen=True)
class Finding:
    """``kind``: stops, spoils or note; ``text``: what, where, how to mend it."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def check_restart(path: Path, grid: OceanGrid, rdt: float | None = None) -> list[Finding]:
    """Every finding of every rule on the file at ``path``, the worst first.

    ``rdt``: the run's time step [s], by default the file's own; without any the speed of currents is not judged.
    UserError for what is no NetCDF file.
    """
    path = Path(path)
    with open_netcdf(path) as data:
        own = LAYOUT["time_step"]
        if rdt is None and own in data.variables:
            rdt = float(np.ravel(data[own][...])[0])
        restart = Restart(path, data, grid, rdt, Names.load())
        try:
            found = [Finding(kind, text) for rule in RULES for kind, text in rule(restart)]
        except RuntimeError as error:  # netCDF4's word for a damaged file
            raise UserError(f"cannot read {path} ({error}): is the file whole?") from error
    return sorted(found, key=lambda f: (STOPS, SPOILS, NOTE).index(f.kind))


def name_is_not_a_piece(r: Restart):
    if PIECE.search(r.path.name):
        yield STOPS, f"NEMO takes {r.path.name} for one rank's piece: let the name end in _restart.nc"


def fields_are_there(r: Restart):
    if missing := r.missing(list(LAYOUT["now"].values())):
        yield STOPS, f"no {', '.join(missing)}: NEMO cannot start without"


def axes_are_those_of_the_mesh(r: Restart):
    for name in r.read():
        variable, shape = r.data[name], r.mask(name).shape
        roles = [r.names.dimensions.get(d) for d in variable.dimensions]
        space = [k for k in roles if k in ("depth", "y", "x")]
        if space != [k for k in ("depth", "y", "x") if k in space]:
            yield SPOILS, f"{name} has the axes {', '.join(variable.dimensions)}: NEMO reads time, depth, y, x"
        if variable.shape[-len(shape) :] == shape and np.prod(variable.shape) > np.prod(shape):
            yield SPOILS, f"{name} holds {variable.shape[0]} states, NEMO reads the first: cut the others off"
        elif not r.fits(name):
            yield STOPS, f"{name} is {variable.shape}, the mesh {shape}: regrid it, or give this run's mesh_mask"


def numbers_are_finite(r: Restart):
    for name in filter(r.fits, r.read()):
        bad, wet = ~np.isfinite(r.values(name)), r.mask(name)
        mended = "mend the states" if name in CANONICAL else "take it from another restart, or leave it out"
        for here, mend in ((bad & wet, f"in water: {mended}"), (bad & ~wet, "on land: set it to 0")):
            if here.any():
                yield STOPS, f"{name} is not finite at {_cells(here)}, {mend}"


def land_is_at_rest(r: Restart):
    for name in r.fields():
        if r.names.variables[CANONICAL[name]].point != "t":
            moving = ~r.mask(name) & (np.nan_to_num(r.values(name)) != 0)
            if moving.any():
                yield SPOILS, f"{name} is not 0 on land at {_cells(moving)}: NEMO moves water there; set it to 0"


def water_is_plausible(r: Restart):
    for name in r.fields():
        values, variable = r.values(name), r.names.variables[CANONICAL[name]]
        wet = r.mask(name) & np.isfinite(values)
        low, high = LAYOUT["alarm"].get(name, (-np.inf, np.inf))
        fatal = wet & ((values <= low) | (values >= high))
        if fatal.any():
            yield (
                STOPS,
                f"{name} is {values[fatal][0]:.4g} at {_cells(fatal)}, not between {low:g} and {high:g}: "
                "NEMO's run control ends the run (is the mesh wetter than the file?)",
            )
        low, high = variable.range or (-np.inf, np.inf)
        odd = wet & ~fatal & ~((values >= low) & (values <= high))
        if odd.any():
            yield (
                SPOILS,
                f"{name} is {values[odd][0]:.4g} at {_cells(odd)}, outside {low:g} to {high:g}: no ocean has that",
            )


def before_has_company(r: Restart):
    key = LAYOUT["forward_without"]
    if not r.has(key):
        yield NOTE, f"no {key}: the first step is a forward (Euler) step from {', '.join(LAYOUT['now'].values())}"
        return
    if missing := r.missing(LAYOUT["beside_before"]):
        yield STOPS, f"{key} is there without {', '.join(missing)}: take it out, or set ln_1st_euler = .true."
    elif not r.has(LAYOUT["light"]):
        yield NOTE, f"no {LAYOUT['light']}: a leap-frog start stops without it where light penetrates (ln_traqsr)"


def before_is_one_step_away(r: Restart):
    if not r.has(LAYOUT["forward_without"]):
        return
    for now, before in LAYOUT["before"].items():
        if not (r.fits(now) and r.fits(before)):
            continue
        wet, values = r.mask(now), r.values(now)
        change, water = (x.reshape(-1, *wet.shape[-2:]) for x in (np.abs(values - r.values(before)), wet))
        most = max(float(np.median(level[w])) for level, w in zip(change, water, strict=True) if w.any())
        if most > ONE_STEP * values[wet].std():
            yield (
                SPOILS,
                f"{now} and {before} differ by {most:.2g} at half of a level, more than one step does: "
                f"half of the change is lost; leave {LAYOUT['forward_without']} out, or set ln_1st_euler = .true.",
            )


def date_is_whole(r: Restart):
    kt, date, days, _ = LAYOUT["calendar"]
    if not r.has(kt):
        yield NOTE, f"no {kt}: date and season come from the namelist (nn_it000, nn_date0)"
        return
    if missing := r.missing(LAYOUT["calendar"]):
        yield STOPS, f"{kt} is there without {', '.join(missing)}: write all of them or none"
        return
    if odd := [k for k in LAYOUT["calendar"] if r.data[k].size != 1 or not np.isfinite(r.scalar(k))]:
        yield STOPS, f"{', '.join(odd)}: not one finite number; write the whole date anew, or nothing of it"
        return
    step = r.scalar(kt)
    yield NOTE, f"{kt} is {step:.0f}: set nn_it000 = {step + 1:.0f}"
    if not r.rdt:
        return
    done = step * r.rdt / SECONDS_PER_DAY
    if abs(done - r.scalar(days)) > 1:
        yield (
            NOTE,
            f"{kt} · {r.rdt:g} s are {done:.6g} days, {days} {r.scalar(days):.6g}: the calendar follows the latter",
        )
    forced, dated = season_of_step(step, r.rdt), season_of_date(r.scalar(date))
    if days_apart(forced, dated) > SAME_SEASON:
        yield (
            NOTE,
            f"{kt} · {r.rdt:g} s end on day {forced * IDEAL_YEAR:.0f} of a year of 360, {date} {r.scalar(date):.0f} on "
            f"day {dated * IDEAL_YEAR:.0f}: idealised forcing (DINO) follows the former, dated forcing the latter",
        )


def columns_hold_water(r: Restart):
    mask = r.grid["tmask"]
    depth = (r.grid["e3t"] * mask).sum(0)
    for name in (LAYOUT["now"]["ssh"], LAYOUT["before"][LAYOUT["now"]["ssh"]]):
        if r.fits(name) and (dry := mask[0] & (depth + np.nan_to_num(r.values(name)) <= 0)).any():
            yield STOPS, f"{name} leaves no water at {_cells(dry)}: sea level below the floor"


def columns_are_stable(r: Restart):
    t, s = (LAYOUT["now"][k] for k in ("toce", "soce"))
    if not (r.fits(t) and r.fits(s)):
        return
    if (name := r.grid.equation_of_state) is None:
        yield NOTE, f"the equation of state is not known: {EQUATION_UNKNOWN}"
        return
    wet, volume = r.grid["tmask"], r.grid.volume()
    temperature, salinity = (np.where(wet, np.nan_to_num(r.values(k)), 0.0) for k in (t, s))
    depth = np.broadcast_to(r.grid["gdept"][:, None, None], wet.shape)
    frequency = buoyancy_frequency(temperature, salinity, depth, expansion(name))
    share, inverted = strongly_unstable_volume(frequency, volume, NEUTRAL), float(inverted_share(frequency, volume))
    text = (
        f"{inverted:.3g} % of the stratification (volume times |N²|, by {name}) is upside down, {share:.3f} % of the "
        f"volume has N² < {NEUTRAL:g} s⁻², the least is {least_stable(frequency, volume):.2g}"
    )
    if inverted > MUCH_INVERTED:
        yield SPOILS, f"{text}: it will convect at once; stabilise the states (`sample --stabilise`)"
    else:
        yield NOTE, text


def currents_are_slow_enough(r: Restart):
    u, v = (LAYOUT["now"][k] for k in ("uoce", "voce"))
    if not (r.rdt and r.fits(u) and r.fits(v)):
        return
    east, north = (np.where(r.mask(k), np.nan_to_num(r.values(k)), 0) for k in (u, v))
    courant = courant_number(east, north, r.grid, r.rdt)
    if (fast := courant >= TOO_FAST).any():
        yield STOPS, f"currents cross {courant.max():.2g} cells in one step of {r.rdt:g} s at {_cells(fast)}"


def turbulence_is_there(r: Restart):
    if missing := r.missing(LAYOUT["turbulence"]):
        yield NOTE, f"no {', '.join(missing)}: turbulence starts cold; a template brings it (--template)"


RULES: tuple[Callable[[Restart], Iterator[tuple[str, str]]], ...] = (
    name_is_not_a_piece,
    fields_are_there,
    axes_are_those_of_the_mesh,
    numbers_are_finite,
    land_is_at_rest,
    water_is_plausible,
    before_has_company,
    before_is_one_step_away,
    date_is_whole,
    columns_hold_water,
    columns_are_stable,
    currents_are_slow_enough,
    turbulence_is_there,
)


def _cells(where: np.ndarray) -> str:
    """How many cells, and the first of them as NEMO-like (k, j, i) counted from 0."""
    first = tuple(map(int, np.argwhere(where)[0]))
    return f"{int(where.sum())} cells, first {first}"
