"""Across seeds: numbers known by construction, and SciPy's distances."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from deepvis.metrics import across_seeds


def random(n_seeds: int, filters: int = 9, channels: int = 20) -> np.ndarray:
    return np.random.default_rng(n_seeds).exponential(1, (n_seeds, filters, channels))


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_diversity_is_scipys_mean_cosine_distance(n_seeds):
    features = random(n_seeds)
    wanted = [pdist(features[:, f], "cosine").mean() for f in range(features.shape[1])]
    np.testing.assert_allclose(across_seeds.diversity(features), wanted)


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_reproducibility_is_how_often_scipys_nearest_neighbour_is_the_filters_own(n_seeds):
    # Some filters alike from seed to seed, some not at all.
    features = random(n_seeds) + np.arange(9)[:, None] * random(1)[0]
    hits = np.zeros(9)
    for s in range(n_seeds):
        for t in range(n_seeds):
            if s != t:
                hits += cdist(features[s], features[t], "cosine").argmin(axis=1) == np.arange(9)
    found = across_seeds.reproducibility(features)
    np.testing.assert_allclose(found, hits / (n_seeds * (n_seeds - 1)))
    assert 0 < found.mean() < 1


def test_images_that_the_layer_sees_alike_have_no_diversity_and_tell_their_filter():
    alike = np.repeat(random(1), 4, axis=0) * np.array([1.0, 5.0, 0.1, 1e6])[:, None, None]
    np.testing.assert_allclose(across_seeds.diversity(alike), 0, atol=1e-12)
    np.testing.assert_array_equal(across_seeds.reproducibility(alike), 1)


def test_images_without_a_channel_in_common_are_as_diverse_as_can_be():
    apart = np.zeros((3, 4, 12))
    for s in range(3):
        for f in range(4):
            apart[s, f, 4 * s + f] = 7.0
    np.testing.assert_allclose(across_seeds.diversity(apart), 1)
    np.testing.assert_array_equal(
        across_seeds.reproducibility(apart), 0
    )  # all are as far, and a tie is a miss


def test_chance_finds_one_filter_in_as_many_as_there_are():
    features = np.random.default_rng(0).exponential(1, (40, 8, 30))
    assert across_seeds.reproducibility(features).mean() == pytest.approx(1 / 8, abs=0.02)


def test_one_seed_or_one_filter_says_nothing():
    assert (
        np.isnan(across_seeds.diversity(random(1))).all()
        and np.isnan(across_seeds.reproducibility(random(1))).all()
    )
    assert np.isnan(across_seeds.reproducibility(random(3, filters=1))).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_an_image_without_features_spoils_its_own_filter_only(value):
    features = random(3)
    clean, others = across_seeds.diversity(features), np.arange(9) != 4
    features[1, 4] = value
    for found in (across_seeds.diversity(features), across_seeds.reproducibility(features)):
        assert np.isnan(found[4]) and np.isfinite(found[others]).all()
    np.testing.assert_array_equal(across_seeds.diversity(features)[others], clean[others])
