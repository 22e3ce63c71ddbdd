"""The signed-rank procedure holds what it promises on simulated data whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from deepvis.metrics import signed_rank
from deepvis.metrics.signed_rank import Effect

RNG = np.random.default_rng
KNOWN = 1.5


def draws(count: int, filters: int, law: str) -> np.ndarray:
    """Differences that are symmetric about 0: [count, filters]."""
    rng = RNG([count, filters])
    return rng.normal(0, 1, (count, filters)) if law == "normal" else rng.standard_t(3, (count, filters))


def walsh(d: np.ndarray) -> np.ndarray:
    return np.sort(np.add.outer(d, d)[np.triu_indices(len(d))] / 2)


@pytest.mark.parametrize("law", ["normal", "heavy"])
def test_interval_and_test_keep_their_level(law):
    found = [signed_rank.effect(d + KNOWN) for d in draws(300, 16, law)]
    assert 0.925 <= np.mean([each.low <= KNOWN <= each.high for each in found]) <= 0.97
    assert 0.028 <= np.mean([signed_rank.effect(d).p < 0.05 for d in draws(300, 16, law)]) <= 0.072


@pytest.mark.parametrize("n", [10, 12, 13])
def test_of_one_replicate_it_is_wilcoxons_test_with_hodges_and_lehmanns_estimate(n):
    d = RNG(n).normal(0.4, 1, n)
    found, averages = signed_rank.effect(d), walsh(d)
    assert found.p == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)
    assert found.estimate == pytest.approx(np.median(averages), abs=1e-3)
    # The shifts that Wilcoxon's exact test does not reject end at two Walsh averages.
    kept = [a for a in averages if stats.wilcoxon(d - a - 1e-9, method="exact").pvalue > 0.05]
    assert found.low == pytest.approx(kept[0], abs=1e-3) or found.low == pytest.approx(
        averages[np.searchsorted(averages, kept[0]) - 1], abs=1e-3
    )
    turned = signed_rank.effect(-d)
    assert (turned.estimate, turned.p) == (pytest.approx(-found.estimate), found.p)
    assert (turned.low, turned.high) == (
        pytest.approx(-found.high, abs=1e-3),
        pytest.approx(-found.low, abs=1e-3),
    )


def test_zeros_are_ranked_as_pratt_does_and_nan_is_left_out():
    d = np.append(RNG(1).normal(0.5, 1, 9), np.zeros(4))
    expected = stats.permutation_test(
        (d,),
        lambda x: np.sum(np.sign(x) * stats.rankdata(np.abs(x))),
        permutation_type="samples",
        n_resamples=1e5,
    )
    assert signed_rank.effect(d).p == pytest.approx(expected.pvalue, abs=1e-9)
    with_nan = np.insert(d.astype(float), 3, np.nan)
    assert signed_rank.effect(with_nan) == signed_rank.effect(d)


def test_replicates_of_a_filter_are_no_more_filters():
    """A filter's replicates that agree say no more than one of them."""
    d = RNG(2).normal(0.5, 1, 16)
    one, three = signed_rank.effect(d), signed_rank.effect(np.repeat(d[:, None], 3, axis=1))
    assert (three.n, three.estimate) == (16, pytest.approx(one.estimate, abs=0.05))
    assert three.p == pytest.approx(one.p, rel=0.2)
    spread = RNG(3).normal(0, 1, (150, 16, 1)) + 0.1 * RNG(4).normal(0, 1, (150, 16, 4))
    assert np.mean([signed_rank.effect(each).p < 0.05 for each in spread]) < 0.1


def test_a_filter_that_went_to_zero_is_the_largest_loss():
    d = np.append(RNG(5).normal(0.5, 0.1, 12), [-np.inf, -np.inf])
    found = signed_rank.effect(d)
    assert found.estimate == pytest.approx(np.median(walsh(d)), abs=1e-3) and found.down == 2 / 14
    lost = signed_rank.effect(np.full(12, -np.inf))
    assert (lost.estimate, lost.down, lost.p) == (-np.inf, 1, 2 / 2**12)


def test_filters_that_all_changed_alike():
    assert signed_rank.effect(np.zeros(20)) == Effect(20, 0, 0, 0, 0, 0, p=1)
    same = signed_rank.effect(np.full(20, -2.0))
    assert (same.low, same.estimate, same.high, same.up, same.down) == (-2, -2, -2, 0, 1) and same.p < 1e-4


@pytest.mark.parametrize("n", range(signed_rank.FEW))
def test_too_few_filters_get_no_interval_and_no_p(n):
    found = signed_rank.effect(np.linspace(1, 2, n))
    assert found.n == n and np.isnan([found.low, found.high, found.p]).all()
    assert np.isnan(found.estimate) == (n == 0)


def test_estimate_interval_and_p_belong_to_one_procedure():
    """Where 17 of 32 lose a little and 15 gain much, the median would fall and the test would say: higher."""
    d = np.append(np.full(17, -0.4), np.full(15, 35.0)) + RNG(6).normal(0, 0.05, 32)
    found = signed_rank.effect(d)
    assert found.estimate == pytest.approx(np.median(walsh(d)), abs=1e-2)
    assert (found.low > 0) == (found.p <= 0.05) and found.low <= found.estimate <= found.high


def test_of_many_filters_the_normal_law_gives_what_the_patterns_give():
    d = RNG(8).normal(0.15, 1, (signed_rank.MANY + 36, 1))
    sums = signed_rank.rank_sums(d)
    patterns = np.abs(signed_rank.signs(len(sums)) @ sums)
    assert signed_rank.effect(d).p == pytest.approx(np.mean(patterns >= patterns[0]), abs=0.01)
    assert signed_rank.effect(d).p == pytest.approx(stats.wilcoxon(d[:, 0]).pvalue, rel=0.05)
