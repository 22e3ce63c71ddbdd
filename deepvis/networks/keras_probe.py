"""The probe of a network: the part that deepvis cut computes what the user's model computes, or is refused.

Before anything is optimized three images (noise, a gradient, a photograph-like one) go through the user's
model and through the part; every layer that both call is compared.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks import forward_pass, keras_graph, keras_taps
from deepvis.networks.base import Size
from deepvis.networks.forward_pass import Part, Pass, difference
from deepvis.networks.keras_graph import UncallableLayerError, resized
from deepvis.networks.keras_taps import Tap
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess, in_range

LOG = logging.getLogger(__name__)
SAME = 1e-4  # of a layer's largest value: what two ways of computing it may differ by
ALONE = 1e-3  # likewise, beside other images
COMPILED = 0.05  # likewise, in a compiled graph: kernels round otherwise, and deep networks enlarge that
NOT_RETURNED = "its values before the nonlinearity cannot be had: it does not return what its activation does"


@dataclass(frozen=True)
class Probed:
    """What was found."""

    compared: str  # in words
    activation_calls: Mapping[str, int]  # by layer, which call of its activation gives what it returns
    without_pre_activation: Mapping[str, str]  # layers that turned out to have none, and why


def check(network: OpenGraph, taps: Sequence[Tap], pixels: Preprocess, size: Size) -> Probed:
    """Compare the part of a network that gives some layers with the user's model.

    Where the model does not take images of this size, its values are compared at the size it was made for.

    Args:
      network: see `OpenGraph`.
      taps: the layers.
      pixels: what the network expects of them.
      size: of the image.

    Raises:
      ConfigError: a layer differs, depends on the other images of its batch, draws random numbers, or lets no
        gradient through.
    """
    graph = network.graph
    read = keras_taps.tensors(taps)
    layers = [call.layer for call in graph.below(read) if isinstance(call.layer, keras.layers.Layer)]
    targets = {id(tap.call.layer) for tap in taps} & {id(layer) for layer in layers}
    names = {id(call.layer): call.name for call in reversed(graph.calls)}
    height, width = network.shape[:2]
    compared: dict[int, float] = {}
    places = []
    found: dict[str, int] = {}
    for at in dict.fromkeys([size, (height or size[0], width or size[1])]):
        try:
            part = Part(network, resized(graph, read, network.shapes(at)), layers, taps)
        except UncallableLayerError:
            continue
        images = in_range(tf.constant(images_of(*at, int(network.shape[-1] or 0))), pixels)
        ours = Pass()
        try:
            forward_pass.of_part(part, images, keras.StatelessScope(), ours)
        except Exception as err:
            failed = next((layer for layer in layers if id(layer) not in ours.outputs), layers[0])
            advice = "expected a layer that Keras computes outside of a graph, too"
            if at != (height, width) and height and width:
                advice = f"expected {height} x {width} px, which the network was made for"
            raise ConfigError(
                f"layer {names[id(failed)]} ({type(failed).__name__}): Keras cannot compute it for an image "
                f"of {at[0]} x {at[1]} px: {keras_graph.reason(err)}; {advice}"
            ) from err
        theirs = Pass()
        with contextlib.suppress(Exception):  # what lies above the part may not take this size
            forward_pass.of_model(part, images, theirs)
        if at == size:
            # As many images as before, since kernels round otherwise in a batch of another size, and deep
            # networks enlarge that.
            same = tf.repeat(images[:1], len(images), axis=0)
            _check_shapes(part, ours, len(images))
            _check_tokens(part, ours)
            found = _activation_calls(part, ours)
            _check_alone(part, names, ours, same)
            _check_places(part, names, ours, images)
            _check_gradients(part, names, images[:1], ours)
        differences = _differences(ours, theirs, compared)
        for key, off in differences.items():
            if off > SAME:
                raise ConfigError(
                    f"layer {names[key]} of {graph.name}: got values from the part that deepvis cut that "
                    f"differ from the model's own by {off:.2g} of the largest, expected the same: "
                    "the model computes more than its graph of layers says"
                )
        compared |= differences
        places += [f"{at[0]} x {at[1]} px"] * bool(differences)
        if targets <= compared.keys():
            break
    hidden = [tap.call.name for tap in taps if tap.activated is not None and tap.call.name not in found]
    if compared:
        largest = max(compared.values())
        told = f"{len(compared)} layers equal the model's within {largest:.1g} at {' and '.join(places)}"
    else:
        told = "not compared: the model itself could not be run on an image"
        LOG.warning("%s was %s", graph.name, told)
    return Probed(told, found, dict.fromkeys(hidden, NOT_RETURNED))


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


def _differences(ours: Pass, theirs: Pass, known: Mapping[int, float]) -> dict[int, float]:
    """By layer that both called: between our first call and the nearest of theirs."""
    return {
        key: min(difference(samples[0], each) for each in theirs.outputs[key])
        for key, samples in ours.outputs.items()
        if key in theirs.outputs and key not in known
    }


def _check_shapes(part: Part, ours: Pass, batch: int) -> None:
    """A layer gives one value an image, of the shape that Keras told."""
    results = dict(zip(map(id, keras_taps.tensors(part.taps)), ours.results, strict=True))
    told = dict(zip(results, part.model.outputs, strict=True))
    for tap in part.taps:
        name, got, expected = tap.call.name, results[id(tap.post)].shape, tuple(told[id(tap.post)].shape)
        if got[0] != batch:
            raise ConfigError(
                f"layer {name}: gives {got} for {batch} images, so its first axis is not the batch; "
                "choose another layer"
            )
        if len(got) != len(expected) or any(b not in (None, a) for a, b in zip(got, expected, strict=True)):
            raise ConfigError(
                f"layer {name}: gives {got} for {batch} images, but Keras was told {expected} (by its "
                "output_shape, or since its activation changes the channels); choose another layer"
            )


def _check_tokens(part: Part, ours: Pass) -> None:
    """Tokens that a layer of unknown code makes are the places they were taken to be."""
    results = dict(zip(map(id, keras_taps.tensors(part.taps)), ours.results, strict=True))
    for tap in part.taps:
        places = tap.places
        for assumption in () if places is None else places.assumed:
            samples = [results[id(each)] for each in assumption.call.inputs]
            grid = (places.grid(results[id(places.map)].shape) if places else None) or (0, 0)
            values = [each.values.reshape([n or 0 for n in each.shape])[:1] for each in samples]
            with keras.StatelessScope(), keras_taps.computing_in(part.model, "float32"):
                holds = assumption.holds(grid, values)
            if not holds:
                raise ConfigError(
                    f"layer {tap.call.name}: the tokens of {assumption.call.name} cannot be told to be "
                    f"{grid[0]} x {grid[1]} places by rows (expected one token of each place, class tokens "
                    "before them, and no mixing of places); choose another layer"
                )


def _activation_calls(part: Part, ours: Pass) -> dict[str, int]:
    """Which call of its activation gives what a layer returns; the others are not its nonlinearity."""
    results = dict(zip(map(id, keras_taps.tensors(part.taps)), ours.results, strict=True))
    found = {}
    for tap in part.taps:
        post = results[id(tap.post)]
        for k, (before, behind) in enumerate(ours.activations.get(id(tap.activated), [])):
            if before.shape == post.shape and difference(behind, post) <= SAME:
                found[tap.call.name] = k
    return found


def _check_alone(part: Part, names: Mapping[int, str], ours: Pass, copies: tf.Tensor) -> None:
    """An image's values must not depend on others in its batch, nor on chance: beside copies of itself."""
    scope = keras.StatelessScope()
    one, again = Pass(), Pass()
    for each in (one, again):
        forward_pass.of_part(part, copies, scope, each)
    batch, targets = len(copies), [tap.call.name for tap in part.taps]
    changing = _changed(names, again, one, batch, 0)
    if any(difference(a, b) > 0 for a, b in zip(again.results, one.results, strict=True)):
        raise ConfigError(
            f"layer {next(changing, targets[0])}: draws random numbers or keeps a state at inference (two "
            "passes of one image differ), so its pictures could not be reproduced; expected a layer that "
            "repeats with training=False"
        )
    rows = (map(forward_pass.first_row, pair) for pair in zip(ours.results, one.results, strict=True))
    if any(difference(a, b) > ALONE for a, b in rows if a.shape == b.shape):
        raise _depending(next(_changed(names, ours, one, batch, ALONE), targets[0]))


