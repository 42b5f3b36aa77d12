"""Equations of state: density [kg/m³] from temperature [°C], salinity [g/kg] and depth [m, positive down].

    vallis  (Vallis 2006, §1.7.2; Veros' type 3)
        ρ = ρ0 [1 + g z/c² − β_T (1 + γ ρ0 g z) θ − β_T* θ²/2 + β_S (S − 35)],  θ = T − 9.85,  ρ0 = 1024
    seos    (Roquet et al. 2015, simplified, as NEMO codes it for DINO)
        ρ = 1026 − a0 (1 + λ1 θ/2 + μ1 z) θ + b0 (S − 35),  θ = T − 10
    teos10  (IOC, SCOR & IAPSO 2010, by the Gibbs SeaWater toolbox) with conservative temperature and absolute salinity;
        the pressure is that of a resting ocean of density 1026, as Boussinesq models have it

and their thermal expansion and haline contraction

    α = −(1/ρ) ∂ρ/∂T  [1/K]        β = (1/ρ) ∂ρ/∂S  [kg/g]

The first two are plain arithmetic: numpy arrays and torch tensors alike, differentiable. ``teos10`` is numpy only.
"""

from ..errors import UserError

G = 9.81  # m/s²
RHO_0 = 1026.0  # kg/m³, of the Boussinesq approximation (NEMO)
C_P = 3991.868  # J/kg/K, heat capacity of sea water (TEOS-10)

VALLIS = (1024.0, 1490.0, 1.67e-4, 1e-5, 0.78e-3, 1.1e-8)  # ρ0, c, β_T, β_T*, β_S, γ
SEOS = (0.165, 0.76554, 0.06, 1.497e-4)  # a0, b0, λ1, μ1


def vallis(temperature, salinity, depth):
    """Density [kg/m³] by Vallis (2006) with the constants of Veros."""
    rho0, c, beta_t, beta_tt, beta_s, gamma = VALLIS
    theta = temperature - 9.85
    thermal = beta_t * (1 + gamma * G * depth * rho0) * theta + beta_tt / 2 * theta**2
    return rho0 * (1 + G * depth / c**2 - thermal + beta_s * (salinity - 35.0))


def vallis_expansion(temperature, salinity, depth):
    """α [1/K] and β [kg/g] of ``vallis``."""
    rho0, _, beta_t, beta_tt, beta_s, gamma = VALLIS
    volume = rho0 / vallis(temperature, salinity, depth)
    alpha = beta_t * (1 + gamma * G * depth * rho0) + beta_tt * (temperature - 9.85)
    return volume * alpha, volume * beta_s


def seos(temperature, salinity, depth):
    """Density [kg/m³] by the simplified equation of DINO (Roquet et al. 2015)."""
    a0, b0, lambda1, mu1 = SEOS
    theta = temperature - 10.0
    return 1026.0 - a0 * (1 + lambda1 / 2 * theta + mu1 * depth) * theta + b0 * (salinity - 35.0)


def seos_expansion(temperature, salinity, depth):
    """α [1/K] and β [kg/g] of ``seos``."""
    a0, b0, lambda1, mu1 = SEOS
    density = seos(temperature, salinity, depth)
    return a0 * (1 + lambda1 * (temperature - 10.0) + mu1 * depth) / density, b0 / density


def teos10(temperature, salinity, depth):
    """Density [kg/m³] by TEOS-10; UserError without the ``physics`` extra."""
    return _gsw().rho(salinity, temperature, _pressure(depth))


def teos10_expansion(temperature, salinity, depth):
    """α [1/K] and β [kg/g] of ``teos10``; UserError without the ``physics`` extra."""
    arguments = (salinity, temperature, _pressure(depth))
    return _gsw().alpha(*arguments), _gsw().beta(*arguments)


def _pressure(depth):
    """Sea pressure [dbar] of a resting ocean."""
    return RHO_0 * G * depth / 1e4


def _gsw():
    try:
        import gsw
    except ImportError as error:
        raise UserError("equation of state 'teos10' needs gsw: pip install ldm-ocean[physics]") from error
    return gsw


EQUATIONS = {"vallis": vallis, "seos": seos, "teos10": teos10}
EXPANSIONS = {"vallis": vallis_expansion, "seos": seos_expansion, "teos10": teos10_expansion}


def equation_of_state(name: str | None):
    """The density function called ``name``; ValueError with the known names otherwise, UserError where it is None."""
    if name is None:
        raise UserError("the equation of state of these states is not known: give it to `ldm-ocean prepare`")
    return _named(EQUATIONS, name)


def differentiable(name: str | None):
    """The density function called ``name`` if torch can differentiate it; UserError for ``teos10``."""
    if name == "teos10":
        raise UserError("equation of state 'teos10' has no slopes that torch knows: prepare the states with seos")
    return equation_of_state(name)


def expansion(name: str):
    """The function (T, S, depth) → (α, β) of the equation of state called ``name``; ValueError otherwise."""
    return _named(EXPANSIONS, name)


def _named(functions: dict, name: str):
    if name not in functions:
        raise ValueError(f"unknown equation of state {name!r}: one of {', '.join(functions)}")
    return functions[name]
