"""Path similarity, forced choice and facets, against SciPy, closed forms and planted groups."""

import numpy as np
import pytest
from scipy import stats

from deepvis.metrics import facets, forced_choice
from deepvis.metrics.path_similarity import cosines, path_similarity, rank_correlations

RNG = np.random.default_rng(0)


def test_rank_correlations_are_scipys():
    one, other = RNG.normal(size=(4, 30)).round(1), RNG.normal(size=(3, 30)).round(1)
    expected = [[stats.spearmanr(a, b).statistic for b in other] for a in one]
    np.testing.assert_allclose(rank_correlations(one, other), expected, atol=1e-12)


def test_cosines_of_what_gives_nothing_are_unknown():
    found = cosines(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0]]))
    assert found[0, 0] == pytest.approx(0.96) and np.isnan(found[1, 0])


def test_natural_images_are_as_alike_as_themselves_and_others_not_at_all():
    base = RNG.normal(size=(2, 50))
    ours, theirs = (base[k] + 0.3 * RNG.normal(size=(40, 50)) for k in (0, 1))
    same, others = cosines(ours[:20], ours[:20]), cosines(ours[:20], theirs)
    assert path_similarity(cosines(ours[20:], ours[:20]), same, others) == pytest.approx(1, abs=0.05)
    assert path_similarity(cosines(theirs, ours[:20]), same, others) == pytest.approx(0, abs=0.05)


def test_units_whose_photographs_are_no_more_alike_than_others_have_no_path_similarity():
    same = np.full((5, 5), 0.5)
    assert np.isnan(path_similarity(np.full((1, 5), 0.9), same, np.full((5, 9), 0.49)))


def test_tasks_ask_of_images_that_explain_nothing():
    values = RNG.permutation(np.arange(40.0))
    asked = forced_choice.tasks(values, count=5, explanations=4)
    assert sorted(values[asked.most]) == [36, 37, 38, 39] and sorted(values[asked.least]) == [0, 1, 2, 3]
    assert sorted(values[asked.high]) == [31, 32, 33, 34, 35] and sorted(values[asked.low]) == [4, 5, 6, 7, 8]
    with pytest.raises(ValueError, match="expected 42"):
        forced_choice.tasks(values, count=17, explanations=4)


def test_the_lowest_of_images_that_are_all_silent_are_of_all_kinds():
    values = np.maximum(np.arange(200.0) - 159, 0)  # the silent ones in the order of their names
    asked = forced_choice.tasks(values, count=20, explanations=20)
    lowest = np.concatenate([asked.least, asked.low])
    assert (values[lowest] == 0).all() and 50 < lowest.mean() < 110 and len(set(lowest)) == 40
    assert sorted(np.concatenate([asked.most, asked.high])) == list(range(160, 200))


def answers(values, seen, most, least, count=200, k=4):
    asked = forced_choice.tasks(values, count, k)
    parts = (cosines(seen[a], b) for a in (asked.high, asked.low) for b in (most(asked), least(asked)))
    return forced_choice.decisions(*parts)


def test_a_colour_unit_is_told_by_colour_and_shuffled_explanations_say_nothing():
    colour = RNG.normal(size=(1000, 3))
    values = colour[:, 0]
    told = answers(values, colour, lambda t: colour[t.most], lambda t: colour[t.least])
    assert forced_choice.accuracy(told) > 0.95
    swapped = answers(values, colour, lambda t: colour[t.least], lambda t: colour[t.most])
    score = forced_choice.interpretability
    assert score(swapped) == pytest.approx(1 - score(told))
    shuffled = RNG.permutation(colour)
    chance = np.concatenate(
        [answers(values, colour, lambda _, k=k: shuffled[k : k + 4], lambda _, k=k: shuffled[k + 4 : k + 8])
         for k in range(0, 800, 8)]
    )  # fmt: skip
    # Explanations are shared by the tasks of a draw: 100 draws are what is independent.
    assert abs(forced_choice.accuracy(chance) - 0.5) < 3 * 0.5 / np.sqrt(100)
    assert forced_choice.accuracy(np.zeros(4)) == 0.5


def test_planted_facets_are_counted_and_one_cloud_is_one():
    centres = np.eye(12)[:3] * 5
    three = np.concatenate([c + 0.3 * RNG.normal(size=(8, 12)) for c in centres])
    found = facets.facets(three)
    assert found.count == 3 and found.silhouette > 0.8
    assert len({tuple(np.unique(found.groups[k : k + 8])) for k in (0, 8, 16)}) == 3
    counts = [facets.facets(5 + RNG.normal(size=(18, 30)), seed=k).count for k in range(40)]
    assert np.mean(np.array(counts) > 1) <= 0.05


@pytest.mark.parametrize("n", [9, 18])
def test_a_row_of_images_that_change_little_by_little_is_not_groups_apart(n):
    """A line and a plane are cut in pieces by chance alone, though their ends are as far apart as groups."""

    def count(seed, of):
        rng = np.random.default_rng(seed)
        ends, at = np.abs(rng.normal(size=(3, 64))), rng.uniform(size=(n, 2))
        groups = np.eye(3)[np.arange(n) % 2]
        wide = {"line": 0, "plane": 0.6, "two": 0}[of]
        spread = np.column_stack([1 - at[:, 0], at[:, 0], wide * at[:, 1]])
        along = groups if of == "two" else spread
        found = facets.facets(along @ ends + 0.1 * rng.normal(size=(n, 64)))
        return found.count if found.is_apart else 1

    counts = {of: np.array([count(seed, of) for seed in range(10)]) for of in ("line", "plane", "two")}
    assert (counts["two"] == 2).all()
    assert (counts["line"] > 1).sum() <= 2 and (counts["plane"] > 1).sum() <= 2  # of 10, at 1 in 40 each


def test_groups_of_opposite_directions_are_told_apart():
    signs = np.where(np.arange(12) % 2, 1, -1)[:, None]
    assert facets.facets(signs * np.eye(6)[0] + 0.1 * RNG.normal(size=(12, 6))).count == 2


def test_silhouettes_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    vectors = RNG.normal(size=(20, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = RNG.integers(0, 3, 20)
    expected = metrics.silhouette_samples(vectors, groups, metric="cosine")
    np.testing.assert_allclose(facets.silhouettes(vectors, groups), expected, atol=1e-12)
