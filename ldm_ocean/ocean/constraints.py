"""What generated states should obey: residuals in units of a tolerance τ, differentiable in the state.

    stability        r   = √(Σ V max(0, ρ_k − ρ_{k+1})² / Σ V) / τ         τ [kg/m³]   both at the depth midway
    stratification   r_k = (⟨ρ_{k+1} − ρ_k⟩_V − Δ_k) / τ                    τ [kg/m³]   one for each pair of levels
    inventory        r   = (Σ V x / Σ V − m) / τ                            τ in the unit of x
    surface flux     r   = (Σ A λ (x_0 − x*) / Σ A − F) / τ                 τ in the unit of λ x, W/m² for heat

τ is the strength: what is asked for is met to about τ, as an observation with that standard error would be. Sums are
over wet cells, those of density over wet pairs, with the V of the upper cell. ``on`` binds a constraint to the fields,
grid and device of a model. What is (nearly) ``linear`` holds for a mean of states as it holds for each of them.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError
from ..physics.budget import surface_heat_balance
from ..physics.eos import differentiable
from ..physics.stratification import density_steps, pair_volume
from .fields import SALINITY, TEMPERATURE, Fields
from .grid import OceanGrid

Residual = Callable[[Tensor], Tensor]
"""States (B, V, D, Y, X) → residuals (B, K)."""


@dataclass(frozen=True)
class Stability:
    """No density inversions but of about ``tolerance`` [kg/m³], in the root mean square over the volume; K = 1."""

    tolerance: float = 1e-3
    linear: ClassVar[bool] = False

    def on(self, fields: Fields, grid: OceanGrid, device: torch.device) -> Residual:
        steps, weight = density_of_pairs(fields, grid, device)
        root = (weight / weight.sum()).sqrt()

        def residual(states: Tensor) -> Tensor:
            inversions = steps(states).clamp_max(0) * root
            return torch.linalg.vector_norm(inversions, dim=(-3, -2, -1))[:, None] / self.tolerance

        return residual


@dataclass(frozen=True)
class Stratification:
    """Mean density steps [kg/m³] between each level and the next, to ``tolerance`` [kg/m³]; K = their number."""

    steps: tuple[float, ...]
    tolerance: float = 0.01
    linear: ClassVar[bool] = True

    @classmethod
    def like(cls, states: Tensor, fields: Fields, grid: OceanGrid, tolerance: float = 0.01) -> "Stratification":
        """That of ``states`` (N, V, D, Y, X), in their mean."""
        steps = mean_steps(states, *density_of_pairs(fields, grid, states.device)).mean(0)
        return cls(tuple(steps.tolist()), tolerance)

    def on(self, fields: Fields, grid: OceanGrid, device: torch.device) -> Residual:
        if len(self.steps) != grid.shape[0] - 1:
            raise UserError(f"stratification has {len(self.steps)} steps for {grid.shape[0]} levels: give one a pair")
        pairs, asked = density_of_pairs(fields, grid, device), torch.tensor(self.steps, device=device)
        return lambda states: (mean_steps(states, *pairs) - asked) / self.tolerance


@dataclass(frozen=True)
class Inventory:
    """The volume ``mean`` of a variable, in its unit: heat content by temperature, salt by salinity; K = 1."""

    variable: str
    mean: float
    tolerance: float
    linear: ClassVar[bool] = True

    def on(self, fields: Fields, grid: OceanGrid, device: torch.device) -> Residual:
        v = fields.index_of(self.variable)
        weight = fields.volumes(grid)[v]
        weight = (weight / weight.sum()).float().to(device)

        def residual(states: Tensor) -> Tensor:
            mean = (states[:, v] * weight).sum((-3, -2, -1))
            return ((mean - self.mean) / self.tolerance)[:, None]

        return residual


@dataclass(frozen=True)
class SurfaceFlux:
    """The area ``mean`` of λ (x − x*) at the surface, x* (y, x) the restoring target of a variable; K = 1.

    λ = ``restoring``, negative where it damps: W m⁻² K⁻¹ for temperature (NEMO's rn_trp).
    """

    variable: str
    target: np.ndarray
    restoring: float
    mean: float
    tolerance: float
    linear: ClassVar[bool] = True

    def on(self, fields: Fields, grid: OceanGrid, device: torch.device) -> Residual:
        v, area = fields.index_of(self.variable), torch.from_numpy(grid.area("t"))
        if self.target.shape != grid.shape[1:]:
            raise UserError(f"the target of {self.variable} is {self.target.shape}, the grid {grid.shape[1:]}")
        if not np.isfinite(self.target[grid.area("t") > 0]).all():
            raise UserError(f"the target of {self.variable} is not finite at every wet cell: fill it")
        weight = (area / area.sum()).float().to(device)
        target = torch.from_numpy(np.where(area > 0, self.target, 0)).float().to(device)

        def residual(states: Tensor) -> Tensor:
            mean = surface_heat_balance(states[:, v, 0], target, weight, self.restoring)
            return ((mean - self.mean) / self.tolerance)[:, None]

        return residual


Constraint = Stability | Stratification | Inventory | SurfaceFlux
KINDS: dict[str, type[Constraint]] = {
    "stability": Stability,
    "stratification": Stratification,
    "inventory": Inventory,
    "surface_flux": SurfaceFlux,
}


def density_of_pairs(fields: Fields, grid: OceanGrid, device: torch.device) -> tuple[Residual, Tensor]:
    """States → density step of each pair of neighbours (B, D − 1, Y, X) [kg/m³], and the pairs' relative volumes."""
    t, s = fields.index_of(TEMPERATURE), fields.index_of(SALINITY)
    density = differentiable(grid.equation_of_state)
    depth = torch.from_numpy(grid["gdept"]).float().to(device)[:, None, None]
    pairs = pair_volume(torch.from_numpy(grid.volume("t")))
    return lambda x: density_steps(x[:, t], x[:, s], depth, density), (pairs / pairs.mean()).float().to(device)


def mean_steps(states: Tensor, steps: Residual, weight: Tensor) -> Tensor:
    """Mean density step of each pair of levels (B, D − 1) [kg/m³]; 0 where a level below is all land."""
    return (steps(states) * weight).sum((-2, -1)) / weight.sum((-2, -1)).clamp_min(1e-20)


def bound(constraint: Constraint, fields: Fields, grid: OceanGrid, device: torch.device) -> Residual:
    """``on``, after a look at the numbers: UserError for one that is not finite, or a tolerance that is not above 0."""
    for field in dataclasses.fields(constraint):
        value = getattr(constraint, field.name)
        numbers = value if isinstance(value, tuple) else (value,)
        if field.name != "target" and not all(math.isfinite(x) for x in numbers if not isinstance(x, str)):
            raise UserError(f"{name_of(constraint)}: {field.name} is {value}, give a number")
    if constraint.tolerance <= 0:
        raise UserError(f"{name_of(constraint)}: tolerance is {constraint.tolerance:g}, it must be above 0")
    return constraint.on(fields, grid, device)


def name_of(constraint: Constraint) -> str:
    """Its kind, and its variable where it has one."""
    kind = next(k for k, v in KINDS.items() if isinstance(constraint, v))
    return f"{kind} of {constraint.variable}" if isinstance(constraint, Inventory | SurfaceFlux) else kind
