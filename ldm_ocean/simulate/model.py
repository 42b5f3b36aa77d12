"""Veros, driven as one compiled function of (state, parameters, noise).

At this size Veros spends its time in dispatching small kernels, not in arithmetic. Tracing the whole step once and
compiling three steps at a time (the time levels τ−1, τ, τ+1 then have fixed places) removes that cost and changes no
equation: the routines called here, in this order, are those of ``VerosSetup.step``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("VEROS_LOGLEVEL", "error")  # before it is imported: it says so at once

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from veros import runtime_settings

from .pool import PRECISION

runtime_settings.backend = "jax"
runtime_settings.float_type = os.environ.get(PRECISION, "float64")
runtime_settings.linear_solver = "scipy_jax"
runtime_settings.use_special_tdma = False  # the compiled extension is not accepted by current XLA
runtime_settings.loglevel = "error"

from veros.core import advection, eke, momentum, thermodynamics, tke, utilities  # noqa: E402
from veros.routines import VerosKernel  # noqa: E402

from .ocean import DAY, Ocean  # noqa: E402
from .solvers import plane_solver, solved_directly  # noqa: E402

LEVELS = 3  # Veros keeps three time levels; after three steps each is back in its place
NOW = 1  # the time level that is τ at the start of a group


class Model:
    """An ocean on Veros whose state is a dictionary of arrays.

    ``advance(state, parameters, noise_seed, groups)`` integrates ``groups`` × 3 steps; states, parameters and the
    noise are arguments, so one compilation serves every setting.
    """

    def __init__(self, ocean: Ocean):
        self.ocean = ocean
        self.setup = ocean.setup()
        self.setup.setup()
        self.plane = plane_solver(self.setup.state)  # must not be built while tracing
        self.modes = {k: jnp.asarray(_halo(v)) for k, v in ocean.patterns().items()}
        self.memory = jnp.asarray(ocean.memory())
        vs = self.setup.state.variables
        self.names = [k for k, v in vs.items() if v is not None and np.ndim(v) and np.issubdtype(v.dtype, np.floating)]
        self.constant = {"dxt", "dxu", "dyt", "dyu", "dzt", "dzw", "xt", "xu", "yt", "yu", "zt", "zw", "cost", "cosu"}
        self.constant |= {k for k in self.names if k.startswith(("mask", "area_", "coriolis", "tantr", "beta", "line"))}
        self.evolving = [k for k in self.names if k not in self.constant]
        self.rest = {k: jnp.array(getattr(vs, k)) for k in self.evolving}  # before tracing touches the container
        self.wet = {k: int(np.isfinite(v).sum()) for k, v in self.snapshot(self.initial()).items()}
        self._advance = jax.jit(self._advance_groups)

    @property
    def group_days(self) -> float:
        """Days of a group of three steps."""
        return LEVELS * self.ocean.step / DAY

    def days(self, state) -> float:
        """Days that a state is from its beginning."""
        return int(state["step"]) * self.ocean.step / DAY

    def initial(self) -> dict[str, jax.Array]:
        """The ocean at rest: every evolving Veros variable, the noise amplitudes ``eta`` and the ``step`` count.

        The count has a type of its own, not that of a bare Python number: a state read from a file has, and one that
        has not would be compiled for again.
        """
        return {**self.rest, "eta": jnp.zeros(len(self.memory)), "step": jnp.array(0, int)}

    def advance(self, state, parameters: dict[str, float], seed: int, groups: int):
        """State after ``groups`` × 3 tracer steps, and the time mean of T over them, (x, y, z) with halo."""
        values = {k: jnp.asarray(float(parameters[k])) for k in self.ocean.ranges}
        return self._advance(state, values, jax.random.PRNGKey(seed), groups)

    def _advance_groups(self, state, parameters, key, groups):
        def group(_, carry):
            state, mean = carry
            for level in range(LEVELS):
                state = self._step(state, parameters, key, level)
            return state, mean + state["temp"][..., NOW]

        carry = (state, jnp.zeros_like(state["temp"][..., 0]))
        state, total = lax.fori_loop(0, groups, group, carry)
        return state, total / groups

    def _step(self, state, parameters, key, level):
        model = self.setup.state
        vs, settings = model.variables, model.settings
        eta = self._noise(state["eta"], key, state["step"])
        closure = self.ocean.closure(parameters)
        with vs.unlock(), settings_of(settings, closure), solved_directly(model, self.plane):
            for k in self.evolving:
                setattr(vs, k, state[k])
            # set past Veros' type checks: plain integers let the compiler use static slices
            vs.__dict__.update(taum1=level, tau=(level + 1) % 3, taup1=(level + 2) % 3, itt=1)
            day = state["step"] * (self.ocean.step / DAY)
            self.setup.force(model, parameters, self._patterns(eta), day)
            eke.set_eke_diffusivities(model)
            tke.set_tke_diffusivities(model)
            momentum.momentum(model)
            thermodynamics.thermodynamics(model)
            bounded = ["u", "v"]
            if settings.enable_eke or settings.enable_tke:
                advection.calculate_velocity_on_wgrid(model)
            if settings.enable_eke:
                eke.integrate_eke(model)
                bounded.append("eke")
            if settings.enable_tke:
                tke.integrate_tke(model)
                bounded.append("tke")
            for k in bounded:
                setattr(vs, k, utilities.enforce_boundaries(getattr(vs, k), settings.enable_cyclic_x))
            momentum.vertical_velocity(model)
        return {**{k: getattr(vs, k) for k in self.evolving}, "eta": eta, "step": state["step"] + 1}

    def _noise(self, eta, key, step):
        white = jax.random.normal(jax.random.fold_in(key, step), eta.shape)
        return self.memory * eta + jnp.sqrt(1 - self.memory**2) * white

    def _patterns(self, eta) -> dict[str, jax.Array]:
        """What disturbs the forcing, (x, y) with halo, by the name of its patterns."""
        noise, first = {}, 0
        for name, modes in self.modes.items():
            noise[name] = jnp.einsum("k,kxy->xy", eta[first : first + len(modes)], modes)
            first += len(modes)
        return noise

    def snapshot(self, state) -> dict[str, np.ndarray]:
        """The canonical variables of a state: (depth, y, x), surface first; ssh or psi (y, x). Land is NaN.

        Under a rigid lid there is no sea level but a streamfunction: ``psi`` at the north-eastern corner of its T cell,
        wet where the cell is.
        """
        vs, settings = self.setup.state.variables, self.setup.state.settings
        fields = {
            "toce": (state["temp"][..., NOW], vs.maskT),
            "soce": (state["salt"][..., NOW], vs.maskT),
            "uoce": (state["u"][..., NOW], vs.maskU),
            "voce": (state["v"][..., NOW], vs.maskV),
        }
        out = {k: to_canonical(np.where(np.asarray(m) > 0, v, np.nan)) for k, (v, m) in fields.items()}
        name, unit = ("psi", 1.0) if settings.enable_streamfunction else ("ssh", settings.grav)
        plane = np.asarray(state["psi"][..., NOW] / unit)[2:-2, 2:-2].T
        out[name] = np.where(np.isnan(out["toce"][0]), np.nan, plane)
        return out

    def mesh(self) -> xr.Dataset:
        """The grid in NEMO's names: masks, cell metrics [m], coordinates [°], depths [m]."""
        vs, ocean = self.setup.state.variables, self.ocean
        masks = {
            k: to_canonical(np.asarray(getattr(vs, v)))
            for k, v in (("tmask", "maskT"), ("umask", "maskU"), ("vmask", "maskV"))
        }
        dx = np.asarray(vs.dxt)[2:-2]
        dy = np.asarray(vs.dyt)[2:-2]
        cos_t, cos_v = np.asarray(vs.cost)[2:-2], np.asarray(vs.cosu)[2:-2]
        shape = ocean.shape[1:]
        plane = lambda along_y, along_x: np.broadcast_to(along_y[:, None] * along_x[None], shape)  # noqa: E731
        one_x = np.ones(shape[1])
        metrics = {f"e1{p}": plane(c, dx) for p, c in (("t", cos_t), ("u", cos_t), ("v", cos_v))}
        metrics |= {f"e2{p}": plane(dy, one_x) for p in "tuv"}
        lon, lat = np.meshgrid(ocean.longitudes(), ocean.latitudes())
        e3 = {f"e3{p}": np.broadcast_to(ocean.thicknesses()[:, None, None], ocean.shape) for p in "tuv"}
        data: dict[str, tuple] = {k: (("depth", "y", "x"), v.astype("int8")) for k, v in masks.items()}
        data |= {k: (("y", "x"), v) for k, v in {**metrics, "nav_lat": lat, "nav_lon": lon}.items()}
        data |= {k: (("depth", "y", "x"), v) for k, v in e3.items()}
        data["gdept"] = ("depth", ocean.depths())
        return xr.Dataset(data, attrs={"periodic_x": 1, "equation_of_state": "vallis"})


