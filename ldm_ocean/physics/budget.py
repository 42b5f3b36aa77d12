"""What the ocean holds and what its surface exchanges: sums over cells, shape (...) for fields (..., depth, y, x).

    heat content      Q = ρ0 c_p Σ V T                       [J, relative to 0 °C]
    salt content      M = ρ0 Σ V S / 1000                    [kg]
    kinetic energy    K = ½ ρ0 (Σ V_u u² + Σ V_v v²)         [J]    each velocity with its own cells
    flux balance      F = Σ A λ (SST − T*)                   [W]    zero for a state in equilibrium with its target

``volume`` [m³] is 0 on land: (depth, y, x) or, where the surface moves, of the field's own shape. Land values must be
finite. numpy arrays and torch tensors alike.
"""

from .eos import C_P, RHO_0

GRAMS = 1000.0  # in a kilogram


def heat_content(temperature, volume):
    """Q [J] of ``temperature`` [°C]."""
    return RHO_0 * C_P * (temperature * volume).sum((-3, -2, -1))


def salt_content(salinity, volume):
    """M [kg] of ``salinity`` [g/kg]."""
    return RHO_0 / GRAMS * (salinity * volume).sum((-3, -2, -1))


def kinetic_energy(u, v, volume_u, volume_v):
    """K [J] of ``u`` and ``v`` [m/s], each on its own faces."""
    return RHO_0 / 2 * ((u**2 * volume_u).sum((-3, -2, -1)) + (v**2 * volume_v).sum((-3, -2, -1)))


def surface_heat_balance(surface_temperature, target, area, restoring):
    """Heat into the ocean [W] of ``surface_temperature`` and ``target`` [°C], both (..., y, x); shape (...).

    ``restoring`` λ [W m⁻² K⁻¹] is negative where it damps (NEMO's rn_trp); ``area`` [m²] is (y, x), 0 on land.
    """
    return (area * restoring * (surface_temperature - target)).sum((-2, -1))


def surface_salt_balance(surface_salinity, target, area, restoring):
    """Salt into the ocean [kg/s]: the same with salinities [g/kg] and λ [kg m⁻² s⁻¹] (NEMO's rn_srp)."""
    return surface_heat_balance(surface_salinity, target, area, restoring) / GRAMS
