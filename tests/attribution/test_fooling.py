"""``deepvis fooling``: its steps are NumPy's, pixels stay in range, its curve is that of its images."""

import csv

import numpy as np
import pytest
from attribution.test_methods import LAYER, SIZE, UNIT, expected_gradient, tiny, unit_of, weights  # noqa: F401  fixtures
from helpers import reference
from PIL import Image

from deepvis.attribution import fooling

MEAN = np.array([123.68, 116.779, 103.939])


@pytest.mark.parametrize("name", ["sign", "gradient"])
def test_steps_are_numpys(name, tiny, weights):  # noqa: F811
    images = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3)).astype(np.float32)
    images[0, :4] = 255  # cannot go up
    rule = getattr(fooling, name)(rate=2.0)
    unit = unit_of(tiny, LAYER)
    found = fooling.fool(unit, unit, rule, images, 3)
    for k, image in enumerate(images.astype(float)):
        x, scores = image, []
        for step in range(4):
            scores.append(
                reference.score(np.maximum(reference.forward(x - MEAN, weights, LAYER)[0], 0), UNIT)
            )
            change = x - image
            np.testing.assert_allclose(found.rms[step, k], np.sqrt((change**2).mean()), rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(found.largest[step, k], np.abs(change).max(), rtol=1e-3, atol=1e-4)
            gradient = expected_gradient(x - MEAN, weights, "plain")
            added = np.sign(gradient) if name == "sign" else gradient / np.sqrt((gradient**2).mean())
            if step < 3:
                x = np.clip(x + 2 * added, 0, 255)
        np.testing.assert_allclose(found.scores[:, k], scores, rtol=1e-3)
        np.testing.assert_allclose(found.images[k], x, atol=0.01)
    assert (np.diff(found.scores, axis=0) > 0).all()
    assert found.images.min() >= -1e-4 and found.images.max() <= 255 + 1e-4


def test_without_a_gradient_nothing_moves():
    for rule in (fooling.sign(rate=1.0), fooling.gradient(rate=1.0)):
        np.testing.assert_array_equal(rule(np.zeros((2, 2, 3))), np.zeros((2, 2, 3)))


def test_the_command_tells_the_curve_of_its_images(forker, tmp_path, weights):  # noqa: F811
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    small = ["model=tiny", "layer=named", f"layer.name={LAYER}", "layer.filters=5", "size=[12,16]"]
    photographs = ["data=folder", "data.path=photos", "tracker=none"]
    said = forker.run(tmp_path, "fooling", *small, *photographs, "fooling.steps=4", "fooling.rate=3")
    assert said.code == 0, said
    (folder,) = (tmp_path / "outputs").iterdir()
    (image,) = np.load(folder / "images" / "f005.npy")
    rows = list(csv.DictReader((folder / "curves.csv").open()))
    pre = reference.forward(image.astype(float) - MEAN, weights, LAYER)[0]
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[-1]["score"]) == pytest.approx(reference.score(pre, 5), rel=1e-3)
    assert float(rows[-1]["confidence"]) == pytest.approx(reference.score(np.maximum(pre, 0), 5), rel=1e-3)
    assert float(rows[-1]["largest"]) <= 12.001 and float(rows[0]["largest"]) == pytest.approx(0, abs=1e-4)
    assert float(rows[-1]["score"]) > float(rows[0]["score"])