def to_canonical(field) -> np.ndarray:
    """Veros' (x, y, z from the bottom) with halo → (depth from the surface, y, x) without."""
    return np.asarray(field)[2:-2, 2:-2, ::-1].transpose(2, 1, 0)


def _halo(patterns: np.ndarray) -> np.ndarray:
    """(k, y, x) → (k, x, y) with ghost cells, closed on itself in x."""
    wrapped = np.pad(patterns.transpose(0, 2, 1), ((0, 0), (2, 2), (2, 2)), mode="edge")
    wrapped[:, :2], wrapped[:, -2:] = wrapped[:, -4:-2], wrapped[:, 2:4]
    return wrapped


@contextmanager
def settings_of(settings, closure: dict) -> Iterator[None]:
    """Within, Veros' settings have the values of ``closure``, which may be traced.

    Veros compiles each kernel as a function of its own that takes settings for constants. Here kernels become part of
    the one function that is being traced, where a setting is a number like any other.
    """
    call, before = VerosKernel.__call__, {k: getattr(settings, k) for k in closure}

    def in_place(kernel, *args, **kwargs):
        return getattr(kernel.function, "__wrapped__", kernel.function)(*args, **kwargs)

    VerosKernel.__call__ = in_place
    settings.__dict__.update(closure)
    try:
        yield
    finally:
        VerosKernel.__call__ = call
        settings.__dict__.update(before)
