"""Gaussian processes in closed form, and on laws that are known."""

import math

import numpy as np
import pytest
import torch

from ldm_ocean.generative.process import CONSTANT, GaussianProcess

SETTINGS, PARAMETERS, NUMBERS = 9, 2, 3


def process(seed: int = 0) -> GaussianProcess:
    rng = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=rng) + 0.3  # noqa: E731
    places = torch.randn(SETTINGS, PARAMETERS, generator=rng)
    values = torch.randn(SETTINGS, NUMBERS, generator=rng)
    return GaussianProcess(places, values, draw(NUMBERS, PARAMETERS), draw(NUMBERS), draw(NUMBERS), draw(NUMBERS))


def kernel(p: GaussianProcess, k: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One by one, as the formula says."""
    out = np.empty((len(a), len(b)))
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            d = math.sqrt(5) * np.sqrt((((x - y) / p.lengths[k].numpy()) ** 2).sum())
            out[i, j] = CONSTANT + float(p.slope[k]) * (x @ y) + (1 + d + d * d / 3) * math.exp(-d)
    return out


def kriged(p: GaussianProcess, k: int, known: np.ndarray, values: np.ndarray, at: np.ndarray):
    near = kernel(p, k, at, known)
    covariance = kernel(p, k, known, known) + float(p.nugget[k]) * np.eye(len(known))
    weights = near @ np.linalg.inv(covariance)
    own = kernel(p, k, at, at).diagonal() + float(p.nugget[k])
    return weights @ values, float(p.size[k]) * (own - (weights * near).sum(1))


def test_prediction_and_doubt_are_those_of_the_textbook():
    p, at = process(), np.random.default_rng(1).standard_normal((4, PARAMETERS))
    mean, variance = p(torch.from_numpy(at))
    for k in range(NUMBERS):
        expected = kriged(p, k, p.places.numpy(), p.values[:, k].numpy(), at)
        np.testing.assert_allclose(mean[:, k], expected[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance[:, k], expected[1], rtol=1e-4, atol=1e-5)


def test_a_left_out_setting_is_kriged_from_the_others_alone():
    p = process()
    error, variance = p.left_out()
    for s in range(SETTINGS):
        others = np.delete(np.arange(SETTINGS), s)
        for k in range(NUMBERS):
            at, known = p.places[s : s + 1].numpy(), p.places[others].numpy()
            mean, doubt = kriged(p, k, known, p.values[others, k].numpy(), at)
            assert float(error[s, k]) == pytest.approx(float(p.values[s, k]) - mean[0], abs=1e-4)
            assert float(variance[s, k]) == pytest.approx(doubt[0], rel=1e-3)


def law(c: torch.Tensor) -> torch.Tensor:
    """Of one parameter alone, of the other alone, of both."""
    return torch.stack([torch.sin(2 * c[:, 0]), c[:, 1] + 0.3 * c[:, 1] ** 2, c[:, 0] - c[:, 1]], 1)


def test_every_number_learns_which_parameter_it_follows():
    rng = torch.Generator().manual_seed(0)
    places = torch.randn(40, 2, generator=rng)
    fitted = GaussianProcess.fitted(places, law(places))
    assert fitted.lengths[0, 0] < 0.5 * fitted.lengths[0, 1] and fitted.lengths[1, 1] < fitted.lengths[1, 0]
    at = torch.randn(200, 2, generator=rng)
    error = (fitted(at)[0] - law(at)).square().mean(0) / law(at).var(0)
    assert error.max() < 0.05


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_the_doubt_is_as_large_as_the_error(noise):
    """Squares of errors over their variances are one on average, at left-out and at new settings."""
    ratios = []
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        places, at = torch.randn(24, 2, generator=rng), torch.randn(100, 2, generator=rng)
        fitted = GaussianProcess.fitted(places, law(places) + noise * torch.randn(24, 3, generator=rng))
        error, variance = fitted.left_out()
        assert float(error.square().sum() / variance.sum()) == pytest.approx(1, rel=1e-3)
        mean, doubt = fitted(at)
        departure = mean - law(at) - noise * torch.randn(100, 3, generator=rng)
        ratios.append(float((departure.square() / doubt).median() / 0.455))  # of χ² of one degree of freedom
    assert 0.5 < np.median(ratios) < 2


def test_numbers_in_other_units_are_predicted_alike():
    rng = torch.Generator().manual_seed(0)
    places, at = torch.randn(12, 2, generator=rng), torch.randn(5, 2, generator=rng)
    one, many = GaussianProcess.fitted(places, law(places)), GaussianProcess.fitted(places, 1000 * law(places))
    torch.testing.assert_close(1000 * one(at)[0], many(at)[0], rtol=1e-2, atol=1)
    torch.testing.assert_close(1e6 * one(at)[1], many(at)[1], rtol=3e-2, atol=1)


def test_nothing_to_predict_is_predicted():
    fitted = GaussianProcess.fitted(torch.zeros(1, 2), torch.zeros(1, 0))
    assert all(x.shape == (3, 0) for x in fitted(torch.randn(3, 2)))
