"""Power spectra in boxes without land, and how far a field's power reaches.

    P(k)     one-sided power density, ∫ P dk = variance of the detrended field      [unit² m] over k [cycles/m]
    error    E_b = ⟨log10 P / P_true⟩ over the wavenumbers of band b                [dex], negative where power lacks
    reach    λ_eff = 1/k of the last wavenumber before P first falls below P_true/2 [m]    (after Skamarock 2004)

A straight line or plane is removed and a Hann window of unit mean square applied; the mean is no part of a spectrum, so
k begins at one wave a box. Fields are (..., y, x), numpy arrays or torch tensors.
"""

import numpy as np
import torch

from .arrays import module


def zonal_spectrum(x, spacing: float):
    """k (n,) and P (..., n) of waves along x, the mean over the box's rows; ``spacing`` [m] is that of the columns."""
    xp, size = module(x), x.shape[-1]
    power = abs(xp.fft.rfft(_prepared(x, (-1,)))) ** 2
    k = np.fft.rfftfreq(size, spacing)
    sides = np.where(
        2 * np.arange(len(k)) == size, 1.0, 2.0
    )  # the shortest wave of an even box is its own mirror image
    return _like(x, k[1:]), (power * _like(x, sides)).mean(-2)[..., 1:] * spacing / size


def radial_spectrum(x, spacing: tuple[float, float]):
    """k (n,) and P (..., n) over |k|, in rings as wide as one wave along the shorter side.

    ``spacing`` [m] is that of rows and columns. The rings end at the lower of the two Nyquist wavenumbers: the shorter
    waves in the corners of the plane are left out.
    """
    xp, size = module(x), x.shape[-2:]
    power = abs(xp.fft.fft2(_prepared(x, (-2, -1)))) ** 2 / (size[0] * size[1]) ** 2
    ky, kx = (np.fft.fftfreq(n, d) for n, d in zip(size, spacing, strict=True))
    width = 1 / min(n * d for n, d in zip(size, spacing, strict=True))
    rings = np.arange(1, int(min(abs(ky).max(), abs(kx).max()) / width + 1e-9) + 1)
    member = np.rint(np.hypot(ky[:, None], kx) / width)[..., None] == rings
    return _like(x, width * rings), power.reshape(*x.shape[:-2], -1) @ _like(x, member.reshape(-1, len(rings))) / width


def log_power_error(power, truth, wavenumber, bands):
    """E_b [dex], shape (..., b), for ``bands`` [(k0, k1), ...] in cycles/m, k0 ≤ k < k1; NaN in an empty band."""
    xp = module(power)
    error = xp.log10(power / truth)
    inside = [(wavenumber >= low) & (wavenumber < high) for low, high in bands]
    return xp.stack([xp.mean(error[..., b], -1) if b.any() else xp.nan * error[..., 0] for b in inside], -1)


def effective_resolution(power, truth, wavenumber):
    """λ_eff [m], shape (...); infinite where power is lost from the longest wave on."""
    xp = module(power)
    kept = xp.cumprod(1 * (2 * power >= truth), -1).sum(-1)
    return xp.concatenate((xp.full_like(wavenumber[:1], xp.inf), 1 / wavenumber))[kept]


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


def _prepared(x, axes: tuple[int, ...]):
    """``x`` less its least-squares line or plane over the last ``axes``, times the window."""
    trend, window = x.mean(axes, keepdims=True), 1.0
    for axis in axes:
        n = x.shape[axis]
        line, hann = (
            _like(x, values.reshape(-1, *[1] * (-axis - 1)))
            for values in (np.linspace(-1, 1, n), np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2)
        )
        trend = trend + line * (x * line).mean(axes, keepdims=True) / (line**2).mean()
        window = window * hann / (hann**2).mean() ** 0.5
    return (x - trend) * window


def _like(x, values):
    return torch.as_tensor(values, dtype=x.dtype, device=x.device) if isinstance(x, torch.Tensor) else values