def _check_places(part: Part, names: Mapping[int, str], ours: Pass, images: tf.Tensor) -> None:
    """Nor on its place in the batch (sums along it, the difference to its first image), which another has."""
    moved = Pass()
    forward_pass.of_part(part, tf.roll(images, 1, axis=0), keras.StatelessScope(), moved)
    back = Pass(
        {key: [forward_pass.rolled(each) for each in found] for key, found in moved.outputs.items()},
        results=[forward_pass.rolled(each) for each in moved.results],
    )
    if any(difference(a, b) > ALONE for a, b in zip(ours.results, back.results, strict=True)):
        changed = (names[key] for key, found in ours.outputs.items()
                   if difference(found[0], back.outputs[key][0]) > ALONE)  # fmt: skip
        raise _depending(next(changed, part.taps[0].call.name))


def _depending(layer: str) -> ConfigError:
    return ConfigError(
        f"layer {layer}: an image's values depend on the other images of its batch (statistics over the "
        "batch), and images are optimized in batches; expected a layer that treats each image alone"
    )


def _changed(names: Mapping[int, str], a: Pass, b: Pass, batch: int, most: float) -> Iterator[str]:
    """The layers with a row for each image whose first row is another in another pass."""
    for key, samples in a.outputs.items():
        other = b.outputs[key][0]
        of_batch = samples[0].shape[0] == other.shape[0] == batch
        if of_batch and difference(*map(forward_pass.first_row, (samples[0], other))) > most:
            yield names[key]


