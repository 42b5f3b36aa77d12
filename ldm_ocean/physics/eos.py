"""Equations of state: density [kg/m³] from temperature [°C], salinity [g/kg] and depth [m, positive down].

    vallis  (Vallis 2006, §1.7.2; Veros' type 3)
        ρ = ρ0 [1 + g z/c² − β_T (1 + γ ρ0 g z) θ − β_T* θ²/2 + β_S (S − 35)],  θ = T − 9.85,  ρ0 = 1024
    seos    (Roquet et al. 2015, simplified, as NEMO codes it for DINO)
        ρ = 1026 − a0 (1 + λ1 θ/2 + μ1 z) θ + b0 (S − 35),  θ = T − 10

Plain arithmetic: numpy arrays and torch tensors alike, differentiable.
"""

G = 9.81


def vallis(temperature, salinity, depth):
    """Density [kg/m³] by Vallis (2006) with the constants of Veros."""
    rho0, c, beta_t, beta_tt, beta_s, gamma = 1024.0, 1490.0, 1.67e-4, 1e-5, 0.78e-3, 1.1e-8
    theta = temperature - 9.85
    thermal = beta_t * (1 + gamma * G * depth * rho0) * theta + beta_tt / 2 * theta**2
    return rho0 * (1 + G * depth / c**2 - thermal + beta_s * (salinity - 35.0))


def seos(temperature, salinity, depth):
    """Density [kg/m³] by the simplified equation of DINO (Roquet et al. 2015)."""
    a0, b0, lambda1, mu1 = 0.165, 0.76554, 0.06, 1.497e-4
    theta = temperature - 10.0
    return 1026.0 - a0 * (1 + lambda1 / 2 * theta + mu1 * depth) * theta + b0 * (salinity - 35.0)


EQUATIONS = {"vallis": vallis, "seos": seos}


def equation_of_state(name: str):
    """The density function called ``name``; ValueError with the known names otherwise."""
    if name not in EQUATIONS:
        raise ValueError(f"unknown equation of state {name!r}: one of {', '.join(EQUATIONS)}")
    return EQUATIONS[name]
