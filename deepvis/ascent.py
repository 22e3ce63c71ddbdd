"""The ascent: images climb their scores, all at once, on the device.

    advance(State, Hyper) -> (State, Record [B])

One step is Yosinski's: forward, record, backward, step, regularize. Every number is per image, and
an image that has done its steps, or that is no longer finite, stands still while its neighbours go on.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from deepvis.ops import choose, rms

Hyper = Mapping[str, tf.Tensor]  # one number per image, [B], under each name; "steps" is read here


class Parts(NamedTuple):
    """What a step is made of, for one set of hyperparameters."""

    measure: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]  # image -> score, activation, rank, margin
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
    """What one step saw before it moved, each [B]."""

    score: tf.Tensor
    activation: tf.Tensor
    gradient_rms: tf.Tensor
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
      steps: how many each image takes, ``[B]`` int32; an image that has taken them is measured only.

    Returns:
      The state after it, and what was seen before it moved.
    """
    with tf.GradientTape() as tape:
        tape.watch(state.image)
        score, activation, rank, margin = parts.measure(state.image)
    # The gradient of a vector is that of its sum; no image enters another's score, so each keeps its own.
    grad = tape.gradient(score, state.image)

    moved = parts.regularize(state.image + parts.update(grad), grad, state.step)
    going = state.step < steps
    stays_finite = tf.reduce_all(tf.math.is_finite(moved), axis=[1, 2, 3]) | ~going
    alive = state.alive & tf.math.is_finite(score) & stays_finite
    record = Record(score, activation, rms(grad), rms(state.image), rank, margin, alive)

    better = score > state.best_score  # false for NaN
    return State(
        step=state.step + 1,
        image=choose(alive & going, moved, state.image),
        best_score=tf.where(better, score, state.best_score),
        best_image=choose(better, state.image, state.best_image),
        alive=alive,
    ), record


Advance = Callable[[State, Hyper], tuple[State, Record]]


def compiled(build: Callable[[Hyper], Parts], device: str = "cpu:0", xla: bool = False) -> Advance:
    """A step as one graph.

    Args:
      build: hyperparameters -> parts. Called while tracing, so a changed number never traces again.
      device: where it runs.
      xla: let XLA compile it, which fuses a step's small operations.

    Returns:
      ``advance(state, hyper)``.
    """

    @tf.function(autograph=False, reduce_retracing=False, jit_compile=xla)
    def advance(state, hyper):
        with tf.device(device):
            return step(state, build(hyper), hyper["steps"])

    return advance


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
