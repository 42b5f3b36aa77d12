"""The covariance of internal variability: how latents vary about the mean state of their setting.

    r ~ N(0, a(c) C),    C = U diag(v) Uᵀ + v₀ (1 − U Uᵀ),    ln a(c) = β · c

U are the principal directions of the training settings' weather, all of them up to ``RANK``. The variance of training
weather along its own directions is too large in the first and too small in the last; v_k is that of *left-out* settings
along the k-th direction of the others (cross-validated eigenvalues; Bartz 2016, arXiv 1611.00798), made to fall with k
by isotonic regression, and v₀ what lies outside all directions. The amplitude a is that of the whole, regressed on the
parameters.
"""

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor, nn

RANK = 512
FOLDS = 8
STEADY = 1.0  # settings that an amplitude without slope counts for
LEAST = 1e-4  # of v: latents have unit variance


class Weather(nn.Module):
    """``basis`` Uᵀ (r, N·C), ``variances`` (r + 1,) v and v₀, ``slopes`` β (P,), ``limits`` (2,) of β · c."""

    basis: Tensor
    variances: Tensor
    slopes: Tensor
    limits: Tensor

    def __init__(self, basis: Tensor, variances: Tensor, slopes: Tensor, limits: Tensor):
        super().__init__()
        for name, tensor in {"basis": basis, "variances": variances, "slopes": slopes, "limits": limits}.items():
            self.register_buffer(name, tensor.float())

    @classmethod
    @torch.no_grad()
    def fitted(cls, rest: Tensor, parameters: Tensor, setting: np.ndarray) -> "Weather":
        """To weather (M, N, C) at scaled parameters (M, P); ``setting`` (M,) names that of each state."""
        _, first, place = np.unique(setting, return_index=True, return_inverse=True)
        slopes, level = _amplitude(rest, parameters[torch.from_numpy(first)].double(), torch.from_numpy(place))
        scaled = rest.flatten(1) / (0.5 * level[torch.from_numpy(place)]).exp().float()[:, None]
        groups = place if len(first) > 1 else np.arange(len(rest)) * FOLDS // len(rest)
        basis, variances = _covariance(scaled, groups)
        return cls(basis, variances, slopes, torch.stack([level.min(), level.max()]))

    def forward(self, parameters: Tensor) -> Tensor:
        """a(c) (v, v₀), (B, r + 1), of scaled parameters (B, P); outside the training range a stays as at its edge."""
        level = (parameters @ self.slopes).clamp(*self.limits)
        return level.exp()[:, None] * self.variances


def _amplitude(rest: Tensor, places: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """β (P,), and β · c (S,) of the settings, by ridge regression of the logarithm of their mean square."""
    square = rest.square().flatten(1).mean(1).double()
    own = torch.zeros(len(places)).double().index_add_(0, place, square) / torch.bincount(place)
    departure = own.clamp_min(LEAST).log() - own.clamp_min(LEAST).log().mean()
    centred = places - places.mean(0)
    slopes = torch.linalg.solve(centred.T @ centred + STEADY * torch.eye(places.shape[1]), centred.T @ departure)
    return slopes, places @ slopes


def _covariance(x: Tensor, groups: np.ndarray) -> tuple[Tensor, Tensor]:
    """Uᵀ (r, D) and variances (r + 1,) of rows (M, D), all by their Gram matrix; ``groups`` (M,) are left out."""
    gram = (x @ x.T).double()
    names = np.unique(groups)
    found = [_left_out(gram, np.isin(groups, names[f::FOLDS])) for f in range(min(FOLDS, len(names)))]
    vectors, values = _principal(gram)
    rank = min(RANK, len(values), *(len(along) for along, _ in found)) if len(names) > 1 else 0
    along = torch.stack([along[:rank] for along, _ in found]).mean(0).numpy()
    total = float(gram.diagonal().mean()) if rank == 0 else float(np.mean([total for _, total in found]))
    rest = (total - along.sum()) / max(x.shape[1] - rank, 1)
    falling = isotonic_regression(along, increasing=False).x if rank else along
    basis = (vectors[:, :rank] / values[:rank].sqrt()).T.float() @ x
    return basis, torch.from_numpy(np.append(falling, rest)).clamp_min(LEAST)


def _left_out(gram: Tensor, out: np.ndarray) -> tuple[Tensor, float]:
    """Variance of the rows ``out`` along the principal directions of the others, and in all directions."""
    own, others = torch.from_numpy(out), torch.from_numpy(~out)
    vectors, values = _principal(gram[others][:, others])
    along = gram[own][:, others] @ vectors / values.sqrt()
    return along.square().mean(0), float(gram.diagonal()[own].mean())


def _principal(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors (M, r) and eigenvalues (r,) of a Gram matrix, the largest first, without those of rounding."""
    values, vectors = torch.linalg.eigh(gram)
    keep = (values > 1e-6 * values.sum().clamp_min(1e-30)).sum()
    return vectors.flip(1)[:, :keep], values.flip(0)[:keep]
