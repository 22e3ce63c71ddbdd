"""Laws of deepvis.data: which photographs a folder has, in what order, and what their images are."""

import errno
import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepvis.core import picture_files
from deepvis.core.errors import ConfigError
from deepvis.data import batches, photographs
from deepvis.data.photographs import builtin, of_folder

RNG = np.random.default_rng(0)


def picture(path, size=(30, 40), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Seven photographs at three depths, and what is none: half a file, a copy, other formats."""
    home = tmp_path / "photos"
    for name in (
        "b/dog.png",
        "b/cat.jpg",
        "a/deep/er/bird.webp",
        "a/fish.jpeg",
        "z.PNG",
        "c/1.png",
        "c/2.png",
    ):
        picture(home / name)
    whole = (home / "b/cat.jpg").read_bytes()
    (home / "b/half.jpg").write_bytes(whole[: len(whole) // 2])
    (home / "b/words.png").write_text("no picture")
    (home / "empty.jpg").touch()
    shutil.copy(home / "b/dog.png", home / "c/copy.png")
    picture(home / "old.tiff")
    (home / "readme.txt").write_text("about")
    picture(home / ".hidden/x.png")
    (home / "link").symlink_to(home / "b")
    return home


NAMES = (
    "a/deep/er/bird.webp",
    "a/fish.jpeg",
    "b/cat.jpg",
    "b/dog.png",
    "b/half.jpg",
    "c/1.png",
    "c/2.png",
    "z.PNG",
)


def test_all_depths_are_read_in_the_order_of_paths_and_nothing_is_left_out_without_a_reason(folder):
    found = of_folder(str(folder))
    assert found.names == NAMES and [path.relative_to(folder).as_posix() for path in found.paths] == [*NAMES]
    reasons = {path.relative_to(folder).as_posix(): why for path, why in found.broken}
    assert set(reasons) == {"b/words.png", "c/copy.png", "empty.jpg", "link", "old.tiff"}
    assert reasons["c/copy.png"] == "has the content of b/dog.png"
    assert "got .tiff, expected JPEG, PNG or WebP" in reasons["old.tiff"] and "link" in reasons["link"]


def test_the_digest_is_of_the_content_and_not_of_where_it_is(folder, tmp_path):
    first = of_folder(str(folder))
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    assert of_folder(str(moved)).digest == first.digest and len(set(first.digests)) == len(first)
    picture(moved / "b/dog.png")
    assert of_folder(str(moved)).digest != first.digest


@pytest.mark.parametrize("count", [1, 3, 16])
def test_batches_hold_each_photograph_once_as_a_viewer_shows_it(folder, count):
    picture(folder / "c/2.png", (50, 20))
    found = of_folder(str(folder))
    seen, broken = {}, []
    for batch in batches(found, (24, 16), count):
        assert batch.images.shape == (count, 24, 16, 3)
        broken += batch.broken
        for index, image in zip(batch.indices, batch.images.numpy(), strict=True):
            if index < 0:
                assert not image.any()
            else:
                assert index not in seen
                seen[int(index)] = image
    half = NAMES.index("b/half.jpg")
    assert sorted(seen) == [i for i in range(len(found)) if i != half] and list(seen) == sorted(seen)
    assert [index for index, _ in broken] == [half] and broken[0][1].startswith("not a whole picture")
    for index, image in seen.items():
        np.testing.assert_array_equal(image, picture_files.fitted(found.paths[index], 3, 24, 16))
    rest = [
        index for batch in batches(found, (24, 16), count, first=6) for index in batch.indices if index >= 0
    ]
    assert rest == [6, 7]


def test_orientation_alpha_and_depth_are_as_in_every_other_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255  # the upper edge, which is shown on the right
    Image.fromarray(pixels).save(tmp_path / "1.png", exif=exif)
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "2.png")  # all transparent
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "3.png")
    (batch,) = batches(of_folder(str(tmp_path)), (8, 8), 3)
    turned, transparent, deep = batch.images.numpy()
    assert (turned[:, -1] == 255).all() and not turned[:, :-1].any()
    assert (transparent == 255).all() and np.allclose(deep, 255 * 32768 / 65535)
    (grey,) = batches(of_folder(str(tmp_path)), (8, 8), 3, channels=1)
    assert grey.images.shape == (3, 8, 8, 1)


def test_labels_come_from_folders_or_a_table(folder, tmp_path):
    (folder / "z.PNG").unlink()
    found = of_folder(str(folder), "folders")
    assert found.labels == ("er", "a", "b", "b", "b", "c", "c")
    assert found.digest != of_folder(str(folder)).digest
    table = tmp_path / "labels.csv"
    names = [name for name in NAMES if name != "z.PNG"]
    table.write_text("label,path\n" + "".join(f"l{i},{name}\n" for i, name in enumerate(names)))
    assert of_folder(str(folder), str(table)).labels == tuple(f"l{i}" for i in range(7))
    table.write_text("path,label\nb/dog.png,dog\n")
    with pytest.raises(ConfigError, match=r"got none for a/deep/er/bird.webp and 5 more of 7 photographs"):
        of_folder(str(folder), str(table))
    rows = "path,label\n" + "".join(f"{name},x\n" for name in names)
    table.write_text(rows, encoding="utf-8-sig")  # as spreadsheets write it
    assert of_folder(str(folder), str(table)).labels == ("x",) * 7
    table.write_text(f"{rows}b/dog.png,y\n")
    with pytest.raises(ConfigError, match=r"got x and y for b/dog.png; expected one label"):
        of_folder(str(folder), str(table))
    table.write_text("path,label\nb/mouse.png,mouse\n")
    with pytest.raises(ConfigError, match=r"b/mouse.png and 0 more are no photographs"):
        of_folder(str(folder), str(table))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("path;label\na.png;x\n", "got the columns path;label, expected .*, by commas"),
        ("path,label\n", "got no row"),
        ("label,path\nx\n", "got row 1 with more or fewer fields than its 2 columns"),
        ("path,label\nb.png,y\na.png,x, z\n", "got row 2 with more or fewer fields than its 2 columns"),
        ("path,label\na.png,x\nb.png,y\noken.png,z\n", "oken.png and 0 more are no photographs"),
    ],
)
def test_a_table_whose_rows_would_be_misread_is_refused(tmp_path, rows, said):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "home" / name)
    (tmp_path / "home/broken.png").write_text("no picture")
    table = tmp_path / "labels.csv"
    table.write_text("path,label\na.png,x\nb.png,y\nbroken.png,z\n")
    assert of_folder(str(tmp_path / "home"), str(table)).labels == ("x", "y")
    table.write_text(rows)
    with pytest.raises(ConfigError, match=rf"data.labels=.*{said}"):
        of_folder(str(tmp_path / "home"), str(table))


def test_what_has_no_end_is_not_read(tmp_path):
    picture(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for a writer, for ever
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    found = of_folder(str(tmp_path))
    assert found.names == ("a.png",)
    assert [why for _, why in found.broken] == ["got a pipe, a socket or a device, expected a file"] * 2


def test_a_folder_that_cannot_be_read_is_listed(folder, monkeypatch):
    known = os.scandir

    def scandir(path):
        if Path(path).name == "b":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return known(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = of_folder(str(folder))
    assert (folder / "b", "a folder that cannot be read") in found.broken
    assert not any(name.startswith("b/") for name in found.names) and len(found) == 6


def test_what_has_no_photograph_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"data.path=.*none: no such folder"):
        of_folder(str(tmp_path / "none"))
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(ConfigError, match=r"got no photograph, expected JPEG, PNG or WebP.*x.png"):
        of_folder(str(tmp_path))
    with pytest.raises(ConfigError, match=r"data._target_=nowhere.x: "):
        photographs({"_target_": "nowhere.x"})


def test_packages_carry_photographs_and_one_that_is_missing_is_named(monkeypatch):
    if importlib.util.find_spec("skimage") is None:
        pytest.skip("scikit-image is not installed")
    found = builtin()
    assert len(found) == 18 and not found.broken and "astronaut.png" in found.names
    assert all(batch.broken == () for batch in batches(found, (32, 32), 18))
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "skimage" else known(name))
    with pytest.raises(ConfigError, match=r"got no skimage here.*deepvis\[photos\]"):
        builtin()
