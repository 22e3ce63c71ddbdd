"""The probe of a network: the part that deepvis cut computes what the user's model computes, or is refused.

Before anything is optimized three images (noise, a gradient, a photograph-like one) go through the user's model
and through the part; every layer that both call is compared.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks import keras_taps
from deepvis.networks.keras_graph import Graph, Shape, UncallableLayerError, resized
from deepvis.networks.keras_taps import Tap

SAME = 1e-4  # of a layer's largest value: what two ways of computing it may differ by
ALONE = 1e-3  # likewise, where the other images of a batch differ: other kernels round otherwise
MOST = 4096  # values of a layer and image that are compared, evenly spread
Feed = Callable[[tf.Tensor], Mapping[str, tf.Tensor]]  # pixels 0..255 -> the network's inputs by name


@dataclass(frozen=True, eq=False)
class Sample:
    """What is kept of a layer's output."""

    shape: Shape
    values: np.ndarray  # [B, n]


def probe_images(height: int, width: int, channels: int) -> np.ndarray:
    """Noise, a gradient, and a photograph-like image (1/f spectrum): float32 ``[3, H, W, C]``, 0 to 255."""
    draws = np.random.default_rng(0)
    noise = draws.uniform(0, 255, (height, width, channels))
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = (rows / max(height - 1, 1) + columns / max(width - 1, 1)) / 2 * 255
    gradient = np.stack([ramp if k % 2 == 0 else 255 - ramp for k in range(channels)], axis=-1)
    return np.stack([noise, gradient, photograph(height, width, channels, draws)]).astype(np.float32)


def photograph(height: int, width: int, channels: int, draws: np.random.Generator) -> np.ndarray:
    """An image with the spectrum of photographs: ``[H, W, C]``, mean 120 and standard deviation 60 grey levels."""
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))
    spectrum = np.fft.fft2(draws.normal(size=(height, width, 1)) + 0.3 * draws.normal(size=(height, width, channels)),
                           axes=(0, 1))  # fmt: skip
    image = np.fft.ifft2(spectrum / np.maximum(radius, 1 / max(height, width))[..., None], axes=(0, 1)).real
    return np.clip(120 + 60 * (image - image.mean()) / max(image.std(), 1e-9), 0, 255)


def check(model: keras.Model, graph: Graph, taps: Sequence[Tap], feed: Feed, shapes: Mapping[str, Shape],
          image: str) -> str:  # fmt: skip
    """Compare the part of a network that gives some layers with the user's model.

    Args:
      model: the user's.
      graph: of it.
      taps: the layers.
      feed: pixels to inputs.
      shapes: of the inputs, without the batch, at the size asked for.
      image: name of the input that is the image.

    Returns:
      What was compared, in words.

    Raises:
      ConfigError: a layer differs, depends on the other images of its batch, or draws random numbers; or what
        should be before a nonlinearity is not.
    """
    tensors = [each for tap in taps for each in (tap.pre, tap.post) if each is not None]
    layers = [c.layer for c in graph.below(tensors) if isinstance(c.layer, keras.layers.Layer)]
    names = {id(call.layer): call.name for call in reversed(graph.calls)}
    targets = {id(tap.call.layer) for tap in taps} & {id(layer) for layer in layers}
    compared: dict[int, tuple[int, int]] = {}
    largest = 0.0
    usual = {name: tuple(tensor.shape[1:]) for name, tensor in graph.inputs.items()}
    sizes = [shapes] if None in usual[image] or usual == shapes else [shapes, usual]
    for at in sizes:
        height, width, channels = (int(each or 1) for each in at[image])
        pixels = tf.constant(probe_images(height, width, channels))
        try:
            part = resized(graph, tensors, at)
        except UncallableLayerError:
            continue
        with keras_taps.computing_in(model, "float32"), keras_taps.computing_in(part, "float32"):
            ours, acts = _run(lambda: part([feed(pixels)[name] for name in graph.inputs], training=False),
                              layers, [tap.activated for tap in taps if tap.activated is not None])  # noqa: B023
            theirs, _ = _run(lambda: _whole(model, graph, feed(pixels)), layers, [], partly=True)  # noqa: B023
            if at is shapes:
                _check_taps(taps, ours, acts, len(pixels))
                one = pixels[:1]
                alone = lambda: _run(lambda: part([feed(one)[name] for name in graph.inputs], training=False), layers, [])[0]  # noqa
                _check_alone(names, ours, alone)
        for key, samples in ours.items():
            if key in compared or not theirs.get(key):
                continue
            differences = [_difference(samples[0], each) for each in theirs[key]]
            if min(differences) > SAME:
                raise ConfigError(
                    f"layer {names[key]} of {graph.name}: its values in the part that deepvis cut from the model "
                    f"differ from the model's own by {min(differences):.2g} of the largest; the model computes "
                    "more than its graph of layers says, so its pictures would be wrong"
                )
            largest = max(largest, min(differences))
            compared[key] = (height, width)
        if targets <= compared.keys():
            break
    at_sizes = " and ".join(sorted({f"{h} x {w} px" for h, w in compared.values()})) or "none"
    return f"{len(compared)} of {len(ours)} layers equal the model's within {largest:.1g} ({at_sizes})"


