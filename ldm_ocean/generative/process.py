"""Gaussian processes over the physical parameters, one for each of K numbers of a setting.

    y_k(c) ~ GP(0, s_k² k_k),    k_k(c, c') = α + τ_k² c·c' + (1 + √5 d + 5d²/3) e^(−√5 d) + ν_k δ(c, c')
    d² = Σ_p (c_p − c'_p)²/ℓ_kp²                                    (Matérn 5/2; Rasmussen & Williams 2006, chapter 4)

    ŷ(c) = k(c)ᵀ K⁻¹ y,      v(c) = s² (k(c, c) − k(c)ᵀ K⁻¹ k(c))
    left out:   y_i − ŷ_−i = (K⁻¹y)_i/(K⁻¹)_ii,     v_−i = s²/(K⁻¹)_ii                                  (ibid., 5.4.2)

Every number has a length for every parameter, a slope τ, a size s and a nugget ν of its own: where the marginal
likelihood, with a weak prior for each, is largest. The sizes are then scaled together until left-out settings depart
from their prediction by as much as it says.
"""

import math

import torch
from torch import Tensor, nn

CONSTANT = 10.0  # α: little is known of the mean over all settings
LENGTH = math.log(3.0), 0.5  # mean and spread of ln ℓ, in standard deviations of the training parameters
NUGGET = -2.0, 1.5  # of ln ν
SLOPE = 0.0, 3.0  # of ln τ²
SIZE = 0.0, 1.5  # of ln s², of numbers of unit variance
FAR = 4.0  # spreads from the mean: no hyperparameter goes there
ITERATIONS = 80


class GaussianProcess(nn.Module):
    """``places`` (S, P) scaled parameters of the settings, ``values`` (S, K), ``lengths`` (K, P), ``slope`` τ²,
    ``size`` s², ``nugget`` ν (K,)."""

    places: Tensor
    values: Tensor
    lengths: Tensor
    slope: Tensor
    size: Tensor
    nugget: Tensor

    def __init__(self, places: Tensor, values: Tensor, lengths: Tensor, slope: Tensor, size: Tensor, nugget: Tensor):
        super().__init__()
        given = {"places": places, "values": values, "lengths": lengths, "slope": slope, "size": size, "nugget": nugget}
        for name, tensor in given.items():
            self.register_buffer(name, tensor.float())

    @classmethod
    def fitted(cls, places: Tensor, values: Tensor) -> "GaussianProcess":
        """To ``values`` (S, K) at ``places`` (S, P)."""
        unit = values.double().square().mean(0).sqrt().clamp_min(1e-12)
        found = _most_likely(places.double(), values.double() / unit)
        process = cls(places, values, found["lengths"], found["slope"], found["size"] * unit**2, found["nugget"])
        if len(places) > 1 and values.shape[1]:
            error, variance = process.left_out()
            process.size *= (error.square().sum() / variance.sum()).clamp_min(1e-12)
        return process

    def forward(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """ŷ and v (B, K) at scaled parameters (B, P)."""
        c, known = c.double(), self.places.double()
        near = _kernel(c, known, self.lengths.double(), self.slope.double())  # (K, B, S)
        weights = near @ self.inverse()
        alike = CONSTANT + self.slope.double()[:, None] * c.square().sum(-1) + 1 + self.nugget.double()[:, None]
        mean = torch.einsum("kbs,sk->bk", weights, self.values.double())
        variance = self.size.double() * (alike - (weights * near).sum(-1)).clamp_min(0).T
        return mean.float(), variance.float()

    def left_out(self) -> tuple[Tensor, Tensor]:
        """y_i − ŷ_−i and v_−i (S, K): what each setting departs by from the prediction of the others, and should."""
        inverse = self.inverse()
        diagonal = inverse.diagonal(dim1=1, dim2=2)
        error = torch.einsum("kst,tk->ks", inverse, self.values.double()) / diagonal
        return error.T.float(), (self.size.double()[:, None] / diagonal).T.float()

    def inverse(self) -> Tensor:
        """K⁻¹ (K, S, S) of each number, in double precision."""
        known = self.places.double()
        return torch.linalg.inv(_covariance(known, self.lengths.double(), self.slope.double(), self.nugget.double()))


def _kernel(a: Tensor, b: Tensor, lengths: Tensor, slope: Tensor) -> Tensor:
    """k (K, A, B) of scaled parameters (A, P), (B, P) without the nugget, in units of s²."""
    far = ((a[:, None] - b) / lengths[:, None, None]).square().sum(-1).clamp_min(1e-24)  # keeps its root smooth
    d = math.sqrt(5) * far.sqrt()
    return CONSTANT + slope[:, None, None] * (a @ b.T) + (1 + d + d * d / 3) * torch.exp(-d)


def _covariance(places: Tensor, lengths: Tensor, slope: Tensor, nugget: Tensor) -> Tensor:
    return _kernel(places, places, lengths, slope) + nugget[:, None, None] * torch.eye(len(places)).to(places)


def _most_likely(places: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Hyperparameters of the largest posterior density for ``y`` (S, K) of unit variance."""
    priors = {"lengths": LENGTH, "slope": SLOPE, "size": SIZE, "nugget": NUGGET}
    shapes = {k: (y.shape[1], places.shape[1]) if k == "lengths" else (y.shape[1],) for k in priors}
    log = {k: torch.full(shapes[k], priors[k][0]).to(y).requires_grad_() for k in priors}

    def bounded() -> dict[str, Tensor]:  # a long step of the search would leave a matrix that is not positive
        return {k: log[k].clamp(m - FAR * s, m + FAR * s) for k, (m, s) in priors.items()}

    if y.shape[1]:
        search = torch.optim.LBFGS(list(log.values()), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def misfit() -> Tensor:
            search.zero_grad()
            at = {k: v.exp() for k, v in bounded().items()}
            covariance = _covariance(places, at["lengths"], at["slope"], at["nugget"]) * at["size"][:, None, None]
            root = torch.linalg.cholesky(covariance)
            white = torch.linalg.solve_triangular(root, y.T[..., None], upper=False)
            total = 0.5 * white.square().sum() + root.diagonal(dim1=1, dim2=2).log().sum()
            total = total + sum(0.5 * ((log[k] - m) / s).square().sum() for k, (m, s) in priors.items())
            total.backward()
            return total

        with torch.enable_grad():
            search.step(misfit)
    return {k: v.detach().exp() for k, v in bounded().items()}
