"""Gradient ascent: the scores of all images rise at once, on the device.

    begin(image, Hyper)         -> State
    advance(State, Hyper)       -> (State, Record [B])
    show(theta, Hyper)          -> image
    finish(State, image, Hyper) -> (State, Record [B], features [B, C])

One step is Yosinski's: forward, record, backward, step, regularize. An image that has done its steps, or that
is no longer finite, stands still while the other images go on. What is optimized is theta, of which a
parametrization makes the image. The final values of an image are measured once more, forward only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from deepvis.ascent.ops import choose, rms, traced_for
from deepvis.ascent.parts import Parts, Record, State, begin
from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf

Hyper = Mapping[str, "tf.Tensor"]  # one number per image, [B], under each name; "steps" is read here


def gradient(theta: tf.Tensor, parts: Parts) -> tuple[tf.Tensor, tf.Tensor, Record]:
    """The gradient by theta of what is ascended, its value, ``[B]``, and the record of the forward pass.

    What is ascended is the score, less the penalties.
    """
    with tf.GradientTape() as tape:
        tape.watch(theta)
        image = parts.decode(theta)
        score, activation, rank, margin, *_ = _measured(image, parts.transform, parts)
        ascended = score if parts.penalize is None else score - parts.penalize(image)
    # The gradient of a vector is that of its sum; no image enters another's score, so they stay apart.
    grad = _given(tape.gradient(ascended, theta))
    alive = tf.math.is_finite(ascended)
    return grad, ascended, Record(score, activation, rms(grad), rms(image), rank, margin, alive)


def _measured(
    image: tf.Tensor, seen: Callable[[tf.Tensor], tf.Tensor], parts: Parts
) -> tuple[tf.Tensor, ...]:
    """What is measured of the image, and of the pictures that the network sees as it sees the image."""
    if not parts.beside:
        return parts.measure(seen(image))
    return parts.measure(seen(image), {name: seen(each) for name, each in parts.beside.items()})


def observe(image: tf.Tensor, parts: Parts) -> tuple[tuple[tf.Tensor, ...], Record]:
    """Gradients by the image, of one window of it, and the record.

    The first gradient is the score's; with accentuation there is a second one, the distance's.
    """
    with tf.GradientTape(persistent=parts.accentuation is not None) as tape:
        tape.watch(image)
        score, activation, rank, margin, _, *distance = _measured(image, parts.transform, parts)
    grads = (_given(tape.gradient(score, image)), *(_given(tape.gradient(each, image)) for each in distance))
    none = tf.fill(tf.shape(score), float("nan"))
    record = Record(score, activation, none, rms(image), rank, margin, tf.math.is_finite(score))
    return grads, record


def _given(grad: object) -> tf.Tensor:
    if grad is None:
        raise ConfigError(
            "objective: the image has no part in its score that can be differentiated (rounding, comparison, "
            "integers); choose another objective or layer, or objective.pre_activation=true"
        )
    return cast("tf.Tensor", grad)


def step(state: State, parts: Parts, steps: tf.Tensor) -> tuple[State, Record]:
    """The state after one step of every image, and the record of the images before it.

    An image that has taken its ``steps``, ``[B]`` int32, stays as it is.
    """
    if parts.alpha or parts.accentuation is not None:
        return step_from(state, *observe(parts.decode(state.theta), parts), parts, steps)
    grad, _, record = gradient(state.theta, parts)
    return _stepped(state, grad, None, record, parts, steps)


def step_from(
    state: State, of_image: tuple[tf.Tensor, ...], record: Record, parts: Parts, steps: tf.Tensor
) -> tuple[State, Record]:
    """The state after a step in which the gradients by the image are known; see `observe`."""
    of_score, *of_distance = of_image
    with tf.GradientTape(persistent=bool(of_distance)) as tape:
        tape.watch(state.theta)
        image = parts.decode(state.theta)
        ascended, known = [image], [of_score]
        if parts.penalize is not None:
            paid = parts.penalize(image)
            ascended, known = [image, paid], [of_score, -tf.ones_like(paid)]
    grad = _given(tape.gradient(ascended, state.theta, output_gradients=known))
    if parts.accentuation is not None:
        score, distance = (
            _given(tape.gradient([image], state.theta, output_gradients=[each]))
            for each in (of_score, *of_distance)
        )
        state, held = parts.accentuation.held_back(state, score, distance)
        grad -= held
    return _stepped(state, grad, of_score, record._replace(gradient_rms=rms(grad)), parts, steps)


def _stepped(
    state: State, grad: tf.Tensor, of_image: tf.Tensor | None, record: Record, parts: Parts, steps: tf.Tensor
) -> tuple[State, Record]:
    delta, memory = parts.update(grad, state.memory, state.step)
    delta = delta if parts.mask is None else parts.mask(delta)
    theta = parts.regularize(state.theta + delta, grad, state.step)
    going = state.step < steps
    stays_finite = tf.reduce_all(tf.math.is_finite(theta), axis=list(range(1, theta.shape.rank)))
    alive = state.alive & (record.alive & stays_finite | ~going)
    importance = tuple(
        choose(alive & going, before + tf.reduce_sum(tf.abs(cast("tf.Tensor", of_image)), axis=3), before)
        for before in state.importance
    )
    state = _with_best(state, record.score, going)
    return state._replace(
        step=state.step + 1, theta=choose(alive & going, theta, state.theta), memory=memory, alive=alive,
        importance=importance,
    ), record._replace(alive=alive)  # fmt: skip


def finish(state: State, image: tf.Tensor, parts: Parts, steps: tf.Tensor) -> tuple[State, Record, tf.Tensor]:
    """The final values of the images: measured once more, without a transform and without a gradient.

    Args:
      state: after their steps; an image that has not done them all yet is measured, and nothing more.
      image: of that state, or a changed copy of it, ``[B, H, W, C]``.
      parts: of a step.
      steps: of each image, ``[B]`` int32.

    Returns:
      The state, in which the last image may be the best; the record; the mean of each of the layer's maps
      behind its ReLU, ``[B, C]``.
    """
    score, activation, rank, margin, features, *_ = _measured(image, parts.whole, parts)
    alive = state.alive & tf.math.is_finite(score)
    none = tf.fill(tf.shape(score), float("nan"))
    record = Record(score, activation, none, rms(image), rank, margin, alive)
    return _with_best(state, score, state.step >= steps), record, features


def _with_best(state: State, score: tf.Tensor, counts: tf.Tensor) -> State:
    better = counts & (score > state.best_score)  # false for NaN
    return state._replace(
        best_score=tf.where(better, score, state.best_score),
        best_theta=choose(better, state.theta, state.best_theta),
    )


@dataclass(frozen=True)
class Ascent:
    """Graphs, each traced once; see the head of this module."""

    begin: Callable[[tf.Tensor, Hyper], State]
    advance: Callable[[State, Hyper], tuple[State, Record]]
    observe: Callable[[tf.Tensor, Hyper], tuple[tuple[tf.Tensor, ...], Record]]
    step_from: Callable[[State, tuple[tf.Tensor, ...], Record, Hyper], tuple[State, Record]]
    gradient: Callable[[tf.Tensor, Hyper], tuple[tf.Tensor, tf.Tensor, Record]]
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
            with tf.device(device), traced_for(xla):
                return work(*given, build(hyper), hyper["steps"])

        # TensorFlow counts traces by the lines of a function, and would warn of many that are each the first.
        distinct = functools.partial(call)
        return tf.function(distinct, autograph=False, reduce_retracing=False, jit_compile=xla)

    return Ascent(
        begin=graph(lambda image, parts, steps: begin(image, parts)),
        advance=graph(step),
        observe=graph(lambda image, parts, steps: observe(image, parts)),
        step_from=graph(step_from),
        gradient=graph(lambda theta, parts, steps: gradient(theta, parts)),
        show=graph(lambda theta, parts, steps: parts.decode(theta)),
        finish=graph(finish),
    )


def advance(ascent: Ascent, state: State, hypers: Iterable[Hyper | list[Hyper]]) -> tuple[State, Record]:
    """The state after several steps, one for each of the hyperparameters, and their records, each ``[n, B]``.

    A list of hyperparameters is one step that sees as many windows, one after the other: however many they
    are, as many images are in the network at once as without, and an image is the same in every batch.

    The loop is Python's. A loop in the graph kept oneDNN from some gradients of max pooling, other ones in
    every trace, which made a bfloat16 step of VGG16 up to half as long again; it was no faster otherwise.
    """
    records = []
    for hyper in hypers:
        if isinstance(hyper, list):
            state, record = ascent.step_from(state, *_over_windows(ascent, state.theta, hyper), hyper[0])
        else:
            state, record = ascent.advance(state, hyper)
        records.append(record)
    return state, stacked(records)


def _over_windows(
    ascent: Ascent, theta: tf.Tensor, windows: list[Hyper]
) -> tuple[tuple[tf.Tensor, ...], Record]:
    """The mean gradients by the image over some windows, and the mean record."""
    image = ascent.show(theta, windows[0])
    totals: tuple[tf.Tensor, ...] = ()
    records = []
    for hyper in windows:
        of_image, record = ascent.observe(image, hyper)
        before = totals or tuple(tf.zeros_like(image) for _ in of_image)
        totals = tuple(total + each for total, each in zip(before, of_image, strict=True))
        records.append(record)
    # One after the other: a mean over an axis is rounded otherwise for one image than for several.
    sums = [functools.reduce(tf.add, map(_as_float, values)) for values in zip(*records, strict=True)]
    means = Record(*(each / len(windows) for each in sums))
    alive = tf.reduce_all(stacked(records).alive, axis=0)
    return tuple(total / len(windows) for total in totals), means._replace(alive=alive)


def _as_float(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.float32)


def stacked(records: Iterable[Record]) -> Record:
    """Records of single steps, each [B], as one of [n, B]."""
    return Record(*(tf.stack(values) for values in zip(*records, strict=True)))
