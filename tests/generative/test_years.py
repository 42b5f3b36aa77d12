"""Mean years of settings and the weather about them."""

import numpy as np
import pytest
import torch

from ldm_ocean.generative.conditions import season_angle
from ldm_ocean.generative.years import decompose, harmonics, mean_year

from .test_prior import MARGIN, simulated


@pytest.mark.parametrize("states", [1, 2, 12, 48])
def test_mean_states_and_variability_add_up_and_stay_finite(states):
    z, _, s, names = simulated(4, states, 1.0)
    pooled, _ = mean_year(z, s)
    years, mean, rest = decompose(z, s, names, pooled)
    assert years.shape == (4, 5, 3, 2)
    assert torch.isfinite(mean).all() and torch.isfinite(rest).all()
    ratio = rest / (z - mean)
    assert (ratio.nan_to_num(1.5) >= 1).all() and (ratio.nan_to_num(1.5) <= 2 + MARGIN).all()


def test_the_variance_of_the_variability_is_unbiased():
    rng = torch.Generator().manual_seed(0)
    z, s = torch.randn(24 * 40, 3, 2, generator=rng), season_angle(torch.rand(24 * 40, generator=rng))
    _, _, rest = decompose(z, s, np.repeat(np.arange(40), 24), torch.zeros(5, 3, 2))
    assert float(rest.square().mean()) == pytest.approx(1.0, rel=0.03)


def test_a_season_of_two_harmonics_is_recovered_exactly_from_many_states():
    s = season_angle(torch.rand(20000, generator=torch.Generator().manual_seed(0)))
    b = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(1))
    z = torch.einsum("bk,kne->bne", harmonics(s), b)
    assert torch.allclose(mean_year(z, s)[0], b, atol=1e-2)
