"""The laws once more on the real network: VGG16 with its published weights."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from helpers import reference
from helpers.configs import config_of, optimized, parts_of, typed_of
from omegaconf import OmegaConf

from deepvis import networks
from deepvis.ascent import gradient_ascent, objectives
from deepvis.ascent import program as graphs
from deepvis.ascent.optimize import optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.config import schema
from deepvis.sweeps import jobs

pytestmark = pytest.mark.slow

MEAN = np.array([123.68, 116.779, 103.939])


def job_of(folder, layer: str, size: int, *overrides: str) -> jobs.Job:
    return jobs.make(
        typed_of(f"layer={layer}", f"size={size}", "precision=float32", *overrides), overrides, folder
    )


@functools.cache
def network(layer: str) -> networks.Activations:
    return networks.network(OmegaConf.to_container(config_of().model)).build([layer], 128, "float32")


def images_on_the_way(job: jobs.Job) -> list[np.ndarray]:
    """A job's images after 0, 1, 2 ... steps, as its pack really computes them."""
    start, looks = optimized(job)
    return [start, *(look.image for look in looks)]


def gradient(layer: str, image: np.ndarray, index: int) -> np.ndarray:
    """Of one filter's score by one image, alone in its batch."""
    x = tf.constant(image[None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = objectives.channel(layer, tf.constant([index]))(network(layer).activations(x, [layer]))
    return tape.gradient(score, x)[0].numpy().astype(float)


@functools.cache
def gradients(layer: str, image: bytes, index: int) -> np.ndarray:
    """All presets share their start, so its gradient is computed once."""
    return gradient(layer, np.frombuffer(image, np.float32).reshape(128, 128, 3), index)


def settings(job: jobs.Job) -> tuple[dict, dict]:
    plain = schema.plain(job.cfg)
    rule = {k: v for k, v in plain["optimizer"].items() if k != "_target_"}
    return plain["reg"], rule | {"name": plain["optimizer"]["_target_"].rpartition(".")[2]}


# The late states cost 20 steps of VGG16 a preset: one chain, one mix, one of Yosinski's with his step rule.
EVERY_STATE = {
    "combined": (),
    "gildenblat_2016": ("start=raw_noise",),
    "yosinski_1": ("optimizer=progress", "start=gaussian"),
}
PRESETS = ["none", "decay", "blur", "small_norm", "yosinski_2", "yosinski_3", "yosinski_4", *EVERY_STATE]


@pytest.mark.parametrize("reg", PRESETS)
def test_each_step_of_an_ascent_equals_the_oracle(reg, tmp_path):
    late = reg in EVERY_STATE
    job = job_of(tmp_path, "block5_conv1", 128, f"reg={reg}", *EVERY_STATE.get(reg, ()), "snapshot_every=1",
                 "layer.filters=[2,7]", f"steps={20 if late else 2}")  # fmt: skip
    seen = images_on_the_way(job)
    numbers, rule = settings(job)
    for t in (0, 1, 5, 19) if late else (0, 1):
        for i, index in enumerate(job.filters):
            image, ours = seen[t][i], seen[t + 1][i]
            grad = gradients("block5_conv1", image.tobytes(), index)
            oracle = reference.next_image(image, grad, t, numbers, rule, MEAN)
            scale = max(np.abs(oracle).max(), np.abs(image).max())
            off = np.abs(ours - oracle).max(axis=2) > 1e-4 * scale
            # Of 16,384 pixels one may lie so near a percentile that float32 and float64 see it on two sides.
            assert off.sum() <= 1
            assert np.abs(ours - image).max() > 10 * 1e-4 * scale  # the step is more than the tolerance


def test_activations_equal_those_of_keras_applications():
    """Independent of models.py: channel order, the mean's place, padding, pooling, the cut."""
    keras = tf.keras.applications.VGG16(weights=None, include_top=False, input_shape=(96, 96, 3))
    loaded = networks.network(OmegaConf.to_container(config_of().model)).read("block5_conv3").layers
    for layer, (kernel, bias) in loaded.items():
        keras.get_layer(layer).set_weights([kernel, bias])
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 3)).astype(np.float32)
    pixels[0, 20:60, 30:70] = (250, 30, 60)  # something red: a swap of channels is seen
    prepared = tf.keras.applications.vgg16.preprocess_input(pixels.copy())
    layers = ["block1_conv1", "block3_conv2", "block5_conv1"]
    theirs = tf.keras.Model(keras.input, [keras.get_layer(layer).output for layer in layers])(prepared)
    ours = network("block5_conv1").activations(tf.constant(pixels - MEAN.astype(np.float32)), layers)
    assert set(ours) == set(layers)
    for layer, wanted in zip(layers, theirs, strict=True):
        scale = float(tf.reduce_max(wanted))
        np.testing.assert_allclose(ours[layer].post, wanted, rtol=0, atol=1e-4 * scale)
        np.testing.assert_array_equal(ours[layer].post, np.maximum(ours[layer].pre, 0))
        assert (ours[layer].pre.numpy() < 0).any()