def _whole(model: keras.Model, graph: Graph, inputs: Mapping[str, Any]) -> Any:
    ordered = [inputs[name] for name in graph.inputs]
    if len(ordered) == 1:
        return model(ordered[0], training=False)
    return model(keras.tree.pack_sequence_as(model.input, ordered), training=False)


def _run(
    compute: Callable[[], Any], layers: Sequence[Any], activated: Sequence[Any], partly: bool = False
) -> tuple[dict[int, list[Sample]], dict[int, list[tuple[Sample, Sample]]]]:
    """What layers give, and what their nonlinearities read and give, while something is computed."""
    outputs: dict[int, list[Sample]] = {}
    pairs: dict[int, list[tuple[Sample, Sample]]] = {}

    def note(layer: Any, _: Any, out: Any) -> None:
        sample = _sample(out)
        if sample is not None:
            outputs.setdefault(id(layer), []).append(sample)

    def note_pair(layer: Any, before: Any, out: Any) -> None:
        both = _sample(before), _sample(out)
        if both[0] is not None and both[1] is not None:
            pairs.setdefault(id(layer), []).append((both[0], both[1]))

    with keras_taps.observed(layers, "call", note), keras_taps.observed(activated, "activation", note_pair):
        with contextlib.suppress(*([Exception] if partly else [])):  # what lies above may not take this size
            compute()
    return outputs, pairs


def _sample(out: Any) -> Sample | None:
    tensors = [each for each in keras.tree.flatten(out) if tf.is_tensor(each)]
    if not tensors or not tensors[0].dtype.is_floating or tensors[0].shape.rank in (0, None):
        return None
    values = tf.reshape(tf.cast(tensors[0], tf.float32), [tensors[0].shape[0], -1])
    step = max(1, values.shape[1] // MOST)
    return Sample(tuple(tensors[0].shape), values[:, ::step].numpy())


def _difference(ours: Sample, theirs: Sample) -> float:
    """The largest difference, as a part of the largest value; infinite where shapes or NaN differ."""
    a, b = ours.values, theirs.values
    if ours.shape != theirs.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return np.inf
    finite = np.isfinite(a)
    scale = float(np.abs(b, where=finite, out=np.zeros_like(b)).max(initial=0))
    return float(np.abs(a - b, where=finite, out=np.zeros_like(b)).max(initial=0)) / (scale or 1.0)


def _check_taps(taps: Sequence[Tap], ours: Mapping[int, list[Sample]], pairs: Any, batch: int) -> None:
    for tap in taps:
        if isinstance(tap.call.layer, keras.layers.Layer) and id(tap.call.layer) in ours:
            post = ours[id(tap.call.layer)][0]
            if post.shape[0] != batch:
                raise ConfigError(
                    f"layer {tap.call.name}: gives {post.shape} for {batch} images, so its first axis is not the "
                    "batch; choose another layer"
                )
            if tap.activated is not None:
                found = pairs.get(id(tap.activated), [])
                before, behind = found[0] if found else (None, None)
                if before is None or before.shape != post.shape or _difference(behind, post) > SAME:
                    raise ConfigError(
                        f"layer {tap.call.name}: the values before its nonlinearity cannot be had, since its "
                        "output is not what its activation returns; set objective.pre_activation=false"
                    )


def _check_alone(names: Mapping[int, str], ours: Mapping[int, list[Sample]], alone: Callable[[], Any]) -> None:
    """An image's values must not depend on the other images of its batch, nor on chance."""
    single = alone()
    for key, samples in ours.items():
        if key not in single or samples[0].shape[0] == single[key][0].shape[0]:
            continue
        together = Sample(single[key][0].shape, samples[0].values[:1])
        if _difference(together, single[key][0]) > ALONE:
            again = alone()[key][0]
            if _difference(again, single[key][0]) > 0:
                raise ConfigError(
                    f"layer {names[key]}: draws random numbers at inference (two passes of one image differ), so "
                    "its pictures could not be reproduced; expected a layer that repeats with training=False"
                )
            raise ConfigError(
                f"layer {names[key]}: an image's values depend on the other images of its batch (statistics over "
                "the batch), and images are optimized in batches; expected a layer that treats each image alone"
            )
