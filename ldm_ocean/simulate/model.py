"""Veros, driven as one compiled function of (state, parameters, noise).

At this size Veros spends its time in dispatching small kernels, not in arithmetic. Tracing the whole step once and
compiling three steps at a time (the time levels τ−1, τ, τ+1 then have fixed places) removes that cost and changes no
equation: the routines called here, in this order, are those of ``VerosSetup.step``.
"""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from veros import VerosSetup, runtime_settings, veros_routine

runtime_settings.backend = "jax"
runtime_settings.float_type = "float64"
runtime_settings.linear_solver = "scipy_jax"
runtime_settings.use_special_tdma = False  # the compiled extension is not accepted by current XLA
runtime_settings.loglevel = "error"

from veros.core import advection, eke, momentum, thermodynamics, tke, utilities  # noqa: E402
from veros.core.external.solvers import get_linear_solver  # noqa: E402
from veros.core.operators import at, update  # noqa: E402

from ..physics.eos import C_P, RHO_0  # noqa: E402
from . import basin  # noqa: E402

LEVELS = 3  # Veros keeps three time levels; after three steps each is back in its place
NOW = 1  # the time level that is τ at the start of a group


class DinoBasin(VerosSetup):
    """Veros configuration of the basin in ``basin``; the forcing is set from outside, step by step."""

    @veros_routine
    def set_parameter(self, state):
        s = state.settings
        s.identifier = "dino"
        s.nx, s.ny, s.nz = basin.NX, basin.NY, basin.NZ
        s.dt_mom, s.dt_tracer = 3600.0, basin.STEP_DAYS * basin.DAY
        s.x_origin, s.y_origin = 0.0, -70.0
        s.coord_degree = s.enable_cyclic_x = True
        s.enable_streamfunction = False
        s.eq_of_state_type = 3
        s.enable_neutral_diffusion = s.enable_skew_diffusion = True
        s.K_iso_0 = s.K_gm_0 = 1000.0
        s.K_iso_steep = 500.0
        # The largest slope that a step of this length resolves on this grid: ∝ 1/Δt.
        s.iso_slopec, s.iso_dslope = 1e-3, 4e-4
        s.enable_hor_friction = True
        s.A_h = (basin.DEGREES * s.degtom) ** 3 * 2e-11
        s.enable_hor_friction_cos_scaling = True
        s.hor_friction_cosPower = 1
        s.enable_bottom_friction = True
        s.r_bot = 1e-5
        s.enable_implicit_vert_friction = True
        s.enable_tke = True
        s.c_k, s.c_eps, s.alpha_tke, s.mxl_min, s.tke_mxl_choice = 0.1, 0.7, 30.0, 1e-8, 2
        s.kappaM_min = 2e-4

    @veros_routine
    def set_grid(self, state):
        vs = state.variables
        vs.dxt = update(vs.dxt, at[...], basin.DEGREES)
        vs.dyt = update(vs.dyt, at[...], basin.DEGREES)
        vs.dzt = update(vs.dzt, at[...], basin.thicknesses()[::-1])

    @veros_routine
    def set_coriolis(self, state):
        vs, s = state.variables, state.settings
        f = 2 * s.omega * jnp.sin(jnp.deg2rad(vs.yt))
        vs.coriolis_t = update(vs.coriolis_t, at[...], f[None, :])

    @veros_routine
    def set_topography(self, state):
        vs = state.variables
        wet = basin.wet_levels().T
        kbot = np.where(wet > 0, basin.NZ - wet + 1, 0)  # Veros counts from the bottom, 0 on land
        vs.kbot = update(vs.kbot, at[2:-2, 2:-2], kbot)

    @veros_routine
    def set_initial_conditions(self, state):
        vs = state.variables
        for name, field in zip(("temp", "salt"), basin.initial_state(), strict=True):
            inner = jnp.asarray(field[::-1].transpose(2, 1, 0))[..., None]
            value = update(getattr(vs, name), at[2:-2, 2:-2], inner)
            value = utilities.enforce_boundaries(value, state.settings.enable_cyclic_x)
            setattr(vs, name, value * vs.maskT[..., None])

    @veros_routine
    def set_forcing(self, state):
        pass

    @veros_routine
    def set_diagnostics(self, state):
        state.diagnostics.clear()

    @veros_routine
    def after_timestep(self, state):
        pass


