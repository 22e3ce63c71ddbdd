"""Laws of octaves: an image grows as Keras' deep dream example grows it, and its steps are shared."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.configs import job_of, optimized, typed_of
from PIL import Image

from deepvis.ascent import octaves, program, specs
from deepvis.sweeps import jobs

OCTAVES = (
    "param=octaves",
    "param.octaves=3",
    "size=[32,24]",
    "robustness=false",
    "optimizer.learning_rate=3",
)


def picture(size, channels=3, seed=0):
    return np.random.default_rng([seed, *size]).uniform(-120, 130, (*size, channels)).astype(np.float32)


def pillows(image, size):
    """Channel by channel, in float32."""
    return np.dstack([
        np.asarray(Image.fromarray(np.ascontiguousarray(image[..., k]), "F").resize(size[::-1], 3))
        for k in range(image.shape[-1])
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("count", "scale", "size", "wanted"),
    [
        (1, 1.4, (100, 100), [(100, 100)]),
        (2, 1.4, (100, 20), [(71, 14), (100, 20)]),
        (4, 1.4, (128, 128), [(47, 47), (65, 65), (91, 91), (128, 128)]),
        (3, 2.0, (33, 60), [(8, 15), (16, 30), (33, 60)]),
        (3, 1.0, (20, 20), [(20, 20)] * 3),
    ],
)
def test_sizes_fall_from_the_last_by_the_scale(count, scale, size, wanted):
    assert octaves.sizes(count, scale, size) == wanted


def test_a_parametrization_without_octaves_has_one_size():
    for name in ("pixel", "fourier"):
        static = specs.static_config(typed_of(f"param={name}"))
        assert octaves.sizes(*static.octaves, (40, 30)) == [(40, 30)]


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    ("size", "to"),
    [((16, 16), (24, 24)), ((24, 24), (16, 16)), ((17, 11), (9, 30)), ((8, 8), (8, 8)), ((8, 5), (8, 9))],
)
def test_resized_is_pillows_and_leaves_values_beyond_a_bytes(size, to, channels):
    image = picture(size, channels)
    kept = image.copy()
    resized = octaves.resized(image, to)
    assert resized.dtype == np.float32 and resized.shape == (*to, channels)
    np.testing.assert_array_equal(resized, pillows(image, to) if size != to else image)
    np.testing.assert_array_equal(image, kept)


def deep_dream(original, sizes, dream):
    """The loop of Keras' example (keras.io/examples/generative/deep_dream), its names and its order."""
    original_img = original
    successive_shapes = sizes
    shrunk_original_img = pillows(original_img, successive_shapes[0])
    img = original_img.copy()
    for shape in successive_shapes:
        img = pillows(img, shape)
        img = dream(img)
        upscaled_shrunk_original_img = pillows(shrunk_original_img, shape)
        same_size_original = pillows(original_img, shape)
        lost_detail = same_size_original - upscaled_shrunk_original_img
        img = img + lost_detail
        shrunk_original_img = pillows(original_img, shape)
    return img


@pytest.mark.parametrize("channels", [1, 3])
def test_growing_brings_the_starts_detail_back_as_keras_example_does(channels):
    """There the detail is added after an octave's climb, here before it: with a climb that only adds, one."""
    start, sizes = picture((32, 24), channels), [(16, 12), (23, 17), (32, 24)]
    dreamt = {size: picture(size, channels, seed=1) for size in sizes}
    wanted = deep_dream(start, sizes, lambda img: img + dreamt[img.shape[:2]])
    image = octaves.resized(start, sizes[0]) + dreamt[sizes[0]]
    for size in sizes[1:]:
        image = octaves.grown(image, start, size) + dreamt[size]
    np.testing.assert_allclose(image, wanted, atol=2e-3)


def test_an_octave_in_which_nothing_moved_leaves_the_start():
    start = picture((32, 24))
    image = octaves.resized(start, (16, 12))
    for size in ((23, 17), (32, 24)):
        image = octaves.grown(image, start, size)
        np.testing.assert_allclose(image, octaves.resized(start, size), atol=1e-4)


def test_what_was_climbed_is_kept():
    start = picture((32, 24))
    dreamt = np.full((16, 12, 3), 7, np.float32)
    grown = octaves.grown(octaves.resized(start, (16, 12)) + dreamt, start, (32, 24))
    np.testing.assert_allclose(grown, start + 7, atol=1e-3)


@pytest.mark.parametrize(("steps", "snapshot_every", "firsts"), [(9, 5, [0, 3, 6]), (7, 2, [0, 2, 4, 6])])
def test_a_climb_shares_its_steps_and_is_always_seen_whole(steps, snapshot_every, firsts, tmp_path):
    job = job_of(tmp_path, *OCTAVES, f"steps={steps}", f"snapshot_every={snapshot_every}")
    start, looks = optimized(job)
    assert [look.first for look in looks] == firsts
    ends = [look.first + len(look.record["score"]) for look in looks]
    assert {steps * k // 3 for k in (1, 2, 3)} <= set(ends)  # none runs over the end of an octave
    for look in looks:
        assert look.image.shape == look.best.shape == start.shape == (4, 32, 24, 3)
        assert bool(look.final_values) == (look is looks[-1])
    assert sum(len(look.record["score"]) for look in looks) == steps


def test_a_climb_by_octaves_is_a_climb_at_each_size_by_hand(tmp_path):
    """The same steps of the same graph, but the way between written down here."""
    job = job_of(tmp_path, *OCTAVES, "steps=6", "snapshot_every=1")
    start, looks = optimized(job)
    (pack,) = jobs.job_groups([job])
    made = program.compiled(pack.static_config, pack.enabled)
    numbers = specs.numbers([jobs.image_spec(pack, row) for row in pack.batches[0]])
    hyper = {name: tf.constant(values) for name, values in numbers.items()}
    shown, scores, before = [], [], None
    for size in octaves.sizes(job.cfg.param.octaves, job.cfg.param.octave_scale, (32, 24)):
        small = np.stack([pillows(each, size) for each in start])
        if before is not None:
            lost = [pillows(each, before[0].shape[:2]) for each in start]
            small = small + np.stack([pillows(x - y, size) for x, y in zip(before, lost, strict=True)])
        state = made.ascent.begin(tf.constant(small), hyper)
        for _ in range(2):
            state, seen = made.ascent.advance(state, hyper)
            scores.append(seen.score.numpy())
            shown.append(state.theta.numpy())
        before = shown[-1]
    for look, wanted in zip(looks, shown, strict=True):
        for image, other in zip(look.image, wanted, strict=True):
            np.testing.assert_allclose(
                image, pillows(other, (32, 24)) if len(other) < 32 else other, atol=1e-3
            )
    recorded = np.concatenate([look.record["score"] for look in looks])
    np.testing.assert_allclose(recorded, scores, rtol=1e-4, atol=1e-4)
