"""A Gaussian in many dimensions: what is known of latents before a network is asked.

N(μ, C),    C = U diag(v) Uᵀ + v₀ (1 − U Uᵀ),    f(C) x = U f(v) Uᵀ x + f(v₀) (x − U Uᵀ x)

z_σ = z + σ n ~ N(μ, C + σ²)
E[z | z_σ] = μ + K (z_σ − μ),    K = C (C + σ²)⁻¹
Cov[z | z_σ] = L²,               L = σ √(C (C + σ²)⁻¹)
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """A batch: ``mean`` (B, N, C), ``basis`` Uᵀ (r, N·C), ``variances`` (B, r + 1), v and, last, v₀."""

    mean: Tensor
    basis: Tensor
    variances: Tensor

    def __getitem__(self, rows: slice) -> "Gaussian":
        return Gaussian(self.mean[rows], self.basis, self.variances[rows])

    def apply(self, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        """f(C) x, (B, N, C) or several a sample (B, K, N·C); ``f`` maps variances to as many factors."""
        flat, factors = x.reshape(len(x), -1, self.basis.shape[1]), f(self.variances)[:, None]
        rest = factors[..., -1:]
        return (rest * flat + ((factors[..., :-1] - rest) * (flat @ self.basis.T)) @ self.basis).view_as(x)

    def noisy(self, noise: Tensor, sigma: Tensor) -> Tensor:
        """A draw of z_σ from unit ``noise`` (B, N, C); σ (B,)."""
        return self.mean + self.apply(noise, lambda v: (v + _square(sigma)).sqrt())

    def estimate(self, z: Tensor, sigma: Tensor) -> Tensor:
        """E[z | z_σ] (B, N, C)."""
        return self.mean + self.apply(z - self.mean, lambda v: v / (v + _square(sigma)))

    def weighted(self, answer: Tensor, sigma: Tensor) -> Tensor:
        """L F (B, N, C): an answer of unit variance in the size of what is not known yet."""
        return self.apply(answer, lambda v: (v * _square(sigma) / (v + _square(sigma))).sqrt())

    def answered(self, difference: Tensor, sigma: Tensor) -> Tensor:
        """F (B, N, C) of L F, the inverse of ``weighted``."""
        return self.apply(difference, lambda v: ((v + _square(sigma)) / (v * _square(sigma))).sqrt())

    def doubt(self, sigma: Tensor) -> Tensor:
        """The mean of Cov[z | z_σ] over all latents, (B,)."""
        return self._mean_of(lambda v: v * _square(sigma) / (v + _square(sigma)))

    def size(self) -> Tensor:
        """The mean variance of all latents, (B,)."""
        return self._mean_of(lambda v: v)

    def _mean_of(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        values, (rank, count) = f(self.variances), self.basis.shape
        return (values[:, :-1].sum(1) + (count - rank) * values[:, -1]) / count


def _square(sigma: Tensor) -> Tensor:
    return sigma[:, None] ** 2
