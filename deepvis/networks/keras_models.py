"""Keras networks of keras.applications, or in the caller's hand -> `KerasNetwork`; see `model_files`."""

import functools
import inspect
import itertools
import re
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deepvis.core import names
from deepvis.core.errors import ConfigError, WeightsError
from deepvis.networks import held_inputs, keras_activations, pixel_range
from deepvis.networks.keras_network import KerasNetwork, file_fingerprint
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import PREPROCESS, Preprocess, read, written

OF_TOP = 3  # layers of a kind that the top of an application may have


def application(name: str, weights: str | None, preprocess: Any, mean: Any) -> KerasNetwork:
    """A network of keras.applications, with its top.

    Args:
      name: as Keras has it.
      weights: ``imagenet``, a file, or None for random ones that repeat.
      preprocess: ``auto`` (the network's own) or what `preprocessing.read` takes.
      mean: see `KerasNetwork`.
    """
    return KerasNetwork(name, Application(name, weights), preprocess, mean)


def in_hand(
    name: str,
    held: str,
    preprocess: Any,
    mean: Any,
    optimize: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> KerasNetwork:
    """A model that `hold` took, with the inputs that came with it."""
    known = {each: _inputs.get(held, {}).get(each, value) for each, value in (inputs or {}).items()}
    return KerasNetwork(name, InHand(held), preprocess, mean, optimize, known)


_held: weakref.WeakValueDictionary[str, keras.Model] = weakref.WeakValueDictionary()
_inputs: dict[str, Mapping[str, np.ndarray]] = {}  # of models that have other inputs than the image
_numbers = itertools.count(1)


def hold(
    model: keras.Model,
    preprocess: Any,
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
) -> dict[str, Any]:
    """The config of a model in hand, as it is now.

    Nothing is kept from one call to the next: a model may be changed in ways that cannot be seen.

    Args:
      model: functional or sequential.
      preprocess: see `KerasNetwork`.
      inputs: values of the inputs that are not the image.
      optimize: the input that is the image.

    Raises:
      ConfigError: it is no Keras model.
    """
    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"model: got {type(model).__name__}, expected a Keras model or the name of a network in conf/"
        )
    held = f"{next(_numbers)} {keras_activations.digest(model)}"
    _held[held] = model
    values = {str(name): held_inputs.value(str(name), given) for name, given in (inputs or {}).items()}
    if values:
        _inputs[held] = {name: each.copy() for name, each in values.items()}  # the caller may change his
        weakref.finalize(model, _inputs.pop, held, None)
    said = {name: each.item() if each.ndim == 0 else held_inputs.described(each)
            for name, each in values.items()}  # fmt: skip
    return {"_target_": "deepvis.networks.keras_models.in_hand", "name": model.name, "held": held,
            "preprocess": preprocess, "mean": None, "optimize": optimize, "inputs": said}  # fmt: skip


@dataclass(frozen=True)
class Application:
    """A network of keras.applications; see `keras_network.Source`."""

    name: str
    weights: str | None
    initialized: bool = True  # its weights have values

    @property
    def origin(self) -> tuple[str, bool]:
        """Keras, a file, or a seed."""
        if self.weights is None:
            return "seeded", True
        return "keras imagenet" if self.weights == "imagenet" else "path", False

    def graph_only(self) -> "Application":
        """Its weights have shapes, and no values: to draw millions of them takes longer than the graph."""
        return Application(self.name, None, initialized=False)

    def fingerprint(self) -> tuple[str, int] | None:
        """Of the file of its weights."""
        if self.weights in (None, "imagenet"):
            return None
        return file_fingerprint("model.weights", self.weights, "; or imagenet, or null for random weights")

    def auto_preprocess(self, network: OpenGraph) -> Preprocess:
        """What Keras does with its pixels."""
        return application_pixels(self.name)

    def model(self) -> keras.Model:
        """Build it and read its weights."""
        constructor = _application(self.name)
        try:
            if not self.initialized:
                with keras.StatelessScope(initialize_variables=False):
                    return constructor(weights=None)
            if self.weights is None or self.weights == "imagenet":
                return constructor(weights=self.weights)
            model = constructor(weights=None)
            model.load_weights(Path(self.weights).expanduser())
        except Exception as err:  # Keras, h5py and the network each fail in their own way
            text = " ".join(str(err).split())[:300] or type(err).__name__
            advice = "expected the file of a whole network, its top included"
            if self.weights == "imagenet":
                advice = ("download it where there is a network and give model.weights=<file>; "
                          "model.weights=null is random")  # fmt: skip
            raise WeightsError(
                f"model.weights={self.weights}: no weights of {self.name}: {text}; {advice}"
            ) from err
        return model


