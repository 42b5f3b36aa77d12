"""Parameters count by their logarithm where their range spans more than a factor of five, else as they are."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_ocean.generative.conditions import ParameterScaler
from ldm_ocean.ocean.parameters import ParameterScale

LOW, HIGH = np.array([0.1, 1e-5, 7.0, -1.0]), np.array([0.3, 1e-4, 7.0, 100.0])


def test_a_parameter_that_spans_more_than_a_factor_of_five_counts_by_its_logarithm():
    scale = ParameterScale(LOW, HIGH)
    np.testing.assert_allclose(scale.unit(np.array([0.2, 10**-4.5, 9.0, 49.5])), [0.5, 0.5, 0, 0.5])
    np.testing.assert_allclose(scale.physical(np.full(4, 0.5)), [0.2, 10**-4.5, 7.0, 49.5])


LOWS = st.floats(-1e3, 0) | st.floats(1e-12, 1e3)


@given(st.lists(st.tuples(LOWS, st.floats(1e-3, 1e3), st.floats(-0.5, 1.5)), min_size=1, max_size=4))
def test_there_and_back_is_the_same_place_outside_of_the_range_too(cases):
    low, width, share = np.array(cases).T
    scale = ParameterScale(low, low + width)
    np.testing.assert_allclose(scale.unit(scale.physical(share)), share, atol=1e-6)


def test_networks_see_parameters_on_the_same_scale():
    values = np.stack([LOW + (HIGH - LOW) * u for u in (0.0, 0.3, 1.0)])[:, [0, 1, 3]]
    seen = ParameterScaler(["a", "b", "c"]).fit(values)(torch.from_numpy(values)).numpy()
    unit = ParameterScale(values.min(0), values.max(0)).unit(values)
    np.testing.assert_allclose(seen, (unit - unit.mean(0)) / unit.std(0), atol=1e-5)
