"""The mean state for given parameters, and how far the training settings leave it open.

    m(c, t) = h(t)ᵀ b(c),    b(c) = b̄ + Σ_k a_k(c) d_k,    a_k(c) ~ N(â_k(c), v_k(c))

b̄ is the mean over the training settings of their mean years (``years``), d_k the principal directions in which these
differ. Their coefficients follow the parameters by a Gaussian process each (``process``). Every member of an ensemble
draws its own a = â + √v ξ, ξ ~ N(0, 1): together they span the mean years that the training settings allow.

An earlier state x of the same setting, of season t', tells of its mean state. With y the coefficients of its departure
x − h(t')ᵀ b̂(c) in the directions h(t')ᵀ d_k,

    â_k → â_k + g_k y_k,      v_k → q_k v_k

where the gains g and the shares q that stay in doubt are those of left-out training settings: g is small where a state
on its way tells little of where it goes. Its present mean state has the coefficients â + s y, where s is what of y is
mean state and not weather: the gain that equilibrium states of other settings have for their own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .process import GaussianProcess
from .years import decompose, harmonics, mean_year, seasonal

HALF = (1.0, 0.5, 0.5, 0.5, 0.5)  # mean square of the harmonics over the year
RIDGE = 0.05  # directions differ over the year more than at one season
STEADY = 5.0  # earlier states that a gain of zero counts for


class Earlier(NamedTuple):
    """Earlier states (B, N, C), and their seasons (B, 2)."""

    latents: Tensor
    season: Tensor


class Prior(nn.Module):
    """Mean states of N × C latents for P parameters, from S settings in K directions.

    ``middle`` b̄ (5, N, C), ``directions`` d (K, 5, N, C), ``pooled`` (5, N, C) the year of all settings' states,
    ``gain`` and ``doubt`` (K,) g and q, which are 0 and 1 where no earlier state was seen, ``shown`` (K,) s.
    """

    middle: Tensor
    directions: Tensor
    pooled: Tensor
    gain: Tensor
    doubt: Tensor
    shown: Tensor

    def __init__(self, process: GaussianProcess, **tensors: Tensor):
        super().__init__()
        self.process = process
        for name in ("middle", "directions", "pooled", "gain", "doubt", "shown"):
            self.register_buffer(name, tensors[name].float())

    @classmethod
    @torch.no_grad()
    def fitted(cls, z: Tensor, parameters: Tensor, season: Tensor, setting: np.ndarray) -> "Prior":
        """To training latents (M, N, C), their scaled parameters and seasons; ``setting`` (M,) names that of each."""
        pooled, _ = mean_year(z, season)
        years, _, _ = decompose(z, season, setting, pooled)
        _, first = np.unique(setting, return_index=True)
        middle = years.mean(0)
        coefficients, directions = principal(years - middle)
        process = GaussianProcess.fitted(parameters[torch.from_numpy(first)], coefficients)
        nothing = torch.zeros(len(directions))
        tensors = {"gain": nothing, "doubt": nothing + 1, "shown": nothing + 1}
        prior = cls(process, middle=middle, directions=directions, pooled=pooled, **tensors)
        prior._learn_what_is_shown(z, parameters, season, setting)
        return prior

    @torch.no_grad()
    def learn_from_earlier(self, earlier: Earlier, setting: np.ndarray) -> None:
        """Gains and doubt from earlier states of the training settings; ``setting`` (n,) counts these by name."""
        s = torch.from_numpy(setting)
        error, _ = self.process.left_out()  # of â_k, which is to be told by y_k
        a, y = error[s], self._seen(earlier, (self.process.values - error)[s])
        self.gain = _gain(y, a)
        self.doubt = ((a - self.gain * y).square().mean(0) / a.square().mean(0).clamp_min(1e-12)).clamp(0, 1)

    def _learn_what_is_shown(self, z: Tensor, parameters: Tensor, season: Tensor, setting: np.ndarray) -> None:
        """As the equilibrium states of each setting's nearest neighbour, seen about that setting's own prediction, show
        the neighbour's coefficients: that is where short runs begin."""
        names, first = np.unique(setting, return_index=True)
        places = parameters[torch.from_numpy(first)]
        nearest = (torch.cdist(places, places) + torch.diag(torch.full((len(names),), torch.inf))).argmin(1)
        rows = [np.flatnonzero(setting == names[n]) for n in nearest]
        own = torch.arange(len(names)).repeat_interleave(torch.tensor([len(r) for r in rows]))
        states = torch.from_numpy(np.concatenate(rows))
        error, _ = self.process.left_out()
        predicted = (self.process.values - error)[own]
        y = self._seen(Earlier(z[states], season[states]), predicted)
        self.shown = _gain(y, self.process.values[nearest[own]] - predicted)

    @property
    def knows_earlier(self) -> bool:
        return bool((self.gain != 0).any())

    def forward(
        self, parameters: Tensor, season: Tensor, xi: Tensor | None = None, earlier: Earlier | None = None
    ) -> Tensor:
        """h(t)ᵀ b(c) (B, N, C) of scaled parameters (B, P), season (B, 2), ξ (B, K), or none for the most likely."""
        drawn = self.drawn(parameters, season, earlier)
        return drawn(parameters.new_zeros(len(parameters), len(self.directions)) if xi is None else xi)

    def drawn(self, parameters: Tensor, season: Tensor, earlier: Earlier | None = None) -> Callable[..., Tensor]:
        """ξ (B, K) → h(t)ᵀ b(c) (B, N, C), and (ξ, rows) → that of some rows of the batch.

        ``earlier`` holds one state for all, or one for each of the batch.
        """
        a, variance = self.process(parameters)
        if earlier is not None:
            a, variance = a + self.gain * self._seen(earlier, a[: len(earlier.latents)]), variance * self.doubt
        spread = variance.sqrt()
        return lambda xi, rows=slice(None): self._state(a[rows] + spread[rows] * xi, season[rows])

    def settling(self, parameters: Tensor, earlier: Earlier, xi: Tensor | None = None) -> Tensor:
        """h(t')ᵀ Σ_k (a_k − â_k − s_k y_k) d_k (B, N, C): from the present mean state of earlier states to the one
        that they go to, for ξ (B, K), or none for the most likely."""
        a, variance = self.process(parameters)
        change = (self.gain - self.shown) * self._seen(earlier, a)
        if xi is not None:
            change = change + (variance * self.doubt).sqrt() * xi
        return seasonal(torch.einsum("bk,khne->bhne", change, self.directions), earlier.season)

    def left_out(self) -> Tensor:
        """The mean year of each setting (S, 5, N, C), in the order of their names, as the other settings predict it."""
        error, _ = self.process.left_out()
        return self.middle + torch.einsum("sk,khne->shne", self.process.values - error, self.directions)

    def _state(self, a: Tensor, season: Tensor) -> Tensor:
        years = self.middle + torch.einsum("bk,khne->bhne", a, self.directions)
        return seasonal(years, season)

    def _seen(self, earlier: Earlier, predicted: Tensor) -> Tensor:
        """y (B, K) of earlier states about those of coefficients ``predicted`` (B, K)."""
        departures = (earlier.latents - self._state(predicted, earlier.season)).flatten(1)
        rows = []
        for x, h in zip(departures, harmonics(earlier.season), strict=True):  # one by one: directions are large
            d = torch.einsum("h,khne->kne", h, self.directions).flatten(1)
            rows.append(torch.linalg.solve(d @ d.T + RIDGE * torch.eye(len(d)).to(d), d @ x))
        return torch.stack(rows)


def _gain(y: Tensor, a: Tensor) -> Tensor:
    """(K,) of regression of a (n, K) on y (n, K), each on its own."""
    return (y * a).sum(0) / (y.square().sum(0) * (1 + STEADY / len(y))).clamp_min(1e-12)


def principal(years: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (S, S − 1) and directions (S − 1, 5, N, C) of departures (S, 5, N, C) from the settings' mean.

    Directions are orthonormal in the mean square over the year.
    """
    weight = torch.tensor(HALF).to(years).sqrt()[:, None, None]
    left, size, right = torch.linalg.svd((years * weight).flatten(1).double(), full_matrices=False)
    keep = slice(max(len(years) - 1, 0))
    directions = right[keep].view(-1, *years.shape[1:]) / weight
    return (left * size)[:, keep].float(), directions.float()
