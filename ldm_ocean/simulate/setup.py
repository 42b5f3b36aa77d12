"""Veros setups with a method ``force``: how a step is forced when the model is one compiled function.

An idealised ocean gives its geometry at the start and its forcing from outside; a setup that Veros ships forces itself.
"""

from typing import Any

import numpy as np
from veros import VerosSetup, veros_routine
from veros.core import utilities
from veros.core.operators import at, update
from veros.core.operators import numpy as npx

from .ocean import Ocean

COMMON = {
    "enable_cyclic_x": True,
    "enable_streamfunction": False,
    "eq_of_state_type": 3,
    "enable_bottom_friction": True,
    "enable_implicit_vert_friction": True,
}


class IdealisedSetup(VerosSetup):
    """Veros configuration of ``ocean``."""

    def __init__(self, ocean: Ocean, override: dict | None = None):
        self.ocean = ocean
        super().__init__(override)

    @veros_routine
    def set_parameter(self, state):
        s, (nz, ny, nx) = state.settings, self.ocean.shape
        sizes = {"nx": nx, "ny": ny, "nz": nz, "dt_tracer": self.ocean.step, "identifier": self.ocean.name}
        for name, value in {**COMMON, **sizes, **self.ocean.settings()}.items():
            setattr(s, name, value)

    @veros_routine
    def set_grid(self, state):
        vs, (dx, dy) = state.variables, self.ocean.spacing()
        vs.dxt = update(vs.dxt, at[...], dx)
        vs.dyt = update(vs.dyt, at[...], dy)
        vs.dzt = update(vs.dzt, at[...], self.ocean.thicknesses()[::-1])

    @veros_routine
    def set_coriolis(self, state):
        vs = state.variables
        f = self.ocean.coriolis(np.asarray(vs.yt), state.settings.omega)
        vs.coriolis_t = update(vs.coriolis_t, at[...], f[None, :])

    @veros_routine
    def set_topography(self, state):
        vs, wet = state.variables, self.ocean.wet_levels().T
        kbot = np.where(wet > 0, len(self.ocean.thicknesses()) - wet + 1, 0)  # Veros counts from the bottom, 0 on land
        vs.kbot = update(vs.kbot, at[2:-2, 2:-2], kbot)

    @veros_routine
    def set_initial_conditions(self, state):
        vs = state.variables
        for name, field in zip(("temp", "salt"), self.ocean.initial_state(), strict=True):
            inner = npx.asarray(field[::-1].transpose(2, 1, 0))[..., None]
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

    def force(self, state, parameters: dict[str, Any], noise: dict[str, Any], day) -> None:
        """Set the surface fluxes, and the sources where there are any, by what the ocean says of this ``day``."""
        vs, settings, y = state.variables, state.settings, np.asarray(state.variables.yt)[None, :]
        sst, sss = (field[:, :, -1, vs.tau] for field in (vs.temp, vs.salt))
        forcing = self.ocean.forcing(y, sst, sss, parameters, noise, day, npx)
        top = vs.maskT[:, :, -1]
        vs.surface_taux = forcing.stress * vs.maskU[:, :, -1]
        vs.forc_temp_surface, vs.forc_salt_surface = forcing.heat * top, forcing.salt * top
        if settings.enable_tempsalt_sources:
            temperature, salinity = vs.temp[..., vs.tau], vs.salt[..., vs.tau]
            heat, salt = self.ocean.sources(y, temperature, salinity, parameters)
            vs.temp_source, vs.salt_source = heat * vs.maskT, salt * vs.maskT
        if settings.enable_tke:
            vs.forc_tke_surface = (npx.abs(vs.surface_taux) / settings.rho_0) ** 1.5 * top


def as_shipped(kind: type[VerosSetup]) -> VerosSetup:
    """A setup of Veros' own, changed in nothing but that it writes no diagnostics."""

    class Shipped(kind):  # type: ignore[misc, valid-type]
        @veros_routine
        def set_diagnostics(self, state):
            state.diagnostics.clear()

        def force(self, state, parameters: dict[str, Any], noise: dict[str, Any], day) -> None:
            self.set_forcing(state)

    return Shipped()
