"""Networks of keras.applications as Keras itself computes them, and how far deepvis is from that.

The reference is built by the application's own constructor at the size of the image. Its layers are read by
`keras.Model(inputs, tensor)`; what is before a nonlinearity is what Keras says that the nonlinearity reads.
"""

import inspect
import re
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import special

import deepvis
from deepvis import networks
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Activation, Layer, Network

DEPTHS = {"early": 0.1, "middle": 0.5, "late": 0.95}  # of the layers with a map and a nonlinearity
UNIT = 7  # the class whose logit is raised
STEPS = 2
NONLINEAR = (keras.layers.Activation, keras.layers.ReLU)


@dataclass(frozen=True)
class Place:
    """A layer with a nonlinearity in the reference."""

    name: str
    own: bool  # the nonlinearity is the layer's own, so what is before it is no tensor of the graph
    before: Any  # symbolic tensor; what the layer itself reads, where the nonlinearity is its own
    behind: Any  # symbolic tensor


@dataclass(frozen=True)
class Checked:
    """How far deepvis is from Keras on one network, and what that cost."""

    layers: int
    smallest: int  # px of the image that the class takes
    size: int  # px of the image that was optimized
    differences: Mapping[str, float] = field(default_factory=dict)  # of a layer's largest value
    seconds: float = 0.0  # of the processor, for `STEPS` steps on the logit of one class
    memory: int = 0  # MiB at most, of the process until then
    wrong: Sequence[str] = ()  # what is said of layers and is not so
    calibrated: bool = False  # whether batch normalization had to be


def constructed(name: str, **options: Any) -> Any:
    """A network of random weights. Keras counts names for each thread, so here they begin anew."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(getattr(keras.applications, name), weights=None, **options).result()


def model(name: str, **options: Any) -> Any:
    """A network of random weights; vectors too, since Keras' zeros and ones would hide errors."""
    made = constructed(name, **options)
    draws = np.random.default_rng(0)
    for _, layer in leaves(made):
        for weight in [] if isinstance(layer, keras.layers.Normalization) else layer.weights:
            if len(weight.shape) == 1 and not weight.name.startswith("seed"):
                centre = 0.0 if weight.name in ("bias", "beta", "moving_mean") else 1.0
                weight.assign(centre + draws.uniform(-0.4, 0.4, weight.shape))
    return made


def check(name: str) -> Checked:
    """Optimize the logit of a class, and compare what deepvis says of the network with Keras' own."""
    keras.utils.set_random_seed(0)
    made = model(name)
    known = {layer.name: layer for layer in deepvis.layers(made)}
    head = class_layer(made)
    size = max(known[head].smallest, smallest_of_keras(name))
    shaped = made if made.input_shape[1] else constructed(name, input_shape=(224, 224, 3))
    wrong = misstated(shaped, known)
    sized = constructed(name, input_shape=(size, size, 3), classifier_activation=None)
    if paddings(sized) != paddings(made):  # of other sizes: the constructor computes some from the image's
        made = model(name, input_shape=(size, size, 3))
        known = {layer.name: layer for layer in deepvis.layers(made)}
    sized.set_weights(made.get_weights())
    calibrated = chaotic(sized, size)
    if calibrated:
        calibrate(sized, size)
        made.set_weights(sized.get_weights())

    began = time.process_time()
    seen = deepvis.visualize(made, head, [UNIT], steps=STEPS, size=size, reg="none", precision="float32")
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    reference = constructed(name, input_shape=(size, size, 3), classifier_activation=None)
    reference.set_weights(made.get_weights())
    network = networks.network(seen.config["model"])
    differences, classes, logits = compared(name, network, head, reference, seen.centred)
    differences["probability"] = difference(classes.post, special.softmax(logits, axis=-1))
    score = float(seen.history["score"][-1, 0])
    differences["score"] = abs(score - float(logits[0, UNIT])) / float(np.abs(logits).max())
    wrong = [*wrong, *(f"{each} is refused" for each in network.refusals())]
    smallest = known[head].smallest
    if not takes(network, head, smallest) or (smallest > 1 and takes(network, head, smallest - 1)):
        wrong.append(f"{smallest} px are not the smallest image of {head}")
    return Checked(len(known), smallest, size, differences, seconds, memory, wrong, calibrated)


def check_activations(name: str, size: int) -> dict[str, float]:
    """How far deepvis is from Keras on noise, of a network that is made for that size and gives logits."""
    keras.utils.set_random_seed(0)
    made = model(name, input_shape=(size, size, 3), classifier_activation=None)
    image = np.random.default_rng(1).uniform(-90, 90, (1, size, size, 3)).astype(np.float32)
    network = networks.network(networks.hold(made, "auto"))
    return compared(name, network, class_layer(made), made, image)[0]


def paddings(made: Any) -> list[Any]:
    """How much each layer that pads with zeros adds."""
    return [layer.padding for _, layer in leaves(made) if isinstance(layer, keras.layers.ZeroPadding2D)]


def chaotic(made: Any, size: int) -> bool:
    """Whether moving each pixel by its last bit moves the logits by more than 1e-5 of the largest."""
    image = np.random.default_rng(1).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    before, after = (np.asarray(made(x)) for x in (image, np.nextafter(image, np.float32(np.inf))))
    return bool(np.abs(after - before).max() > 1e-5 * np.abs(before).max())


