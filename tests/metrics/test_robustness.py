"""Views: each does to an image what its name says, by an independent oracle, and no more."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from deepvis.metrics import robustness

PHOTOGRAPH = load_sample_image("china.jpg")[100:228, 200:328].astype(np.float32) - 120
INDICES = range(12)


def seen(name: str, image=PHOTOGRAPH) -> list[np.ndarray]:
    return [robustness.of(image, index)[name] for index in INDICES]


def middle(image: np.ndarray) -> np.ndarray:
    return image[20:-20, 20:-20]


def test_a_filter_has_the_same_views_every_time_and_another_filter_others():
    for name in robustness.CHANGES:
        one, again, other = (robustness.of(PHOTOGRAPH, index)[name] for index in (3, 3, 4))
        np.testing.assert_array_equal(one, again)
        assert one.shape == PHOTOGRAPH.shape and one.dtype == np.float32
        assert name not in ("noise",) or (one != other).any()


def test_shifts_go_four_pixels_each_way_and_every_way():
    ways = set()
    for image in seen("translation"):
        found = [
            (down, right)
            for down in (-4, 4)
            for right in (-4, 4)
            if (middle(image) == middle(np.roll(PHOTOGRAPH, (down, right), (0, 1)))).all()
        ]
        assert len(found) == 1
        ways.add(found[0])
    assert len(ways) == 4


@pytest.mark.parametrize("size", [(3, 40), (40, 3), (1, 40)])
def test_a_strip_is_shifted_as_far_as_each_side_lets_it(size):
    """By where each pixel comes from, mirrored at the border: over all of a short side both ways are one."""
    image = np.random.default_rng(0).normal(size=(*size, 3)).astype(np.float32)

    def moved(side: int, by: int) -> np.ndarray:
        place = np.abs(np.arange(side) + by)
        return np.where(place > side - 1, 2 * (side - 1) - place, place)

    ways = set()
    for shifted in seen("translation", image):
        for ways_y, ways_x in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            y, x = (way * min(4, side - 1) for way, side in zip((ways_y, ways_x), size, strict=True))
            if (shifted == image[moved(size[0], y)][:, moved(size[1], x)]).all():
                ways.add((y, x))
                break
        else:
            pytest.fail("shifted in another way")
    assert len(ways) == 2


@pytest.mark.parametrize("name", ["rotation", "scaling"])
def test_rotations_and_scalings_are_pillows(name):
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
    for image in seen(name):
        apart = [np.abs(middle(image[..., 1]) - middle(one)).max() for one in each]
        assert min(apart) < 2 and max(apart) > 50
        found.add(int(np.argmin(apart)))
    assert found == {0, 1}


def test_jpeg_and_noise_take_away_as_much_as_they_should():
    spoilt = robustness.of(PHOTOGRAPH, 0)["jpeg"] - PHOTOGRAPH
    assert 0.1 < spoilt.std() / PHOTOGRAPH.std() < 0.3 and abs(spoilt.mean()) < 1
    added = robustness.of(PHOTOGRAPH, 0)["noise"] - PHOTOGRAPH
    assert added.std() / PHOTOGRAPH.std() == pytest.approx(0.1, rel=0.02) and abs(added.mean()) < 0.1
    assert np.corrcoef(added.ravel(), PHOTOGRAPH.ravel())[0, 1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_views_do_not_depend_on_contrast(scale):
    for name, view in robustness.of(PHOTOGRAPH * scale, 5).items():
        np.testing.assert_allclose(view / scale, robustness.of(PHOTOGRAPH, 5)[name], atol=0.02, err_msg=name)


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan, np.inf])
@pytest.mark.parametrize("size", [1, 2, 33])
def test_an_image_without_contrast_or_numbers_stays_as_it_is(fill, size):
    flat = np.full((size, size, 3), fill, np.float32)
    for name, view in robustness.of(flat, 0).items():
        np.testing.assert_allclose(view, flat, rtol=1e-6, err_msg=name)


def test_a_view_of_a_tiny_image_has_its_size():
    image = np.random.default_rng(0).normal(size=(3, 3, 3)).astype(np.float32)
    assert {view.shape for view in robustness.of(image, 0).values()} == {(3, 3, 3)}


def test_what_is_kept_is_a_share_of_a_score_above_zero():
    own = np.array([10.0, 0.0, -3.0, np.nan, np.inf])
    found = robustness.retained(
        own, {"translation": np.array([5.0, 1, 1, 1, 1]), "noise": np.array([12.0, 1, 1, 1, np.inf])}
    )
    assert (found["retained_translation"][0], found["retained_noise"][0], found["robustness"][0]) == (
        0.5,
        1.2,
        0.85,
    )
    assert all(np.isnan(values[1:]).all() for values in found.values())
