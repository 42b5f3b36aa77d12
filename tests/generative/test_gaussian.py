"""What is known before a network is asked, against dense matrices."""

import pytest
import torch

from ldm_ocean.generative.gaussian import Gaussian

TOKENS, CHANNELS, RANK, BATCH = 4, 3, 5, 3
SIZE = TOKENS * CHANNELS
SIGMA = torch.tensor([0.05, 0.7, 20.0])


def gaussian(seed: int = 0) -> Gaussian:
    rng = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(SIZE, RANK, generator=rng))[0].T
    variances = torch.rand(BATCH, RANK + 1, generator=rng) * 3 + 0.05
    return Gaussian(torch.randn(BATCH, TOKENS, CHANNELS, generator=rng), basis, variances)


def alike(mean: torch.Tensor, variance: float) -> Gaussian:
    """N(μ, variance · 1)."""
    return Gaussian(mean, mean.new_zeros(0, mean[0].numel()), mean.new_full((len(mean), 1), variance))


def dense(g: Gaussian) -> torch.Tensor:
    """C (B, D, D)."""
    inside = g.basis.T @ (g.variances[:, :-1, None] * g.basis)
    return inside + g.variances[:, -1, None, None] * (torch.eye(SIZE) - g.basis.T @ g.basis)


def times(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (matrix @ x.flatten(1)[..., None]).view_as(x)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def test_a_function_of_the_covariance_is_applied_to_its_eigenvalues():
    g, x = gaussian(), noise(BATCH, TOKENS, CHANNELS)
    c = dense(g)
    torch.testing.assert_close(g.apply(x, lambda v: v), times(c, x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(g.apply(x, lambda v: 1 / v), times(torch.linalg.inv(c), x), atol=1e-4, rtol=1e-4)


def test_several_vectors_of_a_sample_are_several_rows():
    g, rows = gaussian(), noise(BATCH, 2, SIZE)
    torch.testing.assert_close(g.apply(rows, lambda v: v), rows @ dense(g), atol=1e-5, rtol=1e-5)


def test_the_estimate_is_the_conditional_mean_of_a_joint_gaussian():
    g, z = gaussian(), noise(BATCH, TOKENS, CHANNELS)
    c = dense(g)
    gain = c @ torch.linalg.inv(c + SIGMA[:, None, None] ** 2 * torch.eye(SIZE))
    torch.testing.assert_close(g.estimate(z, SIGMA), g.mean + times(gain, z - g.mean), atol=1e-4, rtol=1e-4)


def test_the_weight_of_an_answer_is_the_root_of_the_conditional_covariance_and_doubt_is_its_mean():
    g, x = gaussian(), noise(BATCH, TOKENS, CHANNELS)
    c, s = dense(g), SIGMA[:, None, None] ** 2
    left = c - c @ torch.linalg.inv(c + s * torch.eye(SIZE)) @ c
    twice = g.weighted(g.weighted(x, SIGMA), SIGMA)
    torch.testing.assert_close(twice, times(left, x), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(g.doubt(SIGMA), left.diagonal(dim1=1, dim2=2).mean(1), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(g.answered(g.weighted(x, SIGMA), SIGMA), x, atol=1e-4, rtol=1e-4)


def test_noisy_draws_have_the_covariance_of_state_and_noise_together():
    g, one = gaussian(), torch.eye(SIZE).view(SIZE, 1, TOKENS, CHANNELS)
    for b in range(BATCH):
        own = Gaussian(g.mean[b : b + 1], g.basis, g.variances[b : b + 1])
        root = torch.cat([own.noisy(row, SIGMA[b : b + 1]) - own.mean for row in one]).flatten(1)
        expected = dense(g)[b] + SIGMA[b] ** 2 * torch.eye(SIZE)
        torch.testing.assert_close(root.T @ root, expected, atol=1e-4, rtol=1e-4)


def test_the_size_is_the_mean_variance_and_rows_are_taken_from_a_batch():
    g = gaussian()
    torch.testing.assert_close(g.size(), dense(g).diagonal(dim1=1, dim2=2).mean(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(g[1:].size(), g.size()[1:])


@pytest.mark.parametrize("variance", [0.25, 4.0])
def test_a_gaussian_alike_in_all_directions_needs_no_basis(variance):
    mean, z = noise(2, TOKENS, CHANNELS), torch.ones(2, TOKENS, CHANNELS)
    g = alike(mean, variance)
    expected = mean + variance / (variance + SIGMA[:2, None, None] ** 2) * (z - mean)
    torch.testing.assert_close(g.estimate(z, SIGMA[:2]), expected)
