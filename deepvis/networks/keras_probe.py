"""The probe of a network: the part that deepvis cut computes what the user's model computes, or is refused.

Before anything is optimized three images (noise, a gradient, a photograph-like one) go through the user's
model and through the part; every layer that both call is compared.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks import keras_taps
from deepvis.networks.base import Size
from deepvis.networks.keras_graph import Shape, UncallableLayerError, resized
from deepvis.networks.keras_taps import Tap
from deepvis.networks.open_graph import OpenGraph

SAME = 1e-4  # of a layer's largest value: what two ways of computing it may differ by
ALONE = 1e-3  # likewise, beside other images
MOST = 4096  # values of a layer and image that are compared, evenly spread
Pixels = Callable[[tf.Tensor], tf.Tensor]  # 0 to 255 -> what the network expects


@dataclass(frozen=True, eq=False)
class Sample:
    """What is kept of a layer's output."""

    shape: Shape
    values: np.ndarray  # [B, n]


@dataclass(frozen=True, eq=False)
class Pass:
    """What was seen of one forward pass, by ``id(layer)``, call by call."""

    outputs: dict[int, list[Sample]] = field(default_factory=dict)
    activations: dict[int, list[tuple[Sample | None, Sample | None]]] = field(default_factory=dict)


def check(network: OpenGraph, taps: Sequence[Tap], pixels: Pixels, size: Size) -> str:
    """Compare the part of a network that gives some layers with the user's model.

    Where the model does not take images of this size, its values are compared at the size it was made for.

    Args:
      network: see `OpenGraph`.
      taps: the layers.
      pixels: 0 to 255 -> what the network expects.
      size: of the image.

    Returns:
      What was compared, in words.

    Raises:
      ConfigError: a layer differs, depends on the other images of its batch, or draws random numbers; or what
        should be before a nonlinearity is not.
    """
    graph = network.graph
    read = keras_taps.tensors(taps)
    layers = [call.layer for call in graph.below(read) if isinstance(call.layer, keras.layers.Layer)]
    targets = {id(tap.call.layer) for tap in taps} & {id(layer) for layer in layers}
    names = {id(call.layer): call.name for call in reversed(graph.calls)}
    height, width = network.shape[:2]
    compared: dict[int, float] = {}
    places = []
    for at in dict.fromkeys([size, (height or size[0], width or size[1])]):
        try:
            part = resized(graph, read, network.shapes(at))
        except UncallableLayerError:
            continue
        images = pixels(tf.constant(images_of(*at, int(network.shape[-1] or 0))))
        try:
            ours = _pass(network, part, images, layers, taps)
        except Exception as err:
            reason = " ".join(str(err).split())[:300]
            raise ConfigError(
                f"size={at[0]}: Keras cannot compute {graph.name} at {at[0]} x {at[1]} px: {reason}"
            ) from err
        theirs = Pass()
        with contextlib.suppress(Exception):  # what lies above the part may not take this size
            _observe(network.model, lambda: _whole(network, images), layers, (), theirs)  # noqa: B023
        if at == size:
            # As many images as before, since kernels round otherwise in a batch of another size, and deep
            # networks enlarge that.
            same = tf.repeat(images[:1], len(images), axis=0)
            _check_taps(taps, ours, len(images))
            _check_alone(names, ours, lambda: _pass(network, part, same, layers, ()))  # noqa: B023
        differences = _differences(ours, theirs, compared.keys())
        for key, difference in differences.items():
            if difference > SAME:
                raise ConfigError(
                    f"layer {names[key]} of {graph.name}: got values from the part that deepvis cut that "
                    f"differ from the model's own by {difference:.2g} of the largest, expected the same: "
                    "the model computes more than its graph of layers says"
                )
        compared |= differences
        places += [f"{at[0]} x {at[1]} px"] * bool(differences)
        if targets <= compared.keys():
            break
    if not compared:
        return "not compared: the model itself could not be run"
    largest = max(compared.values())
    return f"{len(compared)} layers equal the model's within {largest:.1g} at {' and '.join(places)}"


def images_of(height: int, width: int, channels: int) -> np.ndarray:
    """Noise, a gradient, and a photograph-like image (1/f spectrum): float32 ``[3, H, W, C]``, 0 to 255."""
    draws = np.random.default_rng(0)
    noise = draws.uniform(0, 255, (height, width, channels))
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = (rows / max(height - 1, 1) + columns / max(width - 1, 1)) / 2 * 255
    gradient = np.stack([ramp if k % 2 == 0 else 255 - ramp for k in range(channels)], axis=-1)
    return np.stack([noise, gradient, photograph(height, width, channels, draws)]).astype(np.float32)


def photograph(height: int, width: int, channels: int, draws: np.random.Generator) -> np.ndarray:
    """An image with the spectrum of photographs: ``[H, W, C]``, mean 120, deviation 60 grey levels."""
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
    grey, colour = draws.normal(size=(height, width, 1)), draws.normal(size=(height, width, channels))
    spectrum = np.fft.fft2(grey + 0.3 * colour, axes=(0, 1))
    falling = spectrum / np.maximum(radius, 1 / max(height, width))[..., None] ** 1.2
    image = np.fft.ifft2(falling, axes=(0, 1)).real
    return np.clip(120 + 60 * (image - image.mean()) / max(image.std(), 1e-9), 0, 255)