def climb(layer: str, size: int, filters, batch: int, reg: str, folder) -> dict[int, tuple]:
    """20 steps of some filters: filter -> its last image and its scores."""
    named = ",".join(map(str, filters))
    job = job_of(folder, layer, size, f"reg={reg}", f"layer.filters=[{named}]", f"batch_size={batch}")
    found = optimize([ImageSpec(job.cfg, index) for index in job.filters], width=batch)
    return {index: (found.final[i], found.history["score"][:, i]) for i, index in enumerate(job.filters)}


def same(ours: dict[int, tuple], alone: dict[int, tuple]) -> None:
    for index, (image, scores) in ours.items():
        np.testing.assert_array_equal(image, alone[index][0])
        np.testing.assert_array_equal(scores, alone[index][1])


def test_twenty_steps_packed_equal_alone_bitwise_in_any_batch_and_order(tmp_path):
    filters = list(range(8))
    alone = climb("block3_conv1", 64, filters, 1, "combined", tmp_path)
    for one, other in itertools.combinations(alone.values(), 2):
        assert (one[0] != other[0]).mean() > 0.5
    same(climb("block3_conv1", 64, filters, 4, "combined", tmp_path), alone)
    shuffled = [5, 0, 7, 2, 6, 1, 4, 3, *range(8, 16)]
    whole = climb("block3_conv1", 64, shuffled, 16, "combined", tmp_path)
    same({index: whole[index] for index in filters}, alone)


def test_twenty_steps_of_a_deep_layer_packed_equal_alone_bitwise(tmp_path):
    packed = climb("block5_conv1", 128, [3, 1, 0, 2], 4, "combined", tmp_path)
    alone = climb("block5_conv1", 128, [0, 3], 1, "combined", tmp_path)
    same(alone, packed)


def test_no_gradient_leaks_between_images():
    image = tf.constant(np.random.default_rng(0).uniform(0, 20, (3, 48, 48, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(image)
        seen = network("block5_conv1").activations(image, ["block5_conv1"])
        one = objectives.channel("block5_conv1", tf.constant([1, 2, 3]))(seen)[1]
    grad = tape.gradient(one, image).numpy()
    assert grad[1].any() and not grad[[0, 2]].any()


def test_before_its_relu_no_filter_is_stuck_where_behind_it_many_are(tmp_path):
    filters, layer = list(range(0, 512, 16)), "block5_conv3"
    cfg = job_of(tmp_path, layer, 64).cfg
    start = np.stack([graphs.start(ImageSpec(cfg, index), MEAN) for index in filters])
    steps, stuck, activations = 4, {}, network(layer).activations
    for pre in (True, False):

        def build(hyper, pre=pre):
            goal = objectives.channel(layer, hyper["filter"], pre)

            def measure(image):
                score = goal(activations(image, [layer]))
                return score, score, score, score, score

            def update(grad, memory, step):
                size = tf.sqrt(tf.reduce_mean(tf.square(grad), axis=[1, 2, 3], keepdims=True))
                return 0.9 * grad / (size + 1e-5), memory

            return parts_of(measure, update)

        hyper = {"filter": tf.constant(filters), "steps": tf.fill([len(filters)], steps)}
        made = gradient_ascent.compiled(build)
        state, record = gradient_ascent.advance(
            made, made.begin(tf.constant(start), hyper), [hyper] * (steps + 1)
        )
        stuck[pre] = (record.gradient_rms.numpy() == 0).all(axis=0)
        same_place = (state.theta.numpy() == start).all(axis=(1, 2, 3))
        np.testing.assert_array_equal(same_place, stuck[pre])
        rise = record.score.numpy()[-1] - record.score.numpy()[0]
        assert (rise[~stuck[pre]] > 0).mean() > 0.9
    assert not stuck[True].any()
    assert stuck[False].sum() > len(filters) / 2
