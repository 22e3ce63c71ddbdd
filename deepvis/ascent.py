"""The ascent: images climb their scores, all at once, on the device.

    advance(State, Hyper) -> (State, Record [B])
    finish(State, Hyper)  -> (State, Record [B], features [B, C])

One step is Yosinski's: forward, record, backward, step, regularize. Every number is per image, and
an image that has done its steps, or that is no longer finite, stands still while its neighbours go on.
What it came to is measured once more, forward only.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from deepvis.ops import choose, rms

Hyper = Mapping[str, tf.Tensor]  # one number per image, [B], under each name; "steps" is read here


class Parts(NamedTuple):
    """What a step is made of, for one set of hyperparameters."""

    # image -> score, activation, rank, margin, features
    measure: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]
    update: Callable[[tf.Tensor], tf.Tensor]  # grad -> delta
    regularize: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # (image, grad, step) -> image


class State(NamedTuple):
    """All that changes."""

    step: tf.Tensor  # [] int32: steps done
    image: tf.Tensor  # [B, H, W, C] centred pixels
    best_score: tf.Tensor  # [B]
    best_image: tf.Tensor  # [B, H, W, C]
    alive: tf.Tensor  # [B] bool: finite so far


class Record(NamedTuple):
    """What was seen of the images, each [B]."""

    score: tf.Tensor
    activation: tf.Tensor
    gradient_rms: tf.Tensor  # NaN where none was taken
    image_rms: tf.Tensor
    rank: tf.Tensor
    margin: tf.Tensor
    alive: tf.Tensor


def init(image: tf.Tensor) -> State:
    """The state before the first step."""
    batch = tf.shape(image)[:1]
    return State(tf.constant(0), image, tf.fill(batch, -float("inf")), image, tf.fill(batch, True))


def step(state: State, parts: Parts, steps: tf.Tensor) -> tuple[State, Record]:
    """One step of every image.

    Args:
      state: before it.
      parts: what it is made of.
      steps: how many each image takes, ``[B]`` int32; an image that has taken them stays as it is.

    Returns:
      The state after it, and what was seen before it moved.
    """
    with tf.GradientTape() as tape:
        tape.watch(state.image)
        score, activation, rank, margin, _ = parts.measure(state.image)
    # The gradient of a vector is that of its sum; no image enters another's score, so each keeps its own.
    grad = tape.gradient(score, state.image)

    moved = parts.regularize(state.image + parts.update(grad), grad, state.step)
    going = state.step < steps
    stays_finite = tf.reduce_all(tf.math.is_finite(moved), axis=[1, 2, 3])
    alive = state.alive & (tf.math.is_finite(score) & stays_finite | ~going)
    record = Record(score, activation, rms(grad), rms(state.image), rank, margin, alive)
    state = _kept_best(state, score, going)
    return state._replace(
        step=state.step + 1, image=choose(alive & going, moved, state.image), alive=alive
    ), record


def finish(state: State, parts: Parts, steps: tf.Tensor) -> tuple[State, Record, tf.Tensor]:
    """What the images came to: measured once more, without a gradient.

    Args:
      state: after their steps; an image that has not done them all yet is measured, and nothing more.
      parts: what a step is made of.
      steps: how many each image takes, ``[B]`` int32.

    Returns:
      The state, in which the last image may be the best; what was seen; the mean of each of the layer's maps
      behind its ReLU, ``[B, C]``.
    """
    score, activation, rank, margin, features = parts.measure(state.image)
    alive = state.alive & tf.math.is_finite(score)
    none = tf.fill(tf.shape(score), float("nan"))
    record = Record(score, activation, none, rms(state.image), rank, margin, alive)
    return _kept_best(state, score, state.step >= steps), record, features


def _kept_best(state: State, score: tf.Tensor, counts: tf.Tensor) -> State:
    better = counts & (score > state.best_score)  # false for NaN
    return state._replace(
        best_score=tf.where(better, score, state.best_score),
        best_image=choose(better, state.image, state.best_image),
    )


Advance = Callable[[State, Hyper], tuple[State, Record]]
Finish = Callable[[State, Hyper], tuple[State, Record, tf.Tensor]]


def compiled(
    build: Callable[[Hyper], Parts], device: str = "cpu:0", xla: bool = False
) -> tuple[Advance, Finish]:
    """A step as one graph, and the last measurement as another.

    Args:
      build: hyperparameters -> parts. Called while tracing, so a changed number never traces again.
      device: where it runs.
      xla: let XLA compile it, which fuses a step's small operations.

    Returns:
      ``advance(state, hyper)`` and ``finish(state, hyper)``.
    """

    def graph(work):
        @tf.function(autograph=False, reduce_retracing=False, jit_compile=xla)
        def call(state, hyper):
            with tf.device(device):
                return work(state, build(hyper), hyper["steps"])

        return call

    return graph(step), graph(finish)


def climb(advance: Advance, state: State, hyper: Hyper, n: int) -> tuple[State, Record]:
    """Several steps; nothing comes to the host between them.

    The loop is Python's. A loop in the graph kept oneDNN from some gradients of max pooling, other ones in
    every trace, which made a bfloat16 step of VGG16 up to half as long again; it was no faster otherwise.

    Args:
      advance: from `compiled`.
      state: before them.
      hyper: one number per image under each name.
      n: how many, at least 1.

    Returns:
      The state after them, and their records stacked, each ``[n, B]``.
    """
    records = []
    for _ in range(n):
        state, record = advance(state, hyper)
        records.append(record)
    return state, Record(*(tf.stack(each) for each in zip(*records, strict=True)))