class Model:
    """A Veros basin whose state is a dictionary of arrays.

    ``advance(state, params, noise_seed, groups)`` integrates ``groups`` × 3 steps; states, parameters and the noise
    are arguments, so one compilation serves every setting.
    """

    def __init__(self, noise: basin.Noise | None = None):
        noise = noise or basin.Noise()
        self.setup = DinoBasin()
        self.setup.setup()
        get_linear_solver(self.setup.state)  # cached by Veros: must not be built while tracing
        wind, target = noise.patterns()
        pad = ((0, 0), (2, 2), (2, 2))

        def halo(patterns):
            wrapped = np.pad(patterns.transpose(0, 2, 1), pad, mode="edge")
            wrapped[:, :2], wrapped[:, -2:] = wrapped[:, -4:-2], wrapped[:, 2:4]
            return jnp.asarray(wrapped)

        self.wind_modes, self.target_modes, self.memory = halo(wind), halo(target), jnp.asarray(noise.memory())
        vs = self.setup.state.variables
        self.lat = np.asarray(vs.yt)
        self.names = [k for k, v in vs.items() if v is not None and np.ndim(v) and np.issubdtype(v.dtype, np.floating)]
        self.constant = {"dxt", "dxu", "dyt", "dyu", "dzt", "dzw", "xt", "xu", "yt", "yu", "zt", "zw", "cost", "cosu"}
        self.constant |= {k for k in self.names if k.startswith(("mask", "area_", "coriolis", "tantr", "beta", "line"))}
        self.evolving = [k for k in self.names if k not in self.constant]
        self.rest = {k: jnp.array(getattr(vs, k)) for k in self.evolving}  # before tracing touches the container
        self._advance = jax.jit(self._advance_groups)

    def initial(self) -> dict[str, jax.Array]:
        """The ocean at rest: every evolving Veros variable, the noise amplitudes ``eta`` and the ``step`` count.

        The count has a type of its own, not that of a bare Python number: a state read from a file has, and one that
        has not would be compiled for again.
        """
        return {**self.rest, "eta": jnp.zeros(len(self.memory)), "step": jnp.array(0, int)}

    def advance(self, state, params: basin.Parameters, seed: int, groups: int):
        """State after ``groups`` × 3 tracer steps, and the time mean of T over them, (x, y, z) with halo."""
        values = jnp.array([params.rn_ztau0, params.rn_tstar_n, params.rn_avt0])
        return self._advance(state, values, jax.random.PRNGKey(seed), groups)

    def _advance_groups(self, state, params, key, groups):
        def group(_, carry):
            state, mean = carry
            for level in range(LEVELS):
                state = self._step(state, params, key, level)
            return state, mean + state["temp"][..., NOW]

        carry = (state, jnp.zeros_like(state["temp"][..., 0]))
        state, total = lax.fori_loop(0, groups, group, carry)
        return state, total / groups

    def _step(self, state, params, key, level):
        model = self.setup.state
        vs, settings = model.variables, model.settings
        eta = self._noise(state["eta"], key, state["step"])
        with vs.unlock():
            for k in self.evolving:
                setattr(vs, k, state[k])
            # set past Veros' type checks: plain integers let the compiler use static slices
            vs.__dict__.update(taum1=level, tau=(level + 1) % 3, taup1=(level + 2) % 3, itt=1)
            self._force(vs, settings, params, eta, state["step"] * basin.STEP_DAYS)
            eke.set_eke_diffusivities(model)
            tke.set_tke_diffusivities(model)
            vs.kappaH = jnp.maximum(vs.kappaH, params[2])
            momentum.momentum(model)
            thermodynamics.thermodynamics(model)
            advection.calculate_velocity_on_wgrid(model)
            tke.integrate_tke(model)
            for k in ("u", "v", "tke"):
                setattr(vs, k, utilities.enforce_boundaries(getattr(vs, k), settings.enable_cyclic_x))
            momentum.vertical_velocity(model)
        return {**{k: getattr(vs, k) for k in self.evolving}, "eta": eta, "step": state["step"] + 1}

    def _noise(self, eta, key, step):
        white = jax.random.normal(jax.random.fold_in(key, step), eta.shape)
        return self.memory * eta + jnp.sqrt(1 - self.memory**2) * white

    def _force(self, vs, settings, params, eta, day):
        lat, top = self.lat[None, :], vs.maskT[:, :, -1]
        cos_season = jnp.cos(2 * jnp.pi * (day - basin.SUMMER_SOLSTICE) / basin.YEAR_DAYS)
        tau_x = basin.wind_stress(lat, params[0]) + jnp.einsum("k,kxy->xy", eta[:3], self.wind_modes)
        target = basin.temperature_target(lat, cos_season, params[1])
        target = target + jnp.einsum("k,kxy->xy", eta[3:], self.target_modes)
        vs.surface_taux = tau_x * vs.maskU[:, :, -1]
        heat = basin.GAMMA_T / (RHO_0 * C_P) * (target - vs.temp[:, :, -1, vs.tau])
        salt = basin.GAMMA_S / RHO_0 * (basin.salinity_target(lat) - vs.salt[:, :, -1, vs.tau])
        vs.forc_temp_surface, vs.forc_salt_surface = heat * top, salt * top
        stress = jnp.abs(vs.surface_taux) / settings.rho_0
        vs.forc_tke_surface = stress**1.5 * top

    def snapshot(self, state) -> dict[str, np.ndarray]:
        """The canonical variables of a state: (depth, y, x), surface first; ssh (y, x). Land is NaN."""
        vs = self.setup.state.variables
        fields = {
            "toce": (state["temp"][..., NOW], vs.maskT),
            "soce": (state["salt"][..., NOW], vs.maskT),
            "uoce": (state["u"][..., NOW], vs.maskU),
            "voce": (state["v"][..., NOW], vs.maskV),
        }
        out = {k: self.to_canonical(np.where(np.asarray(m) > 0, v, np.nan)) for k, (v, m) in fields.items()}
        ssh = np.asarray(state["psi"][..., NOW] / self.setup.state.settings.grav)[2:-2, 2:-2].T
        out["ssh"] = np.where(np.isnan(out["toce"][0]), np.nan, ssh)
        return out

    def mesh(self) -> xr.Dataset:
        """The grid in NEMO's names: masks, cell metrics [m], coordinates [°], depths [m]."""
        vs = self.setup.state.variables
        masks = {
            k: self.to_canonical(np.asarray(getattr(vs, v)))
            for k, v in (("tmask", "maskT"), ("umask", "maskU"), ("vmask", "maskV"))
        }
        dx = np.asarray(vs.dxt)[2:-2]
        dy = np.asarray(vs.dyt)[2:-2]
        cos_t, cos_v = np.asarray(vs.cost)[2:-2], np.asarray(vs.cosu)[2:-2]
        shape = (basin.NY, basin.NX)
        plane = lambda along_y, along_x: np.broadcast_to(along_y[:, None] * along_x[None], shape)  # noqa: E731
        one_x = np.ones(basin.NX)
        metrics = {f"e1{p}": plane(c, dx) for p, c in (("t", cos_t), ("u", cos_t), ("v", cos_v))}
        metrics |= {f"e2{p}": plane(dy, one_x) for p in "tuv"}
        lon, lat = np.meshgrid(basin.longitudes(), basin.latitudes())
        e3 = {f"e3{p}": np.broadcast_to(basin.thicknesses()[:, None, None], (basin.NZ, *shape)) for p in "tuv"}
        data: dict[str, tuple] = {k: (("depth", "y", "x"), v.astype("int8")) for k, v in masks.items()}
        data |= {k: (("y", "x"), v) for k, v in {**metrics, "nav_lat": lat, "nav_lon": lon}.items()}
        data |= {k: (("depth", "y", "x"), v) for k, v in e3.items()}
        data["gdept"] = ("depth", basin.depths())
        return xr.Dataset(data, attrs={"periodic_x": 1, "equation_of_state": "vallis"})

    @staticmethod
    def to_canonical(field) -> np.ndarray:
        """Veros' (x, y, z from the bottom) with halo → (depth from the surface, y, x) without."""
        return np.asarray(field)[2:-2, 2:-2, ::-1].transpose(2, 1, 0)
