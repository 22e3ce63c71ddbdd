"""Adjusted p keep one false claim in twenty, whichever effects there are."""

import itertools

import numpy as np

from deepvis.metrics import multiplicity, signed_rank

RNG = np.random.default_rng


def pairs(levels: np.ndarray) -> np.ndarray:
    """Signed-rank sums of every two of ``[levels, filters]``."""
    two = itertools.combinations(levels, 2)
    return np.stack([signed_rank.rank_sums((other - one)[:, None]) for one, other in two])


def closed_test(p: np.ndarray, i: int, weights: np.ndarray) -> float:
    """Holm by its definition: the worst weighted Bonferroni test of any family that holds hypothesis i."""
    others = [j for j in range(len(p)) if j != i]
    families = itertools.chain.from_iterable(itertools.combinations(others, k) for k in range(len(p)))
    worst = [min(p[j] * weights[[i, *f]].sum() / weights[j] for j in [i, *f]) for f in families]
    return min(1, max(worst))


def test_holm_is_the_closed_test_of_bonferroni_with_weights():
    for seed in range(20):
        p, weights = RNG(seed).uniform(0, 0.5, 5).round(2), RNG(seed).uniform(0.1, 1, 5)
        found = np.concatenate(multiplicity.holm([np.array([each]) for each in p], weights))
        np.testing.assert_allclose(found, [closed_test(p, i, weights) for i in range(5)])
    (one, other) = multiplicity.holm([np.array([0.02, np.nan]), np.zeros(0)], [1, 1])
    np.testing.assert_array_equal(one, [0.02, np.nan])
    assert other.shape == (0,)


def test_a_family_gives_its_part_away_only_when_all_of_it_is_rejected():
    half = multiplicity.holm([np.array([0.001, 0.6]), np.array([0.03])], [1, 1])
    whole = multiplicity.holm([np.array([0.001, 0.002]), np.array([0.03])], [1, 1])
    assert (half[1][0], whole[1][0]) == (0.06, 0.03)


def test_the_maximum_is_permuted_by_its_definition():
    sums = pairs(RNG(0).normal([[0], [0.3], [0.9]], 1, (3, 11)))
    signs = np.array(list(itertools.product([1, -1], repeat=11)))
    totals = np.abs(signs @ sums.T) / np.sqrt((sums**2).sum(axis=1))
    seen = np.abs(sums.sum(axis=1)) / np.sqrt((sums**2).sum(axis=1))
    order = np.argsort(-seen)
    expected, least = np.empty(3), 0.0
    for place, test in enumerate(order):
        least = max(least, np.mean(totals[:, order[place:]].max(axis=1) >= seen[test] - 1e-9))
        expected[test] = least
    np.testing.assert_allclose(multiplicity.adjusted(sums), expected)


def test_one_family_in_twenty_has_a_false_claim():
    called = [
        (multiplicity.adjusted(pairs(RNG(seed).normal(0, 1, (5, 14)))) <= 0.05).any() for seed in range(400)
    ]
    assert np.mean(called) <= 0.075


def test_ten_filters_are_enough_for_eight_levels_that_differ():
    levels = np.arange(8)[:, None] * np.log(2) + RNG(1).normal(0, 0.1, (8, 10))
    assert multiplicity.adjusted(pairs(levels)).max() <= 0.002
