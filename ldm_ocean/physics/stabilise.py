"""Removing density inversions from water columns, with the heat and salt of every column kept.

A pair of neighbours is stable where d_k = ρ(T_{k+1}, S_{k+1}, z_m) − ρ(T_k, S_k, z_m) ≥ 0, z_m midway between them.
The interfaces of unstable columns exchange water: an amount λ_k ≥ 0 through interface k carries heat and salt

    T_k += c_T λ_k / e3_k        T_{k+1} −= c_T λ_k / e3_{k+1}        c_T =  α
    S_k −= c_S λ_k / e3_k        S_{k+1} += c_S λ_k / e3_{k+1}        c_S =  β s²

(α = −∂ρ/∂T, β = ∂ρ/∂S, means of both waters), so that Σ e3 T and Σ e3 S cannot change. These are the proportions of
the smallest move Σ e3 (δT² + δS²/s²) with d ≥ ε, a quadratic programme whose solution satisfies

    λ_k ≥ 0,    d_k(λ) ≥ ε,    λ_k (d_k − ε) = 0.

For a linear equation of state it is the isotonic regression of density; what density does not see is left alone. It
is found by Newton's method on the active set (Hintermüller, Ito & Kunisch 2002), one tridiagonal system per column and
step, from the interfaces across which the classical adjustment mixes (Rahmstorf 1993): unstable neighbours become one
homogeneous block until none are left, in at most depth − 1 rounds. Complete mixing is also what a column gets where
Newton's method fails or would move more: inversions of many degrees, or of less than the margin ε.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .stratification import density_steps

MARGIN = 1e-5  # ε [kg/m³]: more than rounding T and S to single precision can take from a step; N² of 1e-9 s⁻²
SALT = 0.1  # s [g/kg]: the change of salinity that weighs as much as one of 1 °C, about the ratio of their anomalies
NEWTON_STEPS = 8  # plausible columns need two to five


class Columns(NamedTuple):
    """Water columns side by side: (depth, n, 1) each, double precision, finite on land."""

    temperature: Tensor
    salinity: Tensor
    depth: Tensor
    thickness: Tensor
    wet: Tensor  # bool (depth − 1, n, 1): pairs of two wet cells


def stabilise(temperature, salinity, depth, thickness, mask, density: Callable):
    """(T', S') without density inversions, Σ e3 T and Σ e3 S of every column kept to round-off.

    ``temperature`` [°C] and ``salinity`` [g/kg] are (..., depth, y, x), torch or numpy; land may hold anything.
    ``depth`` [m, positive down] is (depth,) or (depth, y, x), ``thickness`` e3t [m] likewise or as the fields, ``mask``
    (depth, y, x); ``density`` a differentiable equation of state. Shape and precision of the fields return, every
    step ≥ 0 after rounding to it; land and stable columns come back bit by bit.
    """
    if isinstance(temperature, np.ndarray):
        both = stabilise(torch.tensor(temperature), torch.tensor(salinity), depth, thickness, mask, density)
        return tuple(x.numpy() for x in both)
    # copied, for arrays are often read-only
    mask, depth, thickness = (torch.asarray(a, device=temperature.device, copy=True) for a in (mask, depth, thickness))
    depth, thickness = (a.double().reshape(-1, 1, 1) if a.ndim == 1 else a.double() for a in (depth, thickness))
    mask = mask.bool()
    pair = mask[1:] & mask[:-1]
    t, s = (torch.where(mask, x, 0).double() for x in (temperature, salinity))
    unstable = ((density_steps(t, s, depth, density) < 0) & pair).any(-3).flatten().nonzero().squeeze(-1)
    if not len(unstable):
        return temperature, salinity

    def columns(x: Tensor, levels: int = len(mask)) -> Tensor:
        whole = x.expand(*temperature.shape[:-3], levels, *temperature.shape[-2:])
        return whole.movedim(-3, 0).reshape(levels, -1).index_select(1, unstable)[..., None]

    wet = columns(mask)
    thickness = torch.where(wet, columns(thickness), 1)
    old = Columns(columns(t), columns(s), columns(depth), thickness, columns(pair, len(pair)))
    new_t, new_s = _smallest_move(old, density, temperature.dtype)
    return _put(temperature, new_t, wet, unstable), _put(salinity, new_s, wet, unstable)


def _put(field: Tensor, columns: Tensor, wet: Tensor, where: Tensor) -> Tensor:
    flat = field.movedim(-3, 0).flatten(1).clone()
    flat[:, where] = torch.where(wet, columns.to(field.dtype), flat[:, where, None]).squeeze(-1)
    return flat.reshape(field.movedim(-3, 0).shape).movedim(0, -3).contiguous()


def _smallest_move(old: Columns, density: Callable, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The exchange λ where it is stable in ``dtype`` and moves less than complete mixing; that elsewhere."""
    mixed, joined = mix(old, density)
    exchanged = exchange(old, joined, density)
    t, s = (x.to(dtype).double() for x in exchanged)
    stable = ((density_steps(t, s, old.depth, density) >= 0) | ~old.wet).all(0)
    good = stable & (_size(exchanged, old) <= _size(mixed, old))
    temperature, salinity = (torch.where(good, x, y) for x, y in zip(exchanged, mixed, strict=True))
    return temperature, salinity


