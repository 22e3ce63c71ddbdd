"""PNG files, against Pillow's decoder."""

import io

import numpy as np
import pytest
from PIL import Image

from deepvis.core import png


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (1, 1, 3), (9, 1, 3), (1, 9, 3), (33, 20, 3), (6, 11, 4)])
def test_pillow_reads_the_very_pixels(shape, is_packed):
    rng = np.random.default_rng(len(shape))
    for picture in (rng.integers(0, 256, shape, np.uint8), np.full(shape, 255, np.uint8)):
        with Image.open(io.BytesIO(png.encoded(picture, is_packed))) as file:
            file.verify()  # checksums of the chunks
        with Image.open(io.BytesIO(png.encoded(picture, is_packed))) as file:
            assert file.mode == ("L" if len(shape) == 2 else {3: "RGB", 4: "RGBA"}[shape[-1]])
            np.testing.assert_array_equal(np.asarray(file), picture, strict=True)


def test_a_picture_that_is_a_view_of_another():
    whole = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    seen = whole[::-1, 3::2, :3]
    with Image.open(io.BytesIO(png.encoded(seen))) as file:
        np.testing.assert_array_equal(np.asarray(file), seen)


def test_a_white_page_is_small_and_a_smooth_picture_is_smaller_than_its_pixels():
    assert len(png.encoded(np.full((600, 500, 3), 255, np.uint8))) < 10_000
    ramp = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint8)[..., None].repeat(3, axis=2)
    assert len(png.encoded(ramp)) < ramp.size / 10


@pytest.mark.parametrize(
    "picture", [np.zeros((2, 2, 3)), np.zeros((2, 2, 2), np.uint8), np.zeros((0, 2, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ValueError, match=r"expected uint8 \[H, W\]"):
        png.encoded(picture)
