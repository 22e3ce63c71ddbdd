"""Laws of deepvis.core.images: what a person looks at is the image, and a file is whole or not there."""

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from deepvis.core import images

MARGIN = 5
MEAN = (123.68, 116.779, 103.939)


def noise(seed, shape=(24, 24, 3), scale=1.0, shift=0.0):
    return (np.random.default_rng(seed).normal(0, scale, shape) + shift).astype(np.float32)


def pictures(count, height=7, width=7):
    """Pictures that can be told from one another and from the margin, pixel by pixel."""
    rng = np.random.default_rng(count)
    return [rng.integers(1, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def seeds_own_stitching(filters, height, width):
    """`save_filters` of the post (jacobgil/keras-filter-visualization, utils.py), rewritten.

    A square of n x n pictures, row by row, 5 px of black between them; it takes square counts only.
    """
    n = round(len(filters) ** 0.5)
    assert n * n == len(filters)
    sheet = np.zeros((n * height + (n - 1) * MARGIN, n * width + (n - 1) * MARGIN, 3), np.uint8)
    for k in range(n * n):
        i, j = divmod(k, n)
        for y in range(height):
            for x in range(width):
                sheet[(height + MARGIN) * i + y, (width + MARGIN) * j + x] = filters[k][y, x]
    return sheet


@pytest.mark.parametrize(
    ("scale", "shift"), [(1e-6, 0), (1e-3, 0), (1, 0), (1, 128), (1, -40), (250, 128), (1e6, 0), (1e6, -40)]
)
def test_contrast_has_mean_128_and_deviation_32_whatever_came_in(scale, shift):
    # Uniform noise stays within 1.8 deviations, so nothing clips.
    image = (np.random.default_rng(0).uniform(-scale, scale, (32, 32, 3)) + shift).astype(np.float32)
    seen = images.contrast(image).astype(float)
    assert seen.min() > 0 and seen.max() < 255
    np.testing.assert_allclose(seen.mean(axis=(0, 1)), 128, atol=0.1)
    assert seen.std() == pytest.approx(32, abs=0.1)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_contrast_equals_its_definition_pixel_by_pixel(channel):
    image = noise(channel)
    image[..., channel] *= 3  # one channel of much contrast: the others must not be stretched to it
    wanted = np.empty(image.shape)
    for c in range(3):
        wanted[..., c] = image[..., c].astype(float) - image[..., c].astype(float).mean()
    wanted = 128 + 32 * wanted / wanted.std()
    difference = images.contrast(image).astype(float) - np.clip(np.rint(wanted), 0, 255)
    assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 0.001  # float32 ties


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_stain_of_one_colour_keeps_its_place_and_its_colour(channel):
    image = np.zeros((16, 16, 3), np.float32)
    image[2:6, 9:12, channel] = 100
    for seen in (images.contrast(image), images.natural(image, MEAN)):
        inside, outside = seen[2:6, 9:12], seen[8:, :8]
        rise = inside.reshape(-1, 3).min(axis=0).astype(int) - outside.reshape(-1, 3).max(axis=0)
        assert rise[channel] > 50 and (np.delete(rise, channel) == 0).all(), rise


@pytest.mark.parametrize("size", [16, 100, 128])
@pytest.mark.parametrize("colour", [(0, 0, 0), (37.7, 37.7, 37.7), (0.1, 0.2, 0.3), (-11.3, 20.2, 7.77)])
def test_an_image_without_contrast_is_plain_grey(colour, size):
    """Rounding in a mean is no contrast: stretched to 32 levels it would look like a strong tint."""
    image = np.broadcast_to(np.float32(colour), (size, size, 3)).copy()
    np.testing.assert_array_equal(images.contrast(image), np.full((size, size, 3), 128, np.uint8))


def test_a_picture_minus_the_mean_comes_back_as_it_was():
    picture = np.stack([*np.meshgrid(np.arange(256), np.arange(256)), np.full((256, 256), 77)], -1)
    picture = picture.astype(np.uint8)
    centred = picture.astype(np.float32) - np.asarray(MEAN, np.float32)
    np.testing.assert_array_equal(images.natural(centred, MEAN), picture)


def test_natural_clips_and_never_wraps():
    image = np.array([[[1000, -1000, 0], [140, -130, 151.2]]], np.float32)
    np.testing.assert_array_equal(
        images.natural(image, MEAN), np.array([[[255, 0, 104], [255, 0, 255]]], np.uint8)
    )


def test_looking_changes_nothing():
    image = noise(3)
    before = image.copy()
    images.contrast(image), images.natural(image, MEAN)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("count", [1, 4, 9, 16, 64])
def test_gallery_of_a_square_count_is_the_posts(count):
    own = pictures(count)
    np.testing.assert_array_equal(images.gallery(own), seeds_own_stitching(own, 7, 7))


@pytest.mark.parametrize("count", [2, 3, 5, 7, 8, 12, 15, 17, 63])
def test_gallery_of_any_count_places_them_row_by_row_and_leaves_the_rest_black(count):
    own = pictures(count, height=6, width=8)
    columns = next(n for n in range(1, 99) if n * n >= count)
    sheet = images.gallery(own)
    covered = np.zeros(sheet.shape[:2], bool)
    for k, picture in enumerate(own):
        y, x = k // columns * (6 + MARGIN), k % columns * (8 + MARGIN)
        np.testing.assert_array_equal(sheet[y : y + 6, x : x + 8], picture)
        covered[y : y + 6, x : x + 8] = True
    assert not sheet[~covered].any()
    # The sheet ends with its last picture: no margin around it.
    assert covered[:, -1].any() and covered[-1].any()


def test_contact_sheet_holds_every_picture_below_its_name_in_order():
    rows = [pictures(3, 20, 60), pictures(3, 20, 60)[::-1]]
    sheet = images.contact_sheet(rows, ["f000", "f123"], ["decay=0.8 blur=3", "decay=0.9 blur=5", "x"])
    grid = images.grid(rows)
    top, left = sheet.shape[0] - grid.shape[0], sheet.shape[1] - grid.shape[1]
    np.testing.assert_array_equal(sheet[top:, left:], grid)
    ink = (sheet < 128).all(axis=-1)
    for j in range(3):
        assert ink[:top, left + j * 65 : left + j * 65 + 60].any(), f"column {j} has no name"
    for i in range(2):
        assert ink[top + i * 25 : top + i * 25 + 20, :left].any(), f"row {i} has no name"


@pytest.mark.parametrize("turned", [False, True])
def test_a_contact_sheet_that_is_a_strip_goes_on_beside_or_below_itself(turned):
    """16 pictures in a row or a column: four strips of four, every picture there once, in order."""
    own, names = pictures(16, 30, 30), [f"f{i:03d}" for i in range(16)]
    if turned:
        sheet = images.contact_sheet([own], ["row"], names)
    else:
        sheet = images.contact_sheet([[picture] for picture in own], names, ["x"])
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], (30, 30))
    places = [np.argwhere((windows == picture[..., 0]).all(axis=(2, 3))) for picture in own]
    assert all(len(found) == 1 for found in places)
    corners = np.array([found[0] for found in places])
    assert len(set(corners[:, 0])) == len(set(corners[:, 1])) == 4
    assert np.argsort(corners @ ([1000, 1] if turned else [1, 1000])).tolist() == list(range(16))


