import numpy as np
import pytest
import torch

from ldm_ocean.generative.conditions import season_angle
from ldm_ocean.generative.prior import Earlier, Prior
from ldm_ocean.generative.years import mean_year, seasonal

MARGIN = 1e-5


def law(p: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """A smooth ocean: 3 × 2 latents of two parameters and the season."""
    value = 1 + p[:, 0] - 0.5 * torch.sin(p[:, 1]) + 0.3 * s[:, 1]
    return value[:, None, None] * torch.ones(1, 3, 2)


def simulated(settings: int, states: int, noise: float, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    p = torch.randn(settings, 2, generator=rng).repeat_interleave(states, 0)
    s = season_angle(torch.rand(len(p), generator=rng))
    z = law(p, s) + noise * torch.randn(len(p), 3, 2, generator=rng)
    return z, p, s, np.repeat([f"s{i:03d}" for i in range(settings)], states)


def test_the_prior_recovers_a_smooth_law_of_the_parameters_on_unseen_settings():
    z, p, s, names = simulated(30, 24, 0.0)
    prior = Prior.fitted(z, p, s, names)
    left_out = seasonal(prior.left_out().repeat_interleave(24, 0), s)
    assert float((left_out - z).square().mean() / z.var()) < 0.05
    _, p, s, _ = simulated(12, 1, 0.0, seed=1)
    assert float((prior(p, s) - law(p, s)).abs().median()) < 0.1


def test_mean_years_vary_as_much_as_they_err_at_unseen_settings():
    ratios = []
    for seed in range(6):
        prior = Prior.fitted(*simulated(12, 24, 0.3, seed))
        _, p, s, _ = simulated(40, 1, 0.0, seed + 100)
        error = prior(p, s) - law(p, s)
        drawn = torch.stack([prior(p, s, torch.randn(40, 11)) for _ in range(40)])
        ratios.append(float(drawn.std(0).square().mean() / error.square().mean()))
    assert 0.4 < np.median(ratios) < 2.5


def test_a_setting_s_own_departure_from_the_law_is_part_of_the_doubt():
    rng = torch.Generator().manual_seed(2)
    _, p, s, names = simulated(40, 12, 0.0)
    departure = 0.5 * torch.randn(40, 3, 2, generator=rng).repeat_interleave(12, 0)
    prior = Prior.fitted(departure, p, s, names)
    _, p, s, _ = simulated(20, 1, 0.0, seed=1)
    drawn = torch.stack([prior(p, s, torch.randn(20, len(prior.directions), generator=rng)) for _ in range(60)])
    assert float(drawn.std(0).square().mean().sqrt()) == pytest.approx(0.5, rel=0.2)


def test_a_left_out_setting_is_not_known_from_itself():
    """Settings that have nothing to do with their parameters are told by the others' mean, at best."""
    rng = torch.Generator().manual_seed(2)
    _, p, s, names = simulated(40, 12, 0.0)
    years = torch.randn(40, 3, 2, generator=rng)
    prior = Prior.fitted(years.repeat_interleave(12, 0), p, s, names)
    others = (years.sum(0) - years) / 39
    error = float((prior.left_out()[:, 0] - years).square().mean() / (others - years).square().mean())
    assert 0.9 < error < 1.4


def test_the_mean_year_of_a_known_setting_is_nearly_its_own_and_doubt_grows_away_from_it():
    z, p, s, names = simulated(12, 24, 0.1)
    prior = Prior.fitted(z, p, s, names)
    assert float((prior(p[:1], s[:1]) - law(p[:1], s[:1])).abs().max()) < 0.3
    xi = torch.ones(1, 11)
    spread = [float((prior(p[:1] + far, s[:1]) - prior(p[:1] + far, s[:1], xi)).abs().max()) for far in (0, 5)]
    assert spread[0] < spread[1]


def test_one_setting_has_one_mean_year_whatever_is_asked():
    z, p, s, names = simulated(1, 24, 0.1)
    prior = Prior.fitted(z, p, s, names)
    drawn = prior(p[:4] + 3, s[:4], torch.randn(4, 0))
    own, _ = mean_year(z, s, prior.pooled)
    assert torch.allclose(drawn, seasonal(own.expand(4, -1, -1, -1), s[:4]), atol=MARGIN)


def test_directions_are_orthonormal_in_the_mean_square_over_the_year():
    prior = Prior.fitted(*simulated(8, 24, 0.3))
    year = season_angle(torch.arange(360) / 360)
    states = torch.stack([seasonal(d, year).flatten(1) for d in prior.directions])
    products = torch.einsum("ate,bte->ab", states, states) / 360
    torch.testing.assert_close(products, torch.eye(7), atol=1e-4, rtol=0)


def on_the_way(settings: int, share: float, noise: float, seed: int):
    """Settings whose departure from the law nothing tells but states that have gone ``share`` of it."""
    rng = torch.Generator().manual_seed(seed)
    z, p, s, names = simulated(settings, 12, 0.0, seed)
    departure = torch.randn(settings, 3, 2, generator=rng)
    first = torch.arange(settings).repeat_interleave(3) * 12
    season = season_angle(torch.rand(len(first), generator=rng))
    earlier = law(p[first], season) + share * departure.repeat_interleave(3, 0)
    earlier = earlier + noise * torch.randn(earlier.shape, generator=rng)
    return z + departure.repeat_interleave(12, 0), p, s, names, Earlier(earlier, season)


def test_an_earlier_state_that_has_arrived_tells_the_mean_state_and_one_that_has_not_begun_tells_nothing():
    errors, doubts = {}, {}
    for share in (0.0, 1.0):
        z, p, s, names, earlier = on_the_way(40, share, 0.05, 0)
        prior = Prior.fitted(z, p, s, names)
        prior.learn_from_earlier(earlier, np.arange(40).repeat(3))
        z, p, s, _, earlier = on_the_way(20, share, 0.05, 1)
        ask = Earlier(earlier.latents[::3], earlier.season[::3])
        error = [(prior(p[::12], s[::12], None, e) - z[::12]).square().mean() for e in (None, ask)]
        errors[share] = float(error[1] / error[0])
        xi, own = torch.ones(1, len(prior.directions)), (p[:1], s[:1])
        spread = [prior(*own, xi, e) - prior(*own, None, e) for e in (None, at(ask, 0))]
        doubts[share] = float(spread[1].square().sum() / spread[0].square().sum())
    assert errors[1.0] < 0.3 and 0.8 < errors[0.0] < 1.2
    assert doubts[1.0] < 0.5 and doubts[0.0] > 0.8


def at(earlier: Earlier, row: int) -> Earlier:
    return Earlier(earlier.latents[row : row + 1], earlier.season[row : row + 1])


def test_one_earlier_state_serves_all_members():
    z, p, s, names, earlier = on_the_way(10, 1.0, 0.05, 0)
    prior = Prior.fitted(z, p, s, names)
    assert not prior.knows_earlier
    prior.learn_from_earlier(earlier, np.arange(10).repeat(3))
    assert prior.knows_earlier
    one = at(earlier, 4)
    many = Earlier(one.latents.expand(3, -1, -1), one.season.expand(3, -1))
    asked = p[12:13].expand(3, -1), s[12:13].expand(3, -1)
    torch.testing.assert_close(prior(*asked, None, one), prior(*asked, None, many))


def test_states_on_their_way_are_moved_to_the_mean_state_of_what_is_asked_and_keep_their_weather():
    z, p, s, names = simulated(30, 24, 0.05)
    prior = Prior.fitted(z, p, s, names)
    asked, here = p[::24][:20], s[::24][:20]
    other = law(asked + 0.5, here) + 0.05 * torch.randn(20, 3, 2, generator=torch.Generator().manual_seed(3))
    moved = other + prior.settling(asked, Earlier(other, here))
    before, after = (float((x - prior(asked, here)).square().mean().sqrt()) for x in (other, moved))
    assert after < 0.4 * before  # what is left is weather
    weather = other - law(asked + 0.5, here)
    assert torch.corrcoef(torch.stack([(moved - prior(asked, here)).flatten(), weather.flatten()]))[0, 1] > 0.6


def test_states_that_have_arrived_are_left_where_they_are():
    z, p, s, names, earlier = on_the_way(40, 1.0, 0.05, 0)
    prior = Prior.fitted(z, p, s, names)
    prior.learn_from_earlier(earlier, np.arange(40).repeat(3))
    _, p, s, _, earlier = on_the_way(20, 1.0, 0.05, 1)
    asked = p[::12].repeat_interleave(3, 0), s[::12].repeat_interleave(3, 0)
    away = float((earlier.latents - prior(*asked)).square().mean().sqrt())
    assert float(prior.settling(asked[0], earlier).square().mean().sqrt()) < 0.25 * away


def test_mean_states_drawn_for_settling_states_depart_from_the_likely_as_those_of_a_sample():
    z, p, s, names, earlier = on_the_way(10, 1.0, 0.05, 0)
    prior = Prior.fitted(z, p, s, names)
    prior.learn_from_earlier(earlier, np.arange(10).repeat(3))
    one, xi = at(earlier, 4), torch.randn(1, len(prior.directions))
    drawn = prior.settling(p[12:13], one, xi) - prior.settling(p[12:13], one)
    torch.testing.assert_close(drawn, prior(p[12:13], one.season, xi, one) - prior(p[12:13], one.season, None, one))