def _size(new: tuple[Tensor, Tensor], old: Columns) -> Tensor:
    """Σ e3 (δT² + δS²/s²) of every column."""
    move = (new[0] - old.temperature) ** 2 + ((new[1] - old.salinity) / SALT) ** 2
    return (old.thickness * move).sum(0)


def mix(old: Columns, density: Callable) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """((T, S), joined): unstable neighbours mixed into homogeneous blocks; ``joined`` are the pairs within a block."""
    joined = torch.zeros_like(old.wet)
    growing = torch.arange(joined.shape[1], device=joined.device)
    while len(growing):
        part, inside = Columns(*(x.index_select(1, growing) for x in old)), joined.index_select(1, growing)
        t, s = _homogenised(part, inside)
        step = density_steps(t, s, part.depth, density)
        merged = part.wet & ~inside & (step < MARGIN)
        joined[:, growing] = inside | merged
        growing = growing[merged.any(0).squeeze(-1)]
    return _homogenised(old, joined), joined


def _homogenised(old: Columns, joined: Tensor) -> tuple[Tensor, Tensor]:
    """T and S as their e3-weighted means over each block of ``joined`` neighbours."""
    block = torch.nn.functional.pad((~joined).cumsum(0), (0, 0, 0, 0, 1, 0))

    def total(x: Tensor) -> Tensor:
        return torch.zeros_like(x).scatter_add(0, block, x).gather(0, block)

    weight = total(old.thickness)
    return total(old.thickness * old.temperature) / weight, total(old.thickness * old.salinity) / weight


def exchange(old: Columns, active: Tensor, density: Callable) -> tuple[Tensor, Tensor]:
    """(T, S) after at most ``NEWTON_STEPS`` steps for λ, from the ``active`` interfaces: those with d_k = ε."""
    upper, lower = old.thickness[:-1], old.thickness[1:]
    water = old.temperature, old.salinity
    step, slope_t, slope_s = _linearised(*water, old.depth, density)
    carried_t, carried_s = slope_t.mean(0) * old.wet, SALT**2 * slope_s.mean(0) * old.wet
    amount = torch.zeros_like(step)
    for _ in range(NEWTON_STEPS):
        into_upper, into_lower = slope_t * carried_t + slope_s * carried_s
        diagonal = into_upper / upper + into_lower / lower
        above = -(slope_t[0, 1:] * carried_t[:-1] + slope_s[0, 1:] * carried_s[:-1]) / upper[1:]
        below = -(slope_t[1, :-1] * carried_t[1:] + slope_s[1, :-1] * carried_s[1:]) / lower[:-1]
        right = diagonal * amount + MARGIN - step
        right[1:] += above * amount[:-1]
        right[:-1] += below * amount[1:]
        amount = _tridiagonal(
            torch.where(active[1:], above, 0),
            torch.where(active, diagonal, 1),
            torch.where(active[:-1], below, 0),
            torch.where(active, right, 0),
        )
        water = (
            old.temperature - _convergence(carried_t * amount) / old.thickness,
            old.salinity - _convergence(carried_s * amount) / old.thickness,
        )
        step, slope_t, slope_s = _linearised(*water, old.depth, density)
        if (((step > MARGIN / 2) | ~old.wet) & (amount >= 0)).all():
            break
        active = old.wet & (diagonal * amount + MARGIN - step > 0)
    return water


def _linearised(temperature, salinity, depth, density: Callable) -> tuple[Tensor, Tensor, Tensor]:
    """Density step of every pair, and ∂ρ/∂T, ∂ρ/∂S of its upper and lower water (2, depth − 1, n, 1)."""
    middle = (depth[1:] + depth[:-1]) / 2
    t, s = (torch.stack([x[:-1], x[1:]]).detach().requires_grad_() for x in (temperature, salinity))
    with torch.enable_grad():
        rho = density(t, s, middle)
        slope_t, slope_s = torch.autograd.grad(rho.sum(), (t, s))
    rho = rho.detach()
    return rho[1] - rho[0], slope_t, slope_s


def _convergence(flux: Tensor) -> Tensor:
    """Outflow below minus inflow above of every cell, for a downward ``flux`` through the interior interfaces."""
    closed = torch.nn.functional.pad(flux, (0, 0, 0, 0, 1, 1))
    return closed[1:] - closed[:-1]


def _tridiagonal(lower: Tensor, diagonal: Tensor, upper: Tensor, right: Tensor) -> Tensor:
    """Solution of one tridiagonal system per column, along the first axis (Thomas' algorithm)."""
    pivot, value = [diagonal[0]], [right[0]]
    for k in range(1, len(diagonal)):
        factor = lower[k - 1] / pivot[-1]
        pivot.append(diagonal[k] - factor * upper[k - 1])
        value.append(right[k] - factor * value[-1])
    solution = [value[-1] / pivot[-1]]
    for k in range(len(diagonal) - 2, -1, -1):
        solution.append((value[k] - upper[k] * solution[-1]) / pivot[k])
    return torch.stack(solution[::-1])
