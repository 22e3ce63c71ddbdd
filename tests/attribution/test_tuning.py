"""``deepvis tuning``: photographs changed as NumPy changes them, and scores of the network itself."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from deepvis import networks
from deepvis.attribution import tuning
from deepvis.config import groups

FILL = (10.0, 20.0, 30.0)
IMAGE = np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype(np.float32)
LEVELS = {name: each.levels for name, each in tuning.ATTRIBUTES.items()}


def test_a_photograph_is_itself_at_the_neutral_level():
    for each in tuning.ATTRIBUTES.values():
        assert each.neutral in each.levels
        np.testing.assert_array_equal(
            tuning.changed(each, IMAGE, FILL)[each.levels.index(each.neutral)], IMAGE
        )


def test_changes_are_those_of_numpy():
    right = tuning.horizontal(IMAGE, 0.25, FILL)
    np.testing.assert_allclose(right[:, 2:], IMAGE[:, :-2], atol=1e-4)
    np.testing.assert_allclose(right[:, :2], np.broadcast_to(FILL, (8, 2, 3)), atol=1e-4)
    up = tuning.vertical(IMAGE, -0.25, FILL)
    np.testing.assert_allclose(up[:-2], IMAGE[2:], atol=1e-4)
    np.testing.assert_allclose(tuning.turned(IMAGE, 90, FILL), np.rot90(IMAGE), atol=1e-3)
    np.testing.assert_allclose(tuning.turned(IMAGE, -90, FILL), np.rot90(IMAGE, -1), atol=1e-3)
    np.testing.assert_allclose(tuning.lit(IMAGE, 24, FILL), np.minimum(IMAGE + 24, 255))
    ramp = np.arange(9.0)[:, None, None] * np.ones((1, 9, 3))  # a line stays one, half as steep
    np.testing.assert_allclose(tuning.scaled(ramp, 2, FILL)[:, 0, 0], 4 + (np.arange(9) - 4) / 2, atol=1e-4)
    small = tuning.scaled(np.full((9, 9, 3), 50.0), 0.5, FILL)
    assert small[4, 4, 0] == pytest.approx(50) and small[0, 0, 0] == pytest.approx(10)


def test_the_command_has_the_scores_of_the_network(forker, tmp_path):
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    for k, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / "photos" / f"{k}.png")
    typed = ["model=tiny", "layer=block2_conv2", "layer.filters=[5]", "size=16", "tracker=none",
             "data=folder", "data.path=photos"]  # fmt: skip
    said = forker.run(tmp_path, "tuning", *typed)
    assert said.code == 0, said
    (file,) = (tmp_path / "outputs").glob("*/analysis.json")
    rows = list(csv.DictReader((file.parent / "curves.csv").open()))
    assert len(rows) == 2 * sum(map(len, LEVELS.values()))
    tiny = networks.network(groups.composed({"model": "tiny"})["model"])
    built, mean = tiny.build(["block2_conv2"], (16, 16), "float32"), np.float32(tiny.centre)
    for k, photograph in enumerate(("0.png", "1.png")):
        for name, each in tuning.ATTRIBUTES.items():
            images = np.stack(tuning.changed(each, pixels[k], mean)) - mean
            maps = built.activations(images, ["block2_conv2"])["block2_conv2"].pre
            seen = [r for r in rows if (r["photograph"], r["attribute"]) == (photograph, name)]
            assert [float(r["level"]) for r in seen] == pytest.approx(list(each.levels))
            scores = maps.numpy()[..., 5].mean(axis=(1, 2))
            np.testing.assert_allclose([float(r["score"]) for r in seen], scores, rtol=1e-4, atol=1e-3)
    assert json.loads(file.read_text())["metrics"]["photographs"] == 2
    assert np.asarray(Image.open(file.parent / "f005.png")).std() > 10
