"""In this process: a step beside the bare network, an ascent beside two libraries."""

import itertools

import bare
import ours
import pytest
import tensorflow as tf
from measure import FILTERS, LAYER, QUICK, ROUNDS, SIZE, STEPS, interleaved, ratio, report, timed

ALL_ON = ["reg.decay=0.95", "reg.blur=5", "reg.value_percentile=5", "reg.norm_percentile=10",
          "reg.contribution_percentile=10", "reg.clip_pixels=true"]  # fmt: skip
PRECISIONS = ("bfloat16", "float32")


def job(folder, precision, filters, *more):
    typed = [f"precision={precision}", f"layer.filters=0-{filters - 1}", f"size={SIZE}"]
    return ours.job(folder, f"layer={LAYER}", *typed, *more)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [2, 3] if QUICK else [16, 64])
def test_step_with_every_regularizer_beside_the_bare_network(benchmark, tmp_path, batch, precision):
    """A turn is a chunk of so many steps, its copy to the host included."""
    steps = max(2, 80 // batch)
    endless = [f"batch_size={batch}", f"snapshot_every={steps}", f"steps={1000 * steps}"]
    looks = ours.optimize(ours.group([job(tmp_path, precision, batch, *ALL_ON, *endless)]))
    image = tf.constant(next(looks).image)  # traces
    filters = tf.range(batch)
    call = bare.score_and_gradient(LAYER, precision)
    call(image, filters)

    def network():
        for _ in range(steps):
            _, gradient = call(image, filters)
        gradient.numpy()

    # A bound of a few per cent wants more rounds than the others.
    works = {"step": timed(lambda: next(looks)), "bare": timed(network)}
    spent = interleaved(benchmark, works, rounds=2 * ROUNDS - 1)
    at_most = {"bfloat16": "1.08", "float32": "1.04"}[precision]
    figure = f"one step, all regularizers on / bare forward and backward, batch {batch}"
    report(benchmark, ratio(figure, precision, at_most, spent["step"], spent["bare"]))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.timeout(3600)
def test_many_filters_of_a_layer_beside_the_bare_network(benchmark, tmp_path, precision):
    """Nothing is written; both take the same passes, the last forward one too. A turn is a batch."""
    chosen, side, steps = ("0-3", 32, 2) if QUICK else ("all", 64, 4)
    quiet = [f"steps={steps}", f"snapshot_every={steps}", "robustness=false", f"size={side}", "reg=none"]
    whole = ours.group([job(tmp_path, precision, FILTERS, f"layer.filters={chosen}", *quiet)])
    image = tf.constant(next(ours.optimize(whole)).image)  # traces
    call = bare.score_and_gradient(LAYER, precision)
    forward = tf.function(lambda image, filters: call(image, filters)[0], autograph=False)
    batches = itertools.cycle(tf.constant([row.column for row in batch]) for batch in whole.batches)

    def network():
        filters = next(batches)
        for _ in range(steps):
            _, gradient = call(image, filters)
        gradient.numpy()
        forward(image, filters).numpy()

    network()
    looks = ours.optimize(whole)
    works = {"ours": timed(lambda: next(looks)), "bare": timed(network)}
    spent = interleaved(benchmark, works, rounds=len(whole.batches))
    count = sum(map(len, whole.batches))
    figure = f"many filters: {count} of a layer, {side} px, {steps} steps / bare network, the same passes"
    report(benchmark, ratio(figure, precision, "1.03", spent["ours"], spent["bare"]))


def test_ascent_beside_xplique_and_tf_keras_vis(benchmark, tmp_path):
    """All warm; the libraries run in float32, and both of our precisions are compared with the same runs.

    They measure nothing at the end, so we do not measure robustness either.
    """
    libraries = pytest.importorskip("libraries", reason="make bench has an environment with both")
    network, filters = libraries.vgg16(LAYER, SIZE), range(FILTERS)
    theirs = {
        "xplique, batched": libraries.xplique_batched,
        "tf-keras-vis, its usual one at a time": libraries.tf_keras_vis_one_by_one,
        "tf-keras-vis, batched": libraries.tf_keras_vis_batched,
    }
    works = {}
    for precision in PRECISIONS:
        own = ours.group([job(tmp_path, precision, FILTERS, f"steps={STEPS}", "robustness=false")])
        next(ours.optimize(own))
        works[precision] = timed(lambda own=own: list(ours.optimize(own)))
    for name, optimize in theirs.items():
        optimize(network, filters[:1], 1)()
        works[name] = timed(optimize(network, filters, STEPS))
    spent = interleaved(benchmark, works)
    bounds = ("0.52", "1.00", "0.22", "0.42", "", "")  # the last two are for comparison only
    for (name, precision), bound in zip(itertools.product(theirs, PRECISIONS), bounds, strict=True):
        figure = f"the ascent of {FILTERS} filters / {name}"
        report(benchmark, ratio(figure, precision, bound, spent[precision], spent[name]))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_fourier_and_transforms_beside_plain_pixels(benchmark, tmp_path, precision):
    """The ascent of a published recipe beside as many plain steps; neither is looked at on the way."""
    quiet = [f"steps={STEPS}", f"snapshot_every={STEPS}", "robustness=false"]
    recipe = [
        "param=fourier",
        "transform=robust",
        "optimizer=adam",
        "optimizer.learning_rate=0.05",
        "start=fourier",
    ]
    works = {}
    for name, more in (("recipe", recipe), ("plain", ())):
        own = ours.group([job(tmp_path / name, precision, FILTERS, *quiet, *more)])
        list(ours.optimize(own))
        works[name] = timed(lambda own=own: list(ours.optimize(own)))
    spent = interleaved(benchmark, works)
    figure = f"the ascent of {FILTERS} filters, Fourier with jitter, scale and rotation / plain pixels"
    report(benchmark, ratio(figure, precision, "1.15", spent["recipe"], spent["plain"]))
