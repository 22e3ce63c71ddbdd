"""One forward pass in float32, and what layers give in it: of a user's model, and of the part that is cut.

Keras' variables stay as they are: what layers write to them lasts as long as a scope does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.networks import keras_taps
from deepvis.networks.keras_graph import Shape
from deepvis.networks.keras_taps import Tap
from deepvis.networks.open_graph import OpenGraph

MOST = 4096  # values of a layer and image that are compared, drawn once


@dataclass(frozen=True, eq=False)
class Sample:
    """What is kept of a tensor."""

    shape: Shape
    values: np.ndarray  # [B, n]


@dataclass(frozen=True, eq=False)
class Pass:
    """What was seen of one forward pass; of layers by ``id(layer)``, call by call."""

    outputs: dict[int, list[Sample]] = field(default_factory=dict)
    activations: dict[int, list[tuple[Sample, Sample]]] = field(default_factory=dict)  # argument, returned
    results: list[Sample] = field(default_factory=list)  # of the part's outputs, all values


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a network that gives some tensors, for images of one size."""

    network: OpenGraph
    model: keras.Model
    layers: Sequence[Any]  # of it
    taps: Sequence[Tap]

    def activated(self) -> list[Any]:
        """The layers whose nonlinearity is looked into."""
        return [tap.activated for tap in self.taps if tap.activated is not None]


def of_part(part: Part, images: tf.Tensor, scope: keras.StatelessScope, seen: Pass) -> None:
    """What the part gives; ``scope`` holds what layers have written to variables."""
    with (
        scope,
        keras_taps.computing_in(part.model, "float32"),
        _taken_down(part.layers, seen),
        keras_taps.observed(part.activated(), "activation", lambda *call: _note_activation(seen, *call)),
    ):
        outputs = part.model(part.network.feed(images), training=False)
    seen.results.extend(sample(each, None) for each in keras.tree.flatten(outputs))


def of_model(part: Part, images: tf.Tensor, seen: Pass) -> None:
    """What the same layers give in the user's model, as far as it comes with such images."""
    model, inputs = part.network.model, part.network.feed(images)
    packed = inputs[0] if len(inputs) == 1 else keras.tree.pack_sequence_as(model.input, inputs)
    with keras.StatelessScope(), keras_taps.computing_in(model, "float32"), _taken_down(part.layers, seen):
        model(packed, training=False)


def gradients(part: Part, images: tf.Tensor) -> tuple[dict[int, list[Any]], set[int], list[Any]]:
    """How values change with the image.

    Returns:
      By ``id(tap)``, the gradients of what it reads by the image, None where none comes through; of taps
      where none does, ``id(layer)`` of those whose output has a part in what is read; and the part's outputs,
      as a compiled graph computes them.
    """
    outputs: list[tuple[int, tf.Tensor]] = []
    arguments: dict[int, list[tf.Tensor]] = {}

    def keep(layer: Any, argument: Any, _: Any) -> None:
        arguments.setdefault(id(layer), []).extend(_tensors(argument))

    reached: set[int] = set()
    known: dict[int, list[bool]] = {}  # by tap, which of its values have a gradient

    # Compiled, for eagerly TensorFlow computes gradients by kernels, too, and aborts in some of them.
    @tf.function(autograph=False)
    def compute(images: tf.Tensor) -> tuple[list[Any], list[Any]]:
        tape = tf.GradientTape(persistent=True)

        def watch(layer: Any, _: Any, out: Any) -> None:
            for tensor in _tensors(out)[:1]:
                tape.watch(tensor)
                outputs.append((id(layer), tensor))

        with (
            tape,
            keras.StatelessScope(),
            keras_taps.computing_in(part.model, "float32"),
            keras_taps.observed(part.layers, "call", watch),
            keras_taps.observed(part.activated(), "activation", keep),
        ):
            tape.watch(images)
            results = keras.tree.flatten(part.model(part.network.feed(images), training=False))
            found = dict(zip(map(id, keras_taps.tensors(part.taps)), results, strict=True))
            read = {
                id(tap): [found[id(each)] for each in (tap.pre, tap.post) if each is not None]
                + arguments.get(id(tap.activated), [])
                for tap in part.taps
            }
            scores = {
                # What is drawn has the shape that a value turns out to have: Python code in it says none.
                key: [
                    tf.reduce_sum(each * tf.random.stateless_normal(tf.shape(each), (0, k), dtype=each.dtype))
                    for k, each in enumerate(tensors)
                ]
                for key, tensors in read.items()
            }
        gradients = {key: [tape.gradient(each, images) for each in values] for key, values in scores.items()}
        for key, values in scores.items():
            known[key] = [each is not None for each in gradients[key]]
            if not any(known[key]):
                tensors = [tensor for _, tensor in outputs]
                for each in values:
                    by_output = zip(outputs, tape.gradient(each, tensors), strict=True)
                    reached.update(layer for (layer, _), gradient in by_output if gradient is not None)
        return [each for values in gradients.values() for each in values if each is not None], results

    # A function of its own each time; called as such, TensorFlow would warn of many traces.
    found, results = compute.get_concrete_function(images)(images)
    computed = iter(found)
    by_image = {key: [next(computed) if has else None for has in flags] for key, flags in known.items()}
    return by_image, reached, results


def difference(found: Sample, expected: Sample) -> float:
    """The largest difference, as a part of the largest value; infinite where shapes or NaN differ."""
    a, b = found.values, expected.values
    finite = np.isfinite(b)
    if found.shape != expected.shape or not np.array_equal(np.isfinite(a), finite):
        return np.inf
    scale = float(np.abs(b[finite]).max(initial=0))
    return float(np.abs(a[finite] - b[finite]).max(initial=0)) / (scale or 1.0)


def first_row(of: Sample) -> Sample:
    """Of the first image alone."""
    return Sample((1, *of.shape[1:]), of.values[:1])


def rolled(of: Sample) -> Sample:
    """Of images whose last stands first."""
    return Sample(of.shape, np.roll(of.values, -1, axis=0))


def sample(tensor: Any, most: int | None = MOST) -> Sample:
    """Some values of each image, the same of every tensor of one size; all where ``most`` is None."""
    values = tf.reshape(tf.cast(tensor, tf.float32), [tensor.shape[0], -1])
    count = int(values.shape[1] or 0)
    if most is not None and count > most:  # evenly spread ones could all be of one channel
        values = tf.gather(values, np.random.default_rng(0).integers(0, count, most), axis=1)
    return Sample(tuple(tensor.shape), values.numpy())


def _tensors(out: Any) -> list[tf.Tensor]:
    flat = keras.tree.flatten(out)
    return [each for each in flat if tf.is_tensor(each) and each.dtype.is_floating and each.shape.rank]


def _taken_down(layers: Iterable[Any], seen: Pass) -> Any:
    def note(layer: Any, _: Any, out: Any) -> None:
        for tensor in _tensors(out)[:1]:
            seen.outputs.setdefault(id(layer), []).append(sample(tensor))

    return keras_taps.observed(layers, "call", note)


def _note_activation(seen: Pass, layer: Any, argument: Any, returned: Any) -> None:
    before, behind = _tensors(argument), _tensors(returned)
    if before and behind:
        pair = sample(before[0], None), sample(behind[0], None)
        seen.activations.setdefault(id(layer), []).append(pair)
