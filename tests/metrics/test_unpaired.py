"""Unpaired comparisons equal SciPy's, and their intervals hold."""

import numpy as np
import pytest
from scipy import stats

from deepvis.metrics import unpaired

RNG = np.random.default_rng


def test_shift_delta_and_p_are_what_their_definitions_say():
    one, other = RNG(0).normal(0.8, 1, 14), RNG(1).normal(0, 1, 11)
    found = unpaired.shift(np.append(one, np.nan), other)
    differences = np.subtract.outer(one, other)
    assert found.n == (14, 11) and found.estimate == np.median(differences)
    assert found.delta == np.mean(differences > 0) - np.mean(differences < 0)
    assert found.p == stats.mannwhitneyu(one, other).pvalue
    assert np.isnan(unpaired.shift(one[:9], other).p) and np.isnan(unpaired.shift(one[:0], other).estimate)


def test_the_interval_holds_a_known_shift_in_95_of_100_draws():
    rng = RNG(2)
    found = [unpaired.shift(rng.normal(2, 1, 14), rng.normal(0, 1, 20)) for _ in range(600)]
    assert np.mean([each.low <= 2 <= each.high for each in found]) == pytest.approx(0.95, abs=0.022)
