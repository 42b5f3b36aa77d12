"""Kinetic energy, and how violently it changes after a restart.

    KE = ρ0/2 (Σ u² V_u + Σ v² V_v)  [J]
    shock = ∫ |dKE/dt| dt  over the first days  [J]

A state out of balance sheds its excess as waves, which kinetic energy shows at once.
"""

import numpy as np

from .eos import RHO_0


def kinetic_energy(u, v, volume_u, volume_v):
    """KE [J] of currents (..., depth, y, x) [m/s], 0 on land, in cell volumes [m³]; shape (...)."""
    return RHO_0 / 2 * ((u**2 * volume_u).sum((-3, -2, -1)) + (v**2 * volume_v).sum((-3, -2, -1)))


def shock(energy):
    """∫|dKE/dt| dt [J] from KE (time, ...) [J] at instants; shape (...)."""
    return np.abs(np.diff(energy, axis=0)).sum(0)
