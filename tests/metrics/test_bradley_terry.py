"""Laws of Bradley and Terry's model, against the likelihood maximized alone and simulated voters."""

import numpy as np
import pytest
from scipy import optimize

from deepvis.metrics import bradley_terry
from deepvis.metrics.bradley_terry import Votes

TRUE = np.array([1.0, 0.3, -0.2, -1.1])  # of mean 0


def simulated(rng: np.random.Generator, filters: int, ties: float = 0.1, apart: float = 0.0) -> Votes:
    """Each two settings once a filter; `apart` is how much a filter has an order of its own."""
    pairs = [(i, j) for i in range(4) for j in range(i)] * filters
    first, second = np.array(pairs).T
    of = np.repeat(np.arange(filters), 6)
    own = TRUE + rng.normal(0, apart, (filters, 4))
    chance = 1 / (1 + np.exp(own[of, second] - own[of, first]))
    outcome = (rng.random(len(of)) < chance).astype(float)
    outcome[rng.random(len(of)) < ties] = 0.5
    return Votes(first, second, outcome, of)


def test_of_many_votes_the_strengths_are_those_of_the_likelihood_alone():
    """The penalty is worth about a vote; the reference knows neither it nor that the mean is 0."""
    votes = simulated(np.random.default_rng(0), 500)

    def loss(free: np.ndarray) -> float:
        strength = np.exp(np.append(free, 0.0))
        chance = strength[votes.first] / (strength[votes.first] + strength[votes.second])
        return -float(np.sum(votes.outcome * np.log(chance) + (1 - votes.outcome) * np.log(1 - chance)))

    expected = np.append(optimize.minimize(loss, np.zeros(3), method="Nelder-Mead", tol=1e-9).x, 0.0)
    found = bradley_terry.strengths(votes, 4)
    np.testing.assert_allclose(found.estimate, expected - expected.mean(), atol=5e-3)
    assert found.votes.tolist() == [1500] * 4 and found.wins.sum() == 3000


@pytest.mark.parametrize("apart", [0.0, 0.7])
def test_intervals_of_200_simulated_sweeps_cover_what_is_true(apart):
    """Without ties, which draw all strengths together; where filters have orders of their own, too."""
    rng, truth = np.random.default_rng(1), TRUE
    if apart:  # what votes over all filters tell: strengths are drawn together a little
        truth = bradley_terry.strengths(simulated(rng, 1500, 0.0, apart), 4).estimate
    covered, ordered = [], []
    for _ in range(200):
        found = bradley_terry.strengths(simulated(rng, 24, 0.0, apart), 4)
        covered.append((found.low <= truth) & (truth <= found.high))
        ordered.append((np.argsort(-found.estimate) == [0, 1, 2, 3]).all())
    assert 0.93 <= np.mean(covered) <= 0.985 and np.mean(ordered) > 0.7


def test_a_setting_that_wins_every_vote_has_a_finite_strength_and_one_without_votes_has_none():
    first, filters = np.repeat([0, 1, 2], 12), np.tile(np.arange(12), 3)
    second = np.repeat([1, 2, 0], 12)
    outcome = np.repeat([1.0, 0.5, 0.0], 12)
    found = bradley_terry.strengths(Votes(first, second, outcome, filters), 4)
    assert np.isfinite(found.high[:3]).all() and found.estimate[0] > 2 and found.low[0] > found.high[1]
    assert found.estimate[1] == pytest.approx(found.estimate[2], abs=1e-4)
    assert np.isnan([found.estimate[3], found.low[3], found.high[3]]).all() and found.votes[3] == 0
    few = bradley_terry.strengths(Votes(first, second, outcome, filters % 9), 4)
    assert np.isnan(few.low).all() and few.estimate[:3] == pytest.approx(found.estimate[:3])


def test_agreement_is_the_share_of_votes_for_the_higher_value_and_votes_of_one_filter_count_as_one():
    rng = np.random.default_rng(2)
    votes = simulated(rng, 20)
    values = rng.normal(size=(4, 20))
    agreeing = Votes(
        votes.first,
        votes.second,
        (values[votes.first, votes.filters] > values[votes.second, votes.filters]).astype(float),
        votes.filters,
    )
    whole = bradley_terry.agreement(agreeing, values)
    assert (whole.n, whole.estimate, whole.high) == (120, 1.0, pytest.approx(1.0)) and 0.9 < whole.low < 1
    against = bradley_terry.agreement(agreeing, -values)
    assert (against.estimate, 1 - against.high) == (0.0, pytest.approx(whole.low))
    turned = np.where(votes.filters < 10, agreeing.outcome, 1 - agreeing.outcome)
    split = Votes(votes.first, votes.second, turned, votes.filters)
    half = bradley_terry.agreement(split, values)  # all votes of a filter agree, or none
    assert half.estimate == 0.5 and half.high - half.low > 0.35  # as of 20 votes, not of 120
    assert bradley_terry.agreement(votes, np.full((4, 20), np.nan)).n == 0
    covered = []
    for _ in range(200):
        random = bradley_terry.agreement(simulated(rng, 20), rng.normal(size=(4, 20)))
        covered.append(random.low <= 0.5 <= random.high)
    assert 0.9 <= np.mean(covered) <= 1
