"""Gradient ascent: the scores of all images rise at once, on the device.

    begin(image, Hyper)         -> State
    advance(State, Hyper)       -> (State, Record [B])
    show(theta, Hyper)          -> image
    finish(State, image, Hyper) -> (State, Record [B], features [B, C])

One step is Yosinski's: forward, record, backward, step, regularize. Every number is per image, and
an image that has done its steps, or that is no longer finite, stands still while the other images go on.
What is optimized is theta, of which a parametrization makes the image; of pixels it is the image itself. The
final values of an image are measured once more, forward only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, cast

from deepvis.ascent.backend import tf
from deepvis.ascent.ops import choose, rms

Hyper = Mapping[str, "tf.Tensor"]  # one number per image, [B], under each name; "steps" is read here


class Parts(NamedTuple):
    """What a step is made of, for one set of hyperparameters."""

    encode: Callable[[tf.Tensor], tf.Tensor]  # image [B, H, W, C] -> theta [B, ...]
    decode: Callable[[tf.Tensor], tf.Tensor]  # theta -> image
    transform: Callable[[tf.Tensor], tf.Tensor]  # image -> what the network sees of it in this step
    # image -> score, activation, rank, margin, features
    measure: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]
    # What the step rule remembers, from theta, and (grad, memory, step) -> (delta, memory)
    remember: Callable[[tf.Tensor], tuple[tf.Tensor, ...]]
    update: Callable[..., tuple[tf.Tensor, tuple[tf.Tensor, ...]]]
    regularize: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # (theta, grad, step) -> theta


class State(NamedTuple):
    """All that changes."""

    step: tf.Tensor  # [] int32: steps done
    theta: tf.Tensor  # [B, ...]
    memory: tuple[tf.Tensor, ...]  # of the step rule, [B, ...] each
    best_score: tf.Tensor  # [B]
    best_theta: tf.Tensor  # [B, ...]
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


def begin(image: tf.Tensor, parts: Parts) -> State:
    """The state before the first step."""
    theta = parts.encode(image)
    batch = tf.shape(image)[:1]
    return State(
        step=tf.constant(0),
        theta=theta,
        memory=parts.remember(theta),
        best_score=tf.fill(batch, -float("inf")),
        best_theta=theta,
        alive=tf.fill(batch, True),
    )


def measured(theta: tf.Tensor, parts: Parts) -> tuple[tf.Tensor, Record]:
    """The gradient of each image's score, by its theta, and what was seen on the way."""
    with tf.GradientTape() as tape:
        tape.watch(theta)
        image = parts.decode(theta)
        score, activation, rank, margin, _ = parts.measure(parts.transform(image))
    # The gradient of a vector is that of its sum; no image enters another's score, so each keeps its own.
    grad = cast("tf.Tensor", tape.gradient(score, theta))
    alive = tf.math.is_finite(score)
    return grad, Record(score, activation, rms(grad), rms(image), rank, margin, alive)


def step(state: State, parts: Parts, steps: tf.Tensor) -> tuple[State, Record]:
    """One step of every image.

    Args:
      state: before it.
      parts: what it is made of.
      steps: how many each image takes, ``[B]`` int32; an image that has taken them stays as it is.

    Returns:
      The state after it, and what was seen before it moved.
    """
    grad, seen = measured(state.theta, parts)
    delta, memory = parts.update(grad, state.memory, state.step)
    moved = parts.regularize(state.theta + delta, grad, state.step)
    going = state.step < steps
    stays_finite = tf.reduce_all(tf.math.is_finite(moved), axis=list(range(1, moved.shape.rank)))
    alive = state.alive & (seen.alive & stays_finite | ~going)
    state = _kept_best(state, seen.score, going)
    return state._replace(
        step=state.step + 1, theta=choose(alive & going, moved, state.theta), memory=memory, alive=alive
    ), seen._replace(alive=alive)


def finish(state: State, image: tf.Tensor, parts: Parts, steps: tf.Tensor) -> tuple[State, Record, tf.Tensor]:
    """What the images came to: measured once more, without a transform and without a gradient.

    Args:
      state: after their steps; an image that has not done them all yet is measured, and nothing more.
      image: of that state, or a changed copy of it, ``[B, H, W, C]``.
      parts: what a step is made of.
      steps: how many each image takes, ``[B]`` int32.

    Returns:
      The state, in which the last image may be the best; what was seen; the mean of each of the layer's maps
      behind its ReLU, ``[B, C]``.
    """
    score, activation, rank, margin, features = parts.measure(image)
    alive = state.alive & tf.math.is_finite(score)
    none = tf.fill(tf.shape(score), float("nan"))
    record = Record(score, activation, none, rms(image), rank, margin, alive)
    return _kept_best(state, score, state.step >= steps), record, features


def _kept_best(state: State, score: tf.Tensor, counts: tf.Tensor) -> State:
    better = counts & (score > state.best_score)  # false for NaN
    return state._replace(
        best_score=tf.where(better, score, state.best_score),
        best_theta=choose(better, state.theta, state.best_theta),
    )


class Ascent(NamedTuple):
    """A graph each, traced once; see the head of this module."""

    begin: Callable[[tf.Tensor, Hyper], State]
    advance: Callable[[State, Hyper], tuple[State, Record]]
    gradient: Callable[[tf.Tensor, Hyper], tuple[tf.Tensor, Record]]
    show: Callable[[tf.Tensor, Hyper], tf.Tensor]
    finish: Callable[[State, tf.Tensor, Hyper], tuple[State, Record, tf.Tensor]]


def compiled(build: Callable[[Hyper], Parts], device: str = "cpu:0", xla: bool = False) -> Ascent:
    """An ascent, as graphs.

    Args:
      build: hyperparameters -> parts. Called while tracing, so a changed number never traces again.
      device: where they run.
      xla: let XLA compile them, which fuses a step's small operations.
    """

    def graph(work):
        def call(*args):
            *given, hyper = args
            with tf.device(device):
                return work(*given, build(hyper), hyper["steps"])

        # TensorFlow counts traces by the lines of a function, and would warn of many that are each the first.
        distinct = functools.partial(call)
        return tf.function(distinct, autograph=False, reduce_retracing=False, jit_compile=xla)

    return Ascent(
        begin=graph(lambda image, parts, steps: begin(image, parts)),
        advance=graph(step),
        gradient=graph(lambda theta, parts, steps: measured(theta, parts)),
        show=graph(lambda theta, parts, steps: parts.decode(theta)),
        finish=graph(finish),
    )


def advance(made: Ascent, state: State, hypers: Iterable[Hyper]) -> tuple[State, Record]:
    """Several steps; nothing comes to the host between them.

    The loop is Python's. A loop in the graph kept oneDNN from some gradients of max pooling, other ones in
    every trace, which made a bfloat16 step of VGG16 up to half as long again; it was no faster otherwise.

    Args:
      made: from `compiled`.
      state: before them.
      hypers: those of each step; at least one.

    Returns:
      The state after them, and their records stacked, each ``[n, B]``.
    """
    records = []
    for hyper in hypers:
        state, record = made.advance(state, hyper)
        records.append(record)
    return state, stacked(records)


def stacked(records: Iterable[Record]) -> Record:
    """Records of single steps, each [B], as one of [n, B]."""
    return Record(*(tf.stack(each) for each in zip(*records, strict=True)))
