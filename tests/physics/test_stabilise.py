"""Laws of the removal of density inversions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_ocean.physics.eos import seos, vallis
from ldm_ocean.physics.stabilise import MARGIN, SALT, stabilise
from ldm_ocean.physics.stratification import density_steps, unstable_volume

SHAPE = (9, 3, 4)
DEPTH = np.cumsum(np.linspace(10, 600, SHAPE[0]))
THICKNESS = np.linspace(20, 700, SHAPE[0])
MASK = np.ones(SHAPE, bool)
MASK[:, 0, 0] = False
MASK[6:, 1] = False
MASK[1:, 2, 1] = False
EQUATIONS = st.sampled_from([vallis, seos])


def linear(temperature, salinity, depth):
    return 1026.0 - 0.2 * (temperature - 10) + 0.8 * (salinity - 35) + 0 * depth


@st.composite
def oceans(draw, dtype=torch.float32):
    """A stratified ocean under noise, from round-off to whole inversions, and any number of leading axes."""
    batch = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    noise = draw(st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 1.0, 10.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    profile = np.exp(-DEPTH / 800)[:, None, None]
    t = 1 + draw(st.floats(0, 25)) * profile + noise * rng.standard_normal((*batch, *SHAPE))
    s = 34.7 + draw(st.floats(0, 1)) * profile + 0.1 * noise * rng.standard_normal((*batch, *SHAPE))
    return torch.from_numpy(t).to(dtype), torch.from_numpy(s).to(dtype)


def stabilised(water, density):
    return stabilise(*water, DEPTH, THICKNESS, MASK, density)


def steps(water, density):
    depth = torch.from_numpy(DEPTH)[:, None, None]
    return density_steps(*(x.double() for x in water), depth, density)


def size(new, old):
    """Σ e3 (δT² + δS²/s²) of every column."""
    move = sum(((a.double() - b.double()) / s) ** 2 for a, b, s in zip(new, old, (1, SALT), strict=True))
    return (torch.from_numpy(THICKNESS[:, None, None] * MASK) * move).sum(-3)


def classical(t, s, density):
    """Complete mixing of one column by pooling adjacent violators, block by block."""
    blocks: list[tuple[float, float, float, list[int]]] = []
    for k in range(len(t)):
        new = (THICKNESS[k], t[k], s[k], [k])
        while blocks:
            h, a, b, levels = blocks[-1]
            middle = (DEPTH[levels[-1]] + DEPTH[new[3][0]]) / 2
            if density(new[1], new[2], middle) >= density(a, b, middle):
                break
            total = h + new[0]
            new = (total, (h * a + new[0] * new[1]) / total, (h * b + new[0] * new[2]) / total, levels + new[3])
            blocks.pop()
        blocks.append(new)
    return np.array([(a, b) for _, a, b, levels in blocks for _ in levels]).T


@settings(deadline=None, max_examples=60)
@given(oceans(), EQUATIONS)
def test_no_inversion_is_left_after_rounding_to_single_precision(water, density):
    new = stabilised(water, density)
    assert all(x.dtype == torch.float32 and x.shape == y.shape for x, y in zip(new, water, strict=True))
    depth, volume = torch.from_numpy(DEPTH)[:, None, None], torch.from_numpy(THICKNESS[:, None, None] * MASK)
    assert unstable_volume(*(x.double() for x in new), depth, volume, density).max() == 0


@settings(deadline=None, max_examples=40)
@given(oceans(torch.float64), EQUATIONS)
def test_heat_and_salt_of_every_column_are_kept_to_round_off(water, density):
    weight = torch.from_numpy(THICKNESS[:, None, None] * MASK)
    for new, old in zip(stabilised(water, density), water, strict=True):
        torch.testing.assert_close((weight * new).sum(-3), (weight * old).sum(-3), rtol=1e-13, atol=1e-9)


@settings(deadline=None, max_examples=40)
@given(oceans(), EQUATIONS)
def test_doing_it_twice_is_doing_it_once(water, density):
    once = stabilised(water, density)
    for a, b in zip(stabilised(once, density), once, strict=True):
        assert torch.equal(a, b)


@settings(deadline=None, max_examples=40)
@given(oceans(), EQUATIONS)
def test_stable_columns_and_land_come_back_bit_by_bit(water, density):
    water = [torch.where(torch.from_numpy(MASK), x, torch.nan) for x in water]
    stable = ~((steps(water, density) < 0) & torch.from_numpy(MASK[1:] & MASK[:-1])).any(-3)
    for new, old in zip(stabilised(water, density), water, strict=True):
        assert torch.equal(new.movedim(-3, 0)[:, stable].nan_to_num(99), old.movedim(-3, 0)[:, stable].nan_to_num(99))
        assert bool(new[..., ~torch.from_numpy(MASK)].isnan().all())
        assert bool(new[..., torch.from_numpy(MASK)].isfinite().all())


@settings(deadline=None, max_examples=40)
@given(oceans(torch.float64), EQUATIONS)
def test_no_column_moves_more_than_by_complete_mixing(water, density):
    """But for the margin, which may ask more than 0.0001 °C of water whose inversions are still smaller."""
    moved = size(stabilised(water, density), water).flatten()
    allowance = 1e-4 * THICKNESS.sum() ** 0.5
    rows = [x.movedim(-3, 0).flatten(1).numpy() for x in water]
    wet = np.broadcast_to(MASK, water[0].shape)
    wet = np.moveaxis(wet, -3, 0).reshape(len(MASK), -1).sum(0)
    for n in np.flatnonzero(moved):
        t, s = (x[: wet[n], n] for x in rows)
        mixed = classical(t, s, density)
        full = (THICKNESS[: wet[n]] * ((mixed[0] - t) ** 2 + ((mixed[1] - s) / SALT) ** 2)).sum()
        assert moved[n] ** 0.5 <= full**0.5 + allowance


@settings(deadline=None, max_examples=40)
@given(oceans(torch.float64))
def test_density_ends_as_by_classical_mixing_where_the_equation_of_state_is_linear(water):
    """The isotonic regression of density, up to the margin that each of the levels may add."""
    new = stabilised(water, linear)
    for n in np.ndindex(*water[0].shape[:-3], *SHAPE[1:]):
        wet = MASK[:, n[-2], n[-1]].sum()
        at = (*n[:-2], slice(0, wet), *n[-2:])
        t, s = (x[at].numpy() for x in water)
        if wet and (np.diff(linear(t, s, 0)) < 0).any():
            expected = linear(*classical(t, s, linear), 0)
            np.testing.assert_allclose(linear(new[0][at], new[1][at], 0), expected, atol=len(DEPTH) * MARGIN)


def test_a_colder_and_fresher_cap_gives_up_the_least_of_both():
    """Two equal layers: half the density step each, in proportion α and β s² of heat and salt."""
    t, s = np.array([9.0, 11.0])[:, None, None], np.array([35.0, 35.1])[:, None, None]
    new = stabilise(t, s, np.array([50.0, 150.0]), np.full(2, 100.0), np.ones((2, 1, 1), bool), linear)
    excess = 0.2 * 2 - 0.8 * 0.1 + MARGIN
    amount = excess / 2 / (0.2**2 + (0.8 * SALT) ** 2)
    np.testing.assert_allclose(new[0].flatten(), [9 + 0.2 * amount, 11 - 0.2 * amount])
    np.testing.assert_allclose(new[1].flatten(), [35 - 0.8 * SALT**2 * amount, 35.1 + 0.8 * SALT**2 * amount])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), EQUATIONS)
def test_even_columns_that_no_ocean_has_become_stable_and_keep_heat_and_salt(seed, density):
    rng = np.random.default_rng(seed)
    water = [torch.from_numpy(rng.uniform(*limits, (40, *SHAPE))) for limits in ((-5, 40), (0, 45))]
    new = stabilised(water, density)
    assert bool(((steps(new, density) >= 0) | ~torch.from_numpy(MASK[1:] & MASK[:-1])).all())
    weight = torch.from_numpy(THICKNESS[:, None, None] * MASK)
    for a, b in zip(new, water, strict=True):
        torch.testing.assert_close((weight * a).sum(-3), (weight * b).sum(-3), rtol=1e-12, atol=1e-8)


@pytest.mark.parametrize("density", [vallis, seos])
def test_arrays_of_numpy_and_depths_and_thicknesses_of_every_shape_give_the_same(density):
    rng = np.random.default_rng(1)
    t, s = 5 + rng.standard_normal((2, *SHAPE)), 35 + 0.1 * rng.standard_normal((2, *SHAPE))
    from_torch = stabilised((torch.from_numpy(t), torch.from_numpy(s)), density)
    full = [np.broadcast_to(a[:, None, None], SHAPE) for a in (DEPTH, THICKNESS)]
    moving = np.broadcast_to(full[1], t.shape)  # read-only, as views often are
    for depth, thickness in ((DEPTH, THICKNESS), full, (DEPTH, moving)):
        for a, b in zip(stabilise(t, s, depth, thickness, MASK, density), from_torch, strict=True):
            assert isinstance(a, np.ndarray)
            np.testing.assert_array_equal(a, b.numpy())
