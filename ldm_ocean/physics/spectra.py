"""Power spectra in boxes without land.

    P(k)     one-sided power density, ∫ P dk = variance of the detrended field      [unit² m] over k [cycles/m]
    error    E_b = ⟨log10 P / P_true⟩ over the wavenumbers of band b                [dex], negative where power lacks

A straight line is removed and a Hann window of unit mean square applied; the mean is no part of a spectrum, so
k begins at one wave a box. Fields are (..., y, x), numpy arrays or torch tensors.
"""

import numpy as np
import torch

from .arrays import module


def zonal_spectrum(x, spacing: float):
    """k (n,) and P (..., n) of waves along x, the mean over the box's rows; ``spacing`` [m] is that of the columns."""
    xp, size = module(x), x.shape[-1]
    power = abs(xp.fft.rfft(_prepared(x))) ** 2
    k = np.fft.rfftfreq(size, spacing)
    sides = np.where(
        2 * np.arange(len(k)) == size, 1.0, 2.0
    )  # the shortest wave of an even box is its own mirror image
    return _like(x, k[1:]), (power * _like(x, sides)).mean(-2)[..., 1:] * spacing / size


def log_power_error(power, truth, wavenumber, bands):
    """E_b [dex], shape (..., b), for ``bands`` [(k0, k1), ...] in cycles/m, k0 ≤ k < k1; NaN in an empty band."""
    xp = module(power)
    error = xp.log10(power / truth)
    inside = [(wavenumber >= low) & (wavenumber < high) for low, high in bands]
    return xp.stack([xp.mean(error[..., b], -1) if b.any() else xp.nan * error[..., 0] for b in inside], -1)


def land_free_boxes(mask, size: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Disjoint boxes of ``size`` (rows, columns) without land in ``mask`` (y, x), taken greedily from the first row."""
    free = np.array(mask) > 0
    height, width = size
    boxes = []
    for j in range(free.shape[0] - height + 1):
        for i in range(free.shape[1] - width + 1):
            box = slice(j, j + height), slice(i, i + width)
            if free[box].all():
                free[box] = False
                boxes.append(box)
    return boxes


def _prepared(x):
    """``x`` less its least-squares line along x, times the window."""
    n = x.shape[-1]
    line, hann = (_like(x, v) for v in (np.linspace(-1, 1, n), np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2))
    trend = x.mean(-1, keepdims=True) + line * (x * line).mean(-1, keepdims=True) / (line**2).mean()
    return (x - trend) * hann / (hann**2).mean() ** 0.5


def _like(x, values):
    return torch.as_tensor(values, dtype=x.dtype, device=x.device) if isinstance(x, torch.Tensor) else values
