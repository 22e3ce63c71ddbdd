"""Changes: each does to an image what its name says, by an independent reference, and no more."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from deepvis.metrics import robustness

PHOTOGRAPH = load_sample_image("china.jpg")[100:228, 200:328].astype(np.float32) - 120


def middle(image: np.ndarray) -> np.ndarray:
    return image[20:-20, 20:-20]


def test_only_the_noise_depends_on_the_filter():
    one, again, other = (robustness.of(PHOTOGRAPH, index) for index in (3, 3, 4))
    for name in robustness.CHANGES:
        np.testing.assert_array_equal(one[name], again[name])
        assert one[name].shape[1:] == PHOTOGRAPH.shape and one[name].dtype == np.float32
        assert (one[name] != other[name]).any() == (name == "noise")


def test_shifts_go_four_pixels_in_all_four_directions():
    found = [
        [
            (down, right)
            for down in (-4, 4)
            for right in (-4, 4)
            if (middle(image) == middle(np.roll(PHOTOGRAPH, (down, right), (0, 1)))).all()
        ]
        for image in robustness.of(PHOTOGRAPH, 0)["translation"]
    ]
    assert sorted(found) == [[(-4, -4)], [(-4, 4)], [(4, -4)], [(4, 4)]]


@pytest.mark.parametrize("size", [(3, 40), (40, 3), (1, 40)])
def test_a_strip_is_shifted_as_far_as_each_side_lets_it(size):
    """By where each pixel comes from, mirrored at the border: over all of a short side both ways are one."""
    image = np.random.default_rng(0).normal(size=(*size, 3)).astype(np.float32)

    def moved(side: int, by: int) -> np.ndarray:
        place = np.abs(np.arange(side) - by)
        return np.where(place > side - 1, 2 * (side - 1) - place, place)

    found = robustness.of(image, 0)["translation"]
    for shifted, ways in zip(found, ((-1, -1), (-1, 1), (1, -1), (1, 1)), strict=True):
        y, x = (way * min(4, side - 1) for way, side in zip(ways, size, strict=True))
        np.testing.assert_array_equal(shifted, image[moved(size[0], y)][:, moved(size[1], x)])


@pytest.mark.parametrize("name", ["rotation", "scaling"])
def test_rotations_and_scalings_are_pillows_both_ways(name):
    """Pillow's own turn and its own affine map, bilinear too; only their rounding differs."""
    whole = Image.fromarray(PHOTOGRAPH[..., 1])
    if name == "rotation":
        each = [np.asarray(whole.rotate(angle, Image.Resampling.BILINEAR)) for angle in (-5, 5)]
    else:
        each = []
        for factor in (1 / 1.05, 1.05):
            edge = 64 * (1 - factor)  # Pillow's pixels have their centres at halves
            map_ = (factor, 0, edge, 0, factor, edge)
            each.append(
                np.asarray(
                    whole.transform((128, 128), Image.Transform.AFFINE, map_, Image.Resampling.BILINEAR)
                )
            )
    found = set()
    for image in robustness.of(PHOTOGRAPH, 0)[name]:
        apart = [np.abs(middle(image[..., 1]) - middle(one)).max() for one in each]
        assert min(apart) < 2 and max(apart) > 50
        found.add(int(np.argmin(apart)))
    assert found == {0, 1}


def test_jpeg_and_noise_take_away_as_much_as_they_should():
    spoilt = robustness.of(PHOTOGRAPH, 0)["jpeg"][0] - PHOTOGRAPH
    assert 0.1 < spoilt.std() / PHOTOGRAPH.std() < 0.3 and abs(spoilt.mean()) < 1
    added = robustness.of(PHOTOGRAPH, 0)["noise"][0] - PHOTOGRAPH
    assert added.std() / PHOTOGRAPH.std() == pytest.approx(0.1, rel=0.02) and abs(added.mean()) < 0.1
    assert np.corrcoef(added.ravel(), PHOTOGRAPH.ravel())[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("factor", [10, 1000])
def test_one_outlier_changes_neither_what_jpeg_takes_from_the_other_pixels_nor_itself(factor):
    """By the middle of the photograph: JPEG's blocks of 16 px around the outlier may change a little."""
    outlying = PHOTOGRAPH.copy()
    outlying[5, 5] = factor * PHOTOGRAPH.max()
    change, without = (robustness.of(image, 0)["jpeg"][0] - image for image in (outlying, PHOTOGRAPH))
    assert np.sqrt(np.mean((middle(change) - middle(without)) ** 2)) < 0.05 * without.std()
    assert np.abs(change[5, 5]).max() < PHOTOGRAPH.std()


def test_jpeg_of_an_image_that_is_nearly_all_one_value_uses_its_whole_range():
    sparse = np.zeros((64, 64, 3), np.float32)
    sparse[30, 30] = 100.0
    np.testing.assert_allclose(robustness.of(sparse, 0)["jpeg"][0], sparse, atol=60)
    assert robustness.of(sparse, 0)["jpeg"][0][30, 30].min() > 50


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_changes_do_not_depend_on_contrast(scale):
    for name, changed in robustness.of(PHOTOGRAPH * scale, 5).items():
        expected = robustness.of(PHOTOGRAPH, 5)[name]
        np.testing.assert_allclose(changed / scale, expected, atol=0.02, err_msg=name)


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan, np.inf])
@pytest.mark.parametrize("size", [1, 2, 33])
def test_an_image_without_contrast_or_numbers_stays_as_it_is(fill, size):
    flat = np.full((size, size, 3), fill, np.float32)
    for name, changed in robustness.of(flat, 0).items():
        assert changed.shape == robustness.of(PHOTOGRAPH[:size, :size], 0)[name].shape  # they share a batch
        np.testing.assert_allclose(changed, np.broadcast_to(flat, changed.shape), rtol=1e-6, err_msg=name)


def test_what_is_kept_is_a_share_of_a_score_above_zero_and_the_mean_over_directions():
    own = np.array([10.0, 0.0, -3.0, np.nan, np.inf])
    found = robustness.retained(
        own,
        {
            "translation": np.array([[4.0, 1, 1, 1, 1], [6, 1, 1, 1, 1]]),
            "noise": np.array([[12.0, 1, 1, 1, np.inf]]),
        },
    )
    assert (found["retained_translation"][0], found["retained_noise"][0], found["robustness"][0]) == (
        0.5,
        1.2,
        0.85,
    )
    assert all(np.isnan(values[1:]).all() for values in found.values())
