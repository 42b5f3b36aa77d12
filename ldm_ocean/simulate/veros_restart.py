"""From canonical fields to a state that Veros goes on from, and Veros' own restart files.

Five fields do not make a model state. Density, N² and dynamic enthalpy follow from T and S, vertical velocity from
continuity, surface pressure is ψ = g η. The rest remembers the past: the Adams-Bashforth step

    x(τ+1) = x(τ) + Δt ((3/2 + ε) G(τ) − (1/2 + ε) G(τ−1))

begins with G(τ−1) = G(τ), which makes it an Euler step; with zeros, as at rest, half an increment too much would be
taken. G(τ) is the tendency of the first step of a short trial run, the turbulence that goes with the fields is what
the last one arrives at; the run is then thrown away.
"""

from pathlib import Path

import h5py
import jax
import jax.numpy as jnp
import numpy as np

from ..errors import UserError
from ..io.atomic import published
from ..io.output import MARK
from ..io.veros import GHOST
from .model import LEVELS, NOW, Model
from .ocean import DAY

# isort: split
# Veros keeps the backend that it finds when it is first imported; the model, imported before, has chosen it.
from veros import restart as veros_restart
from veros.core import momentum, thermodynamics, utilities

TRACERS, VELOCITIES = {"toce": "temp", "soce": "salt"}, {"uoce": "u", "voce": "v"}
SURFACE = {"ssh": "psi"}
TENDENCIES = ("dtemp", "dsalt", "dHd", "du", "dv", "dtke", "deke")
TURBULENCE = ("tke", "eke")
NOISE = "forcing_noise"  # group of what the ocean's forcing remembers; Veros reads past it


def begin(model: Model, fields: dict[str, np.ndarray], parameters: dict[str, float], seed: int, day: int) -> dict:
    """Model state on ``day`` of the year with canonical ``fields``, (depth, y, x) or (y, x), NaN on land.

    The forcing's noise starts from its stationary distribution, drawn with ``seed``.
    """
    start = _consistent(model, fields)
    eta = jax.random.normal(jax.random.PRNGKey(seed), start["eta"].shape)
    start |= {"eta": eta, "step": jnp.array(int(day * DAY // model.ocean.step), int)}
    trial, _ = model.advance(start, parameters, seed, 1)
    for name in (*TENDENCIES, *TURBULENCE):
        if name in start:
            start[name] = jnp.broadcast_to(trial[name][..., NOW, None], start[name].shape)
    return start


def _consistent(model: Model, fields: dict[str, np.ndarray]) -> dict:
    """The state at rest with ``fields`` at every time level, and what follows from them."""
    veros = model.setup.state
    vs, rest = veros.variables, model.initial()
    scale = {"ssh": veros.settings.grav}
    with vs.unlock():
        for name in model.evolving:
            setattr(vs, name, rest[name])
        vs.__dict__.update(taum1=0, tau=NOW, taup1=2)
        for name, own in (TRACERS | VELOCITIES | SURFACE).items():
            values = jnp.asarray(with_halo(fields[name]) * scale.get(name, 1.0))
            values = utilities.enforce_boundaries(values, veros.settings.enable_cyclic_x)
            setattr(vs, own, jnp.repeat(values[..., None], LEVELS, -1))
        for level in range(LEVELS):
            vs.update(thermodynamics.calc_eq_of_state(veros, level))
        momentum.vertical_velocity(veros)
        vs.w = jnp.broadcast_to(vs.w[..., 2, None], vs.w.shape)
        return rest | {name: jnp.array(getattr(vs, name)) for name in model.evolving}


def with_halo(field: np.ndarray) -> np.ndarray:
    """(depth from the surface, y, x) or (y, x) → Veros' (x, y[, z from the bottom]) with ghost cells; 0 on land."""
    values = np.nan_to_num(np.asarray(field, "float64"))
    values = values[::-1].transpose(2, 1, 0) if values.ndim == 3 else values.T
    return np.pad(values, [(GHOST, GHOST)] * 2 + [(0, 0)] * (values.ndim - 2))


def write(path: Path, model: Model, state: dict, mark: str = "") -> None:
    """Veros' own restart file of ``state``; the name appears only when it is whole. ``mark``: see ``io.output``."""
    veros = model.setup.state
    kept = _kept(veros)
    times = {"taum1": 0, "tau": NOW, "taup1": 2, "time": model.days(state) * DAY}
    data = {k: np.asarray(state[k] if k in state else times.get(k, getattr(veros.variables, k))) for k in kept}
    with published(path) as temporary, h5py.File(temporary, "w") as file:
        veros_restart.write_to_h5(veros.dimensions, kept, data, file, "core")
        file[NOISE] = np.asarray(state["eta"])
        file.attrs[MARK] = mark


def read(path: Path, model: Model) -> dict:
    """The state in a restart file, to ``advance`` as if the model had never stopped."""
    veros = model.setup.state
    kept = _kept(veros)
    try:
        with h5py.File(path) as file:
            _, data = veros_restart.read_from_h5(veros.dimensions, kept, file, "core", veros.settings.enable_cyclic_x)
            eta = file[NOISE][()] if NOISE in file else np.zeros(len(model.memory))
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} is no whole restart of this ocean ({error}): write it again") from error
    lacking = [k for k in kept if k not in data]
    if lacking:
        raise UserError(f"{path} lacks {', '.join(lacking)}: give a restart of the same Veros setup")
    # The model's time levels have fixed places; a file of Veros itself may have stopped at any of them.
    turn = NOW - int(data["tau"])
    levels = {k for k in kept if kept[k].dims and kept[k].dims[-1] == "timesteps"}
    own = {k: jnp.roll(data[k], turn, -1) if k in levels else jnp.asarray(data[k]) for k in kept if k in model.evolving}
    step = round(float(data["time"]) / model.ocean.step)
    return {**model.initial(), **own, "eta": jnp.asarray(eta), "step": jnp.array(step, int)}


def _kept(veros) -> dict:
    return {name: meta for name, meta in veros.var_meta.items() if meta.write_to_restart and meta.active}
