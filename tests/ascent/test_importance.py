"""Laws of windows and importance: means over windows and sums over steps, in closed form and on `tiny`."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.configs import job_of, optimized
from PIL import Image

from deepvis.ascent import gradient_ascent
from deepvis.core import images
from deepvis.results import result_folder
from deepvis.sweeps import runner
from deepvis.tracking import none

WEIGHT = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
FACTORS = np.float32([[1, 2, 6], [0.5, -1, 2]])  # of a batch of two, of three windows


def linear(hyper) -> gradient_ascent.Parts:
    """The score is a product with fixed weights, of a window that shows the image times its factor."""

    def measure(image):
        score = tf.reduce_sum(image * WEIGHT, axis=[1, 2, 3])
        return score, score, 0 * score, 0 * score, tf.zeros([2, 1])

    def update(grad, memory, step):
        return grad, memory

    def seen(image):
        return image * hyper["factor"][:, None, None, None]

    def same(image):
        return image

    return gradient_ascent.Parts(same, same, seen, measure, 0, update, lambda x, g, t: x, alpha=True)


def test_gradient_and_record_are_means_over_windows_and_importance_is_a_sum_over_steps():
    made = gradient_ascent.compiled(linear)
    windows = [{"steps": tf.constant([3, 2]), "factor": tf.constant(FACTORS[:, k])} for k in range(3)]
    state, record = gradient_ascent.advance(
        made, made.begin(tf.zeros([2, 4, 5, 3]), windows[0]), [windows] * 3
    )
    factor = FACTORS.mean(axis=1)
    steps = np.float32([3, 2])  # the second image has taken its steps after two
    np.testing.assert_allclose(state.theta, WEIGHT * (steps * factor)[:, None, None, None], rtol=1e-5)
    of_a_step = np.abs(WEIGHT * factor[:, None, None, None]).sum(axis=3)
    np.testing.assert_allclose(state.importance[0], of_a_step * steps[:, None, None], rtol=1e-5)
    first = (WEIGHT**2).sum(axis=(1, 2, 3)) * factor**2
    np.testing.assert_allclose(record.score[:2], [[0, 0], first], rtol=1e-5)
    np.testing.assert_allclose(
        record.gradient_rms[0], np.sqrt((WEIGHT**2).mean((1, 2, 3))) * abs(factor), rtol=1e-5
    )


ALPHA = ("steps=4", "snapshot_every=2", "robustness=false", "size=24", "layer.filters=0-2", "alpha=true")
WINDOWS = ("param=maco", "transform=maco", "transform.crops=3", "transform.crops_px=16", "optimizer=nadam",
           "start=gaussian")  # fmt: skip
SPECTRUM = ("param=fourier", "optimizer=adam", "start=pink")


@pytest.mark.parametrize("more", [("reg=combined",), SPECTRUM, WINDOWS])
def test_importance_changes_no_image_and_is_an_images_own(more):
    """Bit for bit, with it and without; of a batch and alone."""
    where = Path("nowhere")
    _, seen = optimized(job_of(where, *ALPHA, *more))
    _, without = optimized(job_of(where, *ALPHA, *more, "alpha=false"))
    _, alone = optimized(job_of(where, *ALPHA, *more, "layer.filters=1"))
    assert without[-1].importance is None
    np.testing.assert_array_equal(seen[-1].image, without[-1].image)
    np.testing.assert_array_equal(seen[-1].importance[1], alone[-1].importance[0])
    np.testing.assert_array_equal(seen[-1].image[1], alone[-1].image[0])
    assert (seen[-1].importance >= seen[0].importance).all() and (seen[0].importance[1] > 0).any()


def test_files_carry_the_importance_and_galleries_lie_on_white(tmp_path):
    job = job_of(tmp_path, *ALPHA)
    runner.run([job], none.NoTracker(), "sweep")
    _, seen = optimized(job)
    plain = images.contrast(seen[-1].image[1])
    for folder in ("filters", "progress/step_00004"):
        with Image.open(tmp_path / "result" / folder / "f001.png") as file:
            assert file.mode == "RGBA"
            stored = np.asarray(file)
        np.testing.assert_array_equal(stored[..., :3], plain)
        mask = seen[-1].importance[1]
        top = np.percentile(mask, 80)
        np.testing.assert_allclose(stored[..., 3], 255 * np.minimum(mask, top) / top, atol=0.51)
    with Image.open(tmp_path / "result/progress/step_00000/f001.png") as file:
        assert file.mode == "RGB"  # nothing has mattered yet
    pictures = [np.asarray(Image.open(tmp_path / f"result/filters/f00{i}.png")) for i in range(3)]
    flat = [images.on_white(each) for each in pictures]
    wanted = stored[..., :3] * (stored[..., 3:] / 255) + 255 - stored[..., 3:]
    np.testing.assert_allclose(flat[1], wanted, atol=0.51)
    np.testing.assert_array_equal(np.asarray(images.opened(tmp_path / "result/filters/f001.png")), flat[1])
    with Image.open(tmp_path / "result/gallery.png") as file:
        names = result_folder.captions(result_folder.read(tmp_path / "result"))
        np.testing.assert_array_equal(np.asarray(file), images.gallery(flat, names))


def test_a_sparse_importance_is_shown_by_its_largest_and_none_is_transparent():
    picture, mask = np.full((10, 10, 3), 9, np.uint8), np.zeros((10, 10))
    assert images.with_alpha(picture, mask)[..., 3].max() == 0
    mask[:2, :2] = 3, 6
    assert images.with_alpha(picture, mask)[0, :3, 3].tolist() == [128, 255, 0]
    assert images.with_alpha(picture, None) is picture
