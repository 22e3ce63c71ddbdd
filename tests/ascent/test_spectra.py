"""Laws of the spectra: the law's equation, TensorFlow's scaling, pictures, and what is believed of a file."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deepvis.ascent import spectra
from deepvis.core.errors import ConfigError

MEAN = np.array([123.68, 116.779, 103.939])


@pytest.mark.parametrize("size", [(12, 12), (9, 14), (16, 7)])
def test_the_law_is_its_equation_at_every_frequency(size):
    for channels, rows in ((3, [0, 1, 2]), (1, [0]), (5, [0] * 5)):
        ours = spectra.magnitude("law", size, np.zeros(channels))
        assert ours.shape == (channels, size[0], size[1] // 2 + 1) and ours.dtype == np.float32
        for c, k, m in np.ndindex(ours.shape):
            at_0, a, b, curve, along, averaged, round_ = spectra.LAW[rows[c]]
            y, x = min(k, size[0] - k) / size[0], m / size[1]
            down, right = y * size[0] / 512, x * size[1] / 512
            if k == m == 0:
                wanted = at_0
            else:
                f, angle = np.hypot(down, right), np.arctan2(down, right)
                wanted = a + b * np.log(f) + curve * np.log(f) ** 2
                wanted += along * np.exp(-abs(np.sin(2 * angle)) / 0.1) + round_ * (x**2 + y**2)
                wanted += averaged * (np.log(np.cos(np.pi * x) + 1e-3) + np.log(np.cos(np.pi * y) + 1e-3))
            assert ours[c, k, m] == pytest.approx(np.exp(wanted), rel=1e-4), (c, k, m)


def test_one_over_f():
    ours = spectra.magnitude("1/f", (8, 6), np.zeros(2))
    assert ours[:, 0, 0].tolist() == [0, 0]
    np.testing.assert_allclose(ours[0, 6, 1] / ours[1, 0, 3], 0.5 / np.hypot(2 / 8, 1 / 6), rtol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (20, 48), (7, 9), (64, 40)])
def test_a_file_of_another_size_is_scaled_as_the_authors_scale_it(size, tmp_path):
    magnitudes = np.random.default_rng(0).uniform(0, 9, (3, 32, 17)).astype(np.float32)
    np.save(tmp_path / "m.npy", magnitudes)
    ours = spectra.magnitude(str(tmp_path / "m.npy"), size, MEAN)
    theirs = tf.image.resize(np.moveaxis(magnitudes, 0, -1), (size[0], size[1] // 2 + 1)).numpy()
    np.testing.assert_allclose(ours, np.moveaxis(theirs, -1, 0), rtol=0, atol=1e-4)


def test_pictures_are_their_mean_magnitude_and_other_files_are_passed_over(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (12, 10, 3), dtype=np.uint8) for _ in range(2)]
    for i, each in enumerate(pictures):
        Image.fromarray(each).save(tmp_path / f"{i}.png")
    out = np.linalg.inv(spectra.colours(3)[0].astype(float))
    wanted = [np.abs(np.fft.rfft2(np.einsum("cd,yxd->cyx", out, each - MEAN))) for each in pictures]
    ours = spectra.magnitude(str(tmp_path), (12, 10), MEAN)
    np.testing.assert_allclose(ours, np.mean(wanted, axis=0), rtol=1e-4, atol=0.1)
    grey = spectra.magnitude(str(tmp_path), (12, 10), np.array([120.0]))
    lightness = [np.asarray(Image.fromarray(each).convert("L"), float) - 120 for each in pictures]
    wanted = np.mean([np.abs(np.fft.rfft2(each)) for each in lightness], axis=0)
    np.testing.assert_allclose(grey[0], wanted, rtol=1e-4, atol=0.1)


def test_published_is_found_by_its_digest_alone(tmp_path, monkeypatch):
    for package, name in spectra.PLACES:
        (tmp_path / package / name).parent.mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('is not imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    with pytest.raises(ConfigError, match="published: got no installed xplique") as error:
        spectra.check("published", 3)
    assert "pip install --no-deps xplique==2.0.2" in str(error.value) and "\n" not in str(error.value)
    np.save(tmp_path / "xplique" / spectra.PLACES[0][1], np.ones((3, 4, 3), np.float32))
    np.save(tmp_path / "faccent" / spectra.PLACES[2][1], np.full((3, 4, 3), 2, np.float32))
    with pytest.raises(ConfigError, match="got no installed"):  # it is there, and is another file
        spectra.magnitude("published", (4, 4), MEAN)
    content = (tmp_path / "faccent" / spectra.PLACES[2][1]).read_bytes()
    monkeypatch.setattr(spectra, "DIGEST", spectra.hashlib.sha256(content).hexdigest())
    assert spectra.magnitude("published", (4, 4), MEAN).min() == 2
    with pytest.raises(ConfigError, match=r"got float32 \(3, 4, 3\), expected numbers \(1, h"):
        spectra.check("published", 1)


@pytest.mark.parametrize(("array", "says"), [
    (np.ones((3, 4)), r"got float64 \(3, 4\), expected numbers \(3, h, w // 2 \+ 1\)"),
    (np.full((3, 4, 3), -1.0), "finite numbers of 0 or more"),
    (np.full((3, 4, 3), np.nan), "finite numbers of 0 or more"),
    (np.zeros((3, 4, 3)), "not all 0"),
    (np.array(["a"]), "expected numbers"),
])  # fmt: skip
def test_a_file_that_is_no_spectrum_is_refused(array, says, tmp_path):
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(ConfigError, match=says):
        spectra.check(str(tmp_path / "m.npy"), 3)