def _check_gradients(part: Part, names: Mapping[int, str], image: tf.Tensor, ours: Pass) -> None:
    """The image must be able to change what is looked at, and be computed alike alone in a compiled graph."""
    try:
        by_image, reached, results = forward_pass.gradients(part, image)
    except Exception as err:  # a user's code may do anything, such as call Python
        raise ConfigError(
            f"layer {part.taps[0].call.name}: TensorFlow cannot compute its gradient by the image in a "
            f"compiled graph: {keras_graph.reason(err)}; expected code of tensors alone"
        ) from err
    for tensor, before, alone in zip(keras_taps.tensors(part.taps), ours.results, results, strict=True):
        single = forward_pass.sample(alone, None)
        if not np.isfinite(before.values).all():  # where NaN goes is the kernel's choice
            continue
        if (off := difference(single, forward_pass.first_row(before))) > COMPILED:
            of = next((t.call.name for t in part.taps if any(tensor is x for x in (t.pre, t.post))), "")
            raise ConfigError(
                f"layer {of or part.taps[0].call.name}: its values of one image alone, in a compiled graph, "
                f"differ by {off:.2g} of the largest from those beside other images, outside of one; "
                "expected a layer that reads neither the size of its batch nor whether it is compiled"
            )
    for tap in part.taps:
        found = [each for each in by_image[id(tap)] if each is not None]
        if not found:
            if not _reads_image(part, tap):
                raise ConfigError(
                    f"layer {tap.call.name}: where it is called first it does not read the image, "
                    f"{part.network.image}; choose a layer above that, or another model.optimize"
                )
            above = next((names[id(each)] for each in part.layers if id(each) in reached), tap.call.name)
            raise ConfigError(
                f"layer {tap.call.name}: no gradient reaches the image, since {above} or what it reads "
                "cannot be differentiated (rounding, comparison, integers); choose a layer below it"
            )
        if not any(np.asarray(each).any() for each in found):
            LOG.warning("layer %s: its gradient by the image is zero (seen with an image of noise), so "
                        "pictures may stay as they start", tap.call.name)  # fmt: skip


def _reads_image(part: Part, tap: Tap) -> bool:
    graph = part.network.graph
    image = graph.inputs[part.network.image]
    return any(each is image for call in graph.below([tap.post]) for each in call.inputs)
