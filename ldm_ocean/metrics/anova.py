"""Where the variance of many settings' states lies: between settings, in the season, in the weather.

    x_i = m_s(i) + a cos 2πt_i + b sin 2πt_i + w_i        state i of setting s(i), at t_i of the year; least squares

    between   B = ⟨(m' − ⟨m'⟩)(m'' − ⟨m''⟩)⟩               ⟨·⟩ over settings
    season    A = (a'a'' + b'b'')/2
    weather   W = Σ w_i² / N + ⟨(m' − m'')²⟩/4 + ((a' − a'')² + (b' − b'')²)/8

Primes are the fits to the first and to the second half of every setting's states (split halves: Spearman 1910). What
finitely many states feign has nothing in common in two halves, so B and A are unbiased, and what does not enter them W
has. A part that is next to nothing may come out below zero. Only weather that lasts from one half into the other stays
in B: of the variance of AR(1) weather with correlation r from state to state (1 − 1/S) r (1 − rʰ)² / (h (1 − r))², for
S settings of 2h states.

The cycle is that of all settings; what a setting's own season adds counts as weather.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import UserError


@dataclass(frozen=True)
class Anova:
    """Of cells (...): variances [unit²].

    ``means`` (S, ...) are those of the settings over the year, in the order of their names; ``anomalies`` (N, ...) the
    w_i, what is left of the states.
    """

    between: np.ndarray
    season: np.ndarray
    weather: np.ndarray
    means: np.ndarray
    anomalies: np.ndarray

    def over(self, weights: np.ndarray) -> dict[str, float]:
        """Weighted means of the three variances [unit²], and ``total``, their sum; ``weights`` (...), 0 on land."""
        wet = weights > 0  # elsewhere anything may stand
        parts = {
            k: float((getattr(self, k)[wet] * weights[wet]).sum() / weights[wet].sum())
            for k in ("between", "season", "weather")
        }
        return parts | {"total": sum(parts.values())}


def anova(states: np.ndarray, settings: np.ndarray, season: np.ndarray) -> Anova:
    """Of states (N, ...), those of each of the named ``settings`` (N,) in the order of time; ``season`` (N,), 0 to 1.

    Where all seasons are equal there is no cycle. UserError where the states are too few to tell the parts apart.
    """
    names, place = np.unique(settings, return_inverse=True)
    count, cells = len(names), states.shape[1:]
    x, design = states.reshape(len(states), -1).astype("float64"), _design(place, np.asarray(season, float))
    late = np.zeros(len(x), bool)
    for s in range(count):
        own = np.flatnonzero(place == s)
        late[own[len(own) // 2 :]] = True
    whole, first, second = (_fit(x[own], design[own]) for own in (slice(None), ~late, late))
    anomalies = x - design @ whole
    one, two = (half[:count] - half[:count].mean(0) for half in (first, second))
    apart = (first - second) ** 2 / 4
    parts = {
        "between": (one * two).mean(0),
        "season": (first * second)[count:].sum(0) / 2,
        "weather": (anomalies**2).mean(0) + apart[:count].mean(0) + apart[count:].sum(0) / 2,
        "means": whole[:count],
        "anomalies": anomalies,
    }
    return Anova(**{k: v.reshape(*v.shape[:-1], *cells) for k, v in parts.items()})


def gram(anomalies: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted products (N, N) of anomalies (N, ...) over cells, of trace 1, so that variables add up as equals; 0
    where nothing varies."""
    wet = weights > 0
    rows = anomalies[:, wet] * np.sqrt(weights[wet])
    products = rows @ rows.T
    return products / max(np.trace(products), np.finfo(float).tiny)


def eofs_holding(products: np.ndarray, share: float = 0.9) -> int:
    """How many EOFs hold at least ``share`` of the variance, given the anomalies' products (N, N)."""
    values = np.maximum(np.linalg.eigvalsh(products)[::-1], 0)
    return int(np.searchsorted(np.cumsum(values), share * values.sum() * (1 - 1e-12)) + 1)


def _design(place, season):
    """A column for each setting, and one each for cosine and sine where there is a season."""
    columns = [place[:, None] == np.unique(place)]
    if np.ptp(season) > 0:
        columns += [f(2 * np.pi * season)[:, None] for f in (np.cos, np.sin)]
    return np.concatenate(columns, 1).astype(float)


def _fit(x, design):
    q, r = np.linalg.qr(design)
    if r.shape[0] < r.shape[1] or (abs(np.diag(r)) < 1e-6).any():
        raise UserError(f"{len(x)} states do not tell {r.shape[1]} unknowns of settings and season apart: give more")
    return np.linalg.solve(r, q.T @ x)
