"""Where rounding is all that acts, five filters in a hundred change beyond the noise floor, and no more."""

import numpy as np
import pytest

from deepvis.metrics import noise_floor

RNG = np.random.default_rng


@pytest.mark.parametrize("law", ["normal", "heavy"])
@pytest.mark.parametrize(("seeds", "terms"), [(1, 2), (3, 2), (9, 4)])
def test_chaos_alone_changes_five_percent(law, seeds, terms):
    shares = []
    for number in range(150):
        rng = RNG([number, seeds])
        filters, scale = int(rng.integers(10, 33)), np.exp(rng.normal(0, 0.7, 32))

        def noise(*shape, rng=rng, filters=filters, scale=scale):
            drawn = (
                rng.normal(0, 1, (filters, *shape))
                if law == "normal"
                else rng.standard_t(3, (filters, *shape))
            )
            return drawn * scale[:filters].reshape(-1, *[1] * len(shape))

        images = noise(terms, seeds)
        change = (images * np.array([1, -1, -1, 1])[:terms, None]).sum(axis=1).mean(axis=1)
        replicas = (noise(terms, seeds) - images).reshape(filters, -1)
        shares.append(noise_floor.changed(change, noise_floor.threshold(replicas, seeds, terms)))
    assert 0.005 <= np.mean(shares) <= 0.06


def test_an_effect_of_many_floors_is_beyond_it():
    replicas = RNG(0).normal(0, 0.01, (16, 4))
    assert noise_floor.changed(np.full(16, 0.2), noise_floor.threshold(replicas, 2)) == 1


def test_the_floor_of_an_image_does_not_shrink_with_seeds():
    replicas = 0.05 / 0.6745 * RNG(1).normal(0, 1, (16, 9 * 40))
    few, many = noise_floor.typical(replicas[:, :40]), noise_floor.typical(replicas)
    assert few == pytest.approx(0.05, rel=0.1) and many == pytest.approx(0.05, rel=0.05)


def test_no_replicas_no_floor_and_none_where_rounding_does_nothing():
    missing = np.full((3, 2), np.nan)
    assert np.isnan(noise_floor.typical(missing)) and np.isnan(noise_floor.threshold(missing, 1)).all()
    assert np.isnan(noise_floor.changed(np.ones(3), np.full(3, np.nan)))
    exact = noise_floor.threshold(np.zeros((3, 2)), 1)
    assert noise_floor.changed(np.array([0.0, 0.0, 1e-9]), exact) == pytest.approx(1 / 3)
    mixed = noise_floor.threshold(np.array([[1.0, 2], [np.nan, np.nan]]), 1)
    assert np.isfinite(mixed[0]) and np.isnan(mixed[1])