def _whole(network: OpenGraph, images: tf.Tensor) -> Any:
    inputs = network.feed(images)
    ordered = [inputs[name] for name in network.graph.inputs]
    if len(ordered) == 1:
        return network.model(ordered[0], training=False)
    return network.model(keras.tree.pack_sequence_as(network.model.input, ordered), training=False)


def _pass(
    network: OpenGraph, part: keras.Model, images: tf.Tensor, layers: Sequence[Any], taps: Sequence[Tap]
) -> Pass:
    """A forward pass of the part."""
    inputs, seen = network.feed(images), Pass()
    activated = [tap.activated for tap in taps if tap.activated is not None]
    ordered = [inputs[name] for name in network.graph.inputs]
    _observe(part, lambda: part(ordered, training=False), layers, activated, seen)
    return seen


def _observe(
    model: keras.Model,
    compute: Callable[[], Any],
    layers: Sequence[Any],
    activated: Sequence[Any],
    seen: Pass,
) -> None:
    """Compute in float32, and take down what layers give and what their nonlinearities read and give."""

    def note(layer: Any, _: Any, out: Any) -> None:
        sample = _sample(out)
        if sample is not None:
            seen.outputs.setdefault(id(layer), []).append(sample)

    def note_activation(layer: Any, before: Any, out: Any) -> None:
        seen.activations.setdefault(id(layer), []).append((_sample(before), _sample(out)))

    with (
        keras_taps.computing_in(model, "float32"),
        keras_taps.observed(layers, "call", note),
        keras_taps.observed(activated, "activation", note_activation),
    ):
        compute()


def _sample(out: Any) -> Sample | None:
    tensors = [each for each in keras.tree.flatten(out) if tf.is_tensor(each)]
    if not tensors or not tensors[0].dtype.is_floating or not tensors[0].shape.rank:
        return None
    values = tf.reshape(tf.cast(tensors[0], tf.float32), [tensors[0].shape[0], -1])
    return Sample(tuple(tensors[0].shape), values[:, :: max(1, values.shape[1] // MOST)].numpy())


def _differences(ours: Pass, theirs: Pass, known: Any) -> dict[int, float]:
    """By layer that both called: between our first call and the nearest of theirs."""
    return {
        key: min(_difference(samples[0], each) for each in theirs.outputs[key])
        for key, samples in ours.outputs.items()
        if key in theirs.outputs and key not in known
    }


def _difference(ours: Sample, theirs: Sample) -> float:
    """The largest difference, as a part of the largest value; infinite where shapes or NaN differ."""
    a, b = ours.values, theirs.values
    finite = np.isfinite(b)
    if ours.shape != theirs.shape or not np.array_equal(np.isfinite(a), finite):
        return np.inf
    scale = float(np.abs(b[finite]).max(initial=0))
    return float(np.abs(a[finite] - b[finite]).max(initial=0)) / (scale or 1.0)


def _check_taps(taps: Sequence[Tap], ours: Pass, batch: int) -> None:
    """Layers give one value an image, and their activation's argument is what is before the nonlinearity."""
    for tap in taps:
        if id(tap.call.layer) not in ours.outputs:
            continue  # an operation, not a layer
        post = ours.outputs[id(tap.call.layer)][0]
        if post.shape[0] != batch:
            raise ConfigError(
                f"layer {tap.call.name}: gives {post.shape} for {batch} images, so its first axis is not the "
                "batch; choose another layer"
            )
        if tap.activated is not None:
            before, behind = next(iter(ours.activations.get(id(tap.activated), [])), (None, None))
            if not before or not behind or before.shape != post.shape or _difference(behind, post) > SAME:
                raise ConfigError(
                    f"layer {tap.call.name}: the values before its nonlinearity cannot be had, since it does "
                    "not return what its activation does; set objective.pre_activation=false"
                )


def _first(sample: Sample) -> Sample:
    """Of the first image."""
    return Sample(sample.shape, sample.values[:1])


def _check_alone(names: Mapping[int, str], ours: Pass, alone: Callable[[], Pass]) -> None:
    """An image's values must not depend on the other images of its batch, nor on chance."""
    single = alone()
    for key, samples in ours.outputs.items():
        if key not in single.outputs or samples[0].shape[0] == 1:
            continue
        one = single.outputs[key][0]
        if _difference(_first(samples[0]), _first(one)) <= ALONE:
            continue
        if _difference(alone().outputs[key][0], one) > 0:
            raise ConfigError(
                f"layer {names[key]}: draws random numbers at inference (two passes of one image differ), so "
                "its pictures could not be reproduced; expected a layer that repeats with training=False"
            )
        raise ConfigError(
            f"layer {names[key]}: an image's values depend on the other images of its batch (statistics over "
            "the batch), and images are optimized in batches; expected a layer that treats each image alone"
        )
