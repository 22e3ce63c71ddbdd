"""Photographs of the studies: cut-outs are pasted exactly, and what is missing is said."""

import hashlib

import numpy as np
import photographs
from PIL import Image

GROUND = (124, 117, 104)


def test_a_cutout_is_pasted_exactly():
    chance = np.random.default_rng(0)
    cutout = chance.integers(0, 256, (4, 3, 4), np.uint8)
    cutout[0, 0, 3], cutout[1, 1, 3] = 0, 255
    picture = photographs.pasted(cutout, GROUND, 9)
    assert (picture[0, 0] == GROUND).all() and (picture[2, 3] == GROUND).all()
    assert (picture[3, 4] == cutout[1, 1, :3]).all()
    for (row, column), alpha in np.ndenumerate(cutout[..., 3]):
        for c in range(3):
            exact = (int(alpha) * int(cutout[row, column, c]) + (255 - int(alpha)) * GROUND[c]) / 255
            assert abs(int(picture[2 + row, 3 + column, c]) - exact) <= 0.5
    outside = np.ones((9, 9), bool)
    outside[2:6, 3:6] = False
    assert (picture[outside] == GROUND).all()


def test_a_cutout_loses_its_margin_and_what_is_transparent_gives_no_colour():
    whole = np.zeros((50, 80, 4), np.uint8)
    whole[..., 0] = 255  # red that nobody sees
    whole[10:30, 20:60] = (0, 200, 0, 255)
    found = photographs.scaled(Image.fromarray(whole), 20)
    assert found.shape == (10, 20, 4)
    assert (found == (0, 200, 0, 255)).all()


def test_what_is_missing_or_has_another_content_is_named(tmp_path, monkeypatch):
    packages = tmp_path / "packages"
    packages.mkdir()
    Image.new("RGB", (8, 8), (9, 8, 7)).save(packages / "one.png")
    Image.new("RGB", (8, 8)).save(packages / "changed.png")
    Image.new("RGBA", (4, 8), (200, 0, 0, 255)).save(packages / "cut.png")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in packages.iterdir()}
    rows = [("mate-backgrounds", "one.png", "scenes", digests["one.png"]),
            ("opencv-doc", "changed.png", "scenes", "0" * 16),
            ("opencv-doc", "lost.png", "scenes", "0" * 16),
            (photographs.CUTOUTS, "cut.png", "cutouts/light", digests["cut.png"])]  # fmt: skip
    (tmp_path / "list.csv").write_text(
        "package,path,folder,sha256\n" + "".join(",".join(row) + "\n" for row in rows)
    )
    monkeypatch.setattr(photographs, "LIST", tmp_path / "list.csv")
    count, missing = photographs.made(packages, tmp_path / "to")
    assert count == 2 and missing == ["opencv-doc: changed.png", "opencv-doc: lost.png"]
    assert (tmp_path / "to/scenes/one.png").read_bytes() == (packages / "one.png").read_bytes()
    light = np.asarray(Image.open(tmp_path / "to/cutouts/light/cut.png"))
    assert (
        light.shape == (256, 256, 3) and (light[0, 0] == 224).all() and (light[128, 128] == (200, 0, 0)).all()
    )