@pytest.mark.parametrize("side", [16, 32, 64, 120])
def test_no_word_above_a_small_picture_is_broken(side):
    """Small pictures are enlarged, pixel by pixel; a name of a layer may end a line behind its underscore."""
    (picture,), font = pictures(1, side, side), ImageFont.load_default(size=13)
    sheet = images.contact_sheet([[picture]], ["row"], ["photograph 1 random down to block2_conv1"], True)
    times = -(-images.CAPTIONED // side) if side < 70 else 1
    shown = picture.repeat(times, axis=0).repeat(times, axis=1)
    np.testing.assert_array_equal(sheet[-side * times :, -side * times :], shown)
    lines = images._broken("photograph 1 random down to block2_conv1", font, side * times)
    assert "".join(lines).replace(" ", "") == "photograph1randomdowntoblock2_conv1"
    pieces = {"photograph", "1", "random", "down", "to", "block2_", "conv1", "block2_conv1"}
    assert {word for line in lines for word in line.split()} <= pieces


def test_long_names_that_end_otherwise_are_not_cut_alike():
    sheet = images.contact_sheet([pictures(2, 20, 30)], [""], ["regularizer=0.8", "regularizer=0.9"])
    top, left = sheet.shape[0] - 20, sheet.shape[1] - 2 * 30 - images.MARGIN
    one, other = (sheet[:top, left + j * (30 + images.MARGIN) :][:, :30] for j in (0, 1))
    assert (one < 128).any() and not np.array_equal(one, other)


def test_a_saved_picture_reads_back_pixel_by_pixel(tmp_path):
    (picture,) = pictures(1, 31, 17)
    images.save(tmp_path / "a.png", picture)
    with Image.open(tmp_path / "a.png") as file:
        assert file.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(file), picture)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_save_that_fails_half_way_leaves_the_old_picture_and_nothing_else(tmp_path, monkeypatch, failure):
    old, new = pictures(2, 40, 40)
    images.save(tmp_path / "a.png", old)

    def half(self, content):
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise failure

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(type(failure)):
        images.save(tmp_path / "a.png", new)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with Image.open(tmp_path / "a.png") as file:
        np.testing.assert_array_equal(np.asarray(file), old)


def test_a_reader_never_meets_half_a_picture(tmp_path, monkeypatch):
    """While the new file is written, the name still opens the old one."""
    old, new = pictures(2, 40, 40)
    place, met = tmp_path / "live.png", []
    images.save(place, old)
    write = Path.write_bytes

    def watched(self, content):
        write(self, content)
        with Image.open(place) as file:
            met.append(np.asarray(file))

    monkeypatch.setattr(Path, "write_bytes", watched)
    images.save(place, new)
    np.testing.assert_array_equal(met[0], old)
    with Image.open(place) as file:
        np.testing.assert_array_equal(np.asarray(file), new)