@dataclass(frozen=True)
class InHand:
    """A model that `hold` took; see `keras_network.Source`."""

    held: str

    @property
    def origin(self) -> tuple[str, bool]:
        """The caller."""
        return "in hand", False

    def graph_only(self) -> "InHand":
        """Its weights come with it."""
        return self

    def fingerprint(self) -> None:
        """It reads no file."""

    def auto_preprocess(self, network: OpenGraph) -> Preprocess:
        """By what it contains."""
        return contained(network)

    def model(self) -> keras.Model:
        """The model itself."""
        return _held[self.held]


def contained(network: OpenGraph) -> Preprocess:
    """What a model expects of its pixels, by what it contains.

    One that scales its pixels itself takes what that takes; one that is, or begins with, a network of
    keras.applications takes what that takes; others are given 0 to 255.
    """
    channels = int(network.shape[-1] or 0)
    inside = pixel_range.scaled_inside(network)
    if inside is not None:
        return read(inside, channels)
    first = network.graph.readers(network.graph.inputs[network.image])
    nested = sorted({call.name.partition("/")[0] for call in first if "/" in call.name})
    for whole, called in [(True, network.graph.name), *((False, each) for each in nested)]:
        name = matched(called)
        path = "" if whole else f"{called}/"
        if name and channels == 3 and _is_made_like(network, path, name):
            pixels = _pixels_of_unscaled(name)
            pixel_range.warn_once(
                f"model.preprocess=auto: {written(pixels)}, as keras.applications.{name} "
                f"has it, since the model is named {called}; if it was trained otherwise, set preprocess"
            )
            return pixels
    return read("none", channels)


def application_of(network: OpenGraph) -> str | None:
    """The network of keras.applications that a model is by its name and by the kinds of its layers."""
    name = matched(network.graph.name)
    return name if name and _is_made_like(network, "", name) else None


def _is_made_like(network: OpenGraph, path: str, name: str) -> bool:
    """Whether a model, or the part of it under a path, has the layers of an application, but for its top."""
    ours = Counter(type(call.layer) for call in network.graph.calls if call.name.startswith(path))
    theirs = Counter(type(call.layer) for call in application(name, None, "none", None).graph().graph.calls)
    return all(ours[kind] >= count - OF_TOP for kind, count in theirs.items() if count > OF_TOP)


@functools.cache
def application_pixels(name: str) -> Preprocess:
    """What an application's own ``preprocess_input`` does, found by giving it pixels.

    Args:
      name: of a network in keras.applications.
    """
    return _pixels_by(vars(inspect.getmodule(_application(name)))["preprocess_input"])


def _pixels_of_unscaled(name: str) -> Preprocess:
    """Of an application that has none of its layers that scale pixels (``include_preprocessing=False``)."""
    inside = pixel_range.scaling(application(name, None, "none", None).graph())
    return _pixels_by(inside) if inside else application_pixels(name)


def _pixels_by(function: Callable[[np.ndarray], np.ndarray]) -> Preprocess:
    """What a function does with pixels [B, 1, 1, 3]."""
    black = np.asarray(function(np.zeros((1, 1, 1, 3))))[0, 0, 0]
    white = np.asarray(function(np.diag([255.0] * 3)[:, None, None]))[:, 0, 0] - black  # [image's, network's]
    order = tuple(int(k) for k in np.abs(white).argmax(axis=0))
    place = [order.index(k) for k in range(3)]
    scale = [255.0 / float(white[k, i]) for k, i in enumerate(place)]
    mean = [float(-black[i] * s) for i, s in zip(place, scale, strict=True)]
    for word in PREPROCESS:
        known = read(word, 3)
        if known.order == order and np.allclose([known.mean, known.scale], [mean, scale], rtol=1e-5):
            return known
    return replace(read({"mean": mean, "scale": scale}, 3), order=order)


def matched(name: str) -> str | None:
    """The network of keras.applications that Keras gives this name, as ``mobilenetv2_1.00_224``."""
    bare = re.sub("[_-]", "", name).lower()
    fitting = [each for each in applications() if re.fullmatch(rf"{each.lower()}[0-9.]*", bare)]
    return max(fitting, key=len, default=None)


def applications() -> dict[str, Callable[..., keras.Model]]:
    """Every network of keras.applications."""
    return {name: make for name, make in vars(keras.applications).items() if inspect.isfunction(make)}


def _application(name: str) -> Callable[..., keras.Model]:
    known = applications()
    if name not in known:
        near = names.nearest(name, known)
        raise ConfigError(f"model.name={name}: no network of keras.applications; {near}")
    return known[name]