def calibrate(made: Any, size: int) -> None:
    """Set what batch normalization holds to the statistics of a batch of noise, as training would."""
    normalizations = [
        layer for _, layer in leaves(made) if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in normalizations:
        layer.momentum = 0.0
    made(np.random.default_rng(2).uniform(0, 255, (32, size, size, 3)).astype(np.float32), training=True)
    for layer in normalizations:
        layer.momentum = 0.99


def class_layer(made: Any) -> str:
    """The layer that gives the classes; MobileNet has its softmax behind it."""
    return next(layer.name for layer in reversed(made.layers) if not isinstance(layer, NONLINEAR))


def compared(
    name: str, network: Network, head: str, reference: Any, image: np.ndarray
) -> tuple[dict[str, float], Activation, np.ndarray]:
    """Differences at three depths and of the logits; the classes, and Keras' logits.

    Args:
      name: of the application, whose `preprocess_input` is taken.
      network: as deepvis has it.
      head: the layer that gives the classes.
      reference: the same network for this size of image, without its softmax.
      image: centred pixels.
    """
    pixels = image + np.float32(network.centre)
    application: Any = inspect.getmodule(getattr(keras.applications, name))
    expected = values(reference, application.preprocess_input(pixels.copy()))
    logits = expected.pop("logits")[0]
    built = network.build([*expected, head], image.shape[1:3], "float32")
    found = built.activations(tf.constant(image), [*expected, head])
    differences = {}
    for depth, layer in zip(DEPTHS, expected, strict=True):
        differences[f"{depth}, before"] = difference(found[layer].pre, expected[layer][0])
        differences[f"{depth}, behind"] = difference(found[layer].post, expected[layer][1])
    differences["logit"] = difference(found[head].pre, logits)
    return differences, found[head], logits


def smallest_of_keras(name: str) -> int:
    """The smallest image that the constructor takes, as it says when it is given a smaller one."""
    try:
        getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(1, 1, 3))
    except ValueError as err:
        return int(re.search(r"at least (\d+)x", str(err)).group(1))
    return 1


def values(reference: Any, fed: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """An early, a middle and a late layer before and behind its nonlinearity, and the logits twice."""
    places = list(nonlinear(reference))
    chosen = [places[int(depth * (len(places) - 1))] for depth in DEPTHS.values()]
    assert len({place.name for place in chosen}) == len(DEPTHS)
    read = [each for place in chosen for each in (place.before, place.behind)] + [reference.output]
    *seen, logits = map(np.asarray, keras.Model(reference.inputs, read)([fed], training=False))
    found = {}
    for place, before, behind in zip(chosen, seen[::2], seen[1::2], strict=True):
        if place.own:
            before = linear(reference.get_layer(place.name), before)
        assert np.abs(before - behind).max() > 1e-3 * np.abs(before).max(), f"{place.name}: no nonlinearity"
        found[place.name] = before, behind
    return found | {"logits": (logits, logits)}


def nonlinear(reference: Any) -> Iterator[Place]:
    """The layers with a map that a nonlinearity follows, or that have one of their own."""
    readers: dict[int, list[Any]] = {}
    for layer in reference.layers:
        for tensor in keras.tree.flatten(layer.input):
            readers.setdefault(id(tensor), []).append(layer)
    for layer in reference.layers:
        if isinstance(layer.output, list) or len(layer.output.shape) != 4 or isinstance(layer, NONLINEAR):
            continue
        own = getattr(layer, "activation", None)
        if own is not None and own.__name__ != "linear":
            yield Place(layer.name, True, layer.input, layer.output)
        behind = readers.get(id(layer.output), [])
        if len(behind) == 1 and isinstance(behind[0], NONLINEAR):
            activation = getattr(behind[0], "activation", None)
            if activation is None or activation.__name__ != "linear":
                yield Place(layer.name, False, layer.output, behind[0].output)


def linear(layer: Any, values: np.ndarray) -> np.ndarray:
    """What a layer would give without its activation."""
    plain = type(layer).from_config(layer.get_config() | {"activation": "linear"})
    plain.build(values.shape)
    plain.set_weights(layer.get_weights())
    return np.asarray(plain(values))


def difference(found: Any, expected: np.ndarray) -> float:
    """The largest difference, as a part of the largest value; both must have values that differ."""
    found = np.asarray(found)
    expected = expected if expected.ndim == 4 else expected[:, None, None]
    assert found.shape == expected.shape, f"got {found.shape}, expected {expected.shape}"
    assert np.isfinite(found).all() and np.isfinite(expected).all()
    scale = float(np.abs(expected).max())
    assert scale > 1e-20 and np.ptp(expected, axis=-1).max() > 1e-3 * scale, "channels do not differ"
    if expected.shape[1] > 1:
        assert np.ptp(expected, axis=(1, 2)).max() > 1e-3 * scale, "places do not differ"
    return float(np.abs(found - expected).max()) / scale


def misstated(made: Any, known: Mapping[str, Layer]) -> Iterator[str]:
    """Layers whose channels or stride are not those of Keras' maps, at the size the network was made for."""
    height = made.input_shape[1]
    for name, layer in leaves(made):
        if name not in known:
            yield f"{name} is not listed"
            continue
        told, shape = known[name], layer.output.shape
        if told.channels != shape[-1]:
            yield f"{name} has {shape[-1]} channels, not {told.channels}"
        if (told.stride is None) != (len(shape) == 2 or shape[1:3] == (1, 1)):
            yield f"{name}: {shape} with stride {told.stride}"
        if told.stride and not 0.6 < height / (shape[1] * told.stride[0]) < 1.7:
            yield f"{name}: {shape} of {height} px is not of stride {told.stride[0]}"


def leaves(made: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The layers of a model and of the models inside of it, but for inputs."""
    for layer in made.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer, f"{path}{layer.name}/")
        elif not isinstance(layer, keras.layers.InputLayer):
            yield path + layer.name, layer


def takes(network: Network, layer: str, size: int) -> bool:
    """Whether Keras can call a layer, and those below, on an image of this size."""
    try:
        network.map_size(layer, (size, size))
    except ConfigError:
        return False
    return True
