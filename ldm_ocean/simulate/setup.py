"""An idealised ocean as a Veros setup: its geometry at the start; its forcing comes from outside, step by step."""

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
