"""`KerasNetwork`: what deepvis knows of a network that is asked through Keras; each source is read once."""

import functools
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras

from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.networks import keras_activations, keras_damage, receptive_fields
from deepvis.networks.base import Activations, Layer, no_such_layer, weight_tags
from deepvis.networks.preprocessing import Preprocess, per_channel, read

DEFAULT_LAYER = "block5_conv1"  # of conf/config.yaml: where it is missing, nobody typed it


@dataclass(frozen=True)
class Summary:
    """What is known of a model's graph, whatever its weights."""

    layers: Mapping[str, Layer]  # those that can be visualized
    names: frozenset[str]  # of all layers, those without channels, too
    channels: int  # of the image


@dataclass(frozen=True)
class LoadedModel:
    """A model with its weights."""

    model: keras.Model
    digest: str


class Source(Protocol):
    """Where a Keras model comes from; a frozen dataclass, for it is the key of what is kept in memory."""

    def __hash__(self) -> int: ...
    @property
    def origin(self) -> tuple[str, bool]: ...  # of its weights, in words; whether they are certain
    def graph_only(self) -> "Source": ...  # of the same graph, whatever its weights
    def fingerprint(self) -> Hashable: ...  # changes when its file does; ConfigError where there is none
    def model(self) -> keras.Model: ...  # built or read anew; ConfigError, WeightsError
    def auto_preprocess(self, channels: int) -> Preprocess: ...  # what preprocess=auto means; ConfigError


@dataclass(frozen=True)
class KerasNetwork:
    """A network that Keras knows; see `Network`.

    Args:
      name: what a person calls it.
      source: of the model.
      preprocess: ``auto``, or what `preprocessing.read` takes.
      mean: grey levels that 0 stands for; None: those that follow from ``preprocess``.
    """

    name: str
    source: Source
    preprocess: Any
    mean: Any

    @property
    def channels(self) -> int:
        """Of its image."""
        return summary(self.source).channels

    @property
    def centre(self) -> tuple[float, ...]:
        """Grey levels that 0 stands for; see `Network.centre`."""
        return self.pixels().centre

    def pixels(self) -> Preprocess:
        """What it expects its pixels to be."""
        channels = self.channels
        if self.preprocess == "auto":
            pixels = self.source.auto_preprocess(channels)
        else:
            pixels = read(self.preprocess, channels)
        if self.mean is not None:
            pixels = replace(pixels, centre=per_channel("model.mean", self.mean, channels))
        return pixels

    def layers(self) -> Mapping[str, Layer]:
        """The layers that can be visualized; see `Network.layers`."""
        return summary(self.source).layers

    def layer(self, name: str, key: str = "layer.name") -> Layer:
        """The layer of that name; see `Network.layer`."""
        known = summary(self.source)
        if name in known.layers:
            return known.layers[name]
        if name in known.names:
            raise ConfigError(
                f"{key}={name}: a layer without channels, so nothing to choose from; "
                f"{names.nearest(name, known.layers)}"
            )
        if name == DEFAULT_LAYER:
            raise ConfigError(
                f"{key}={name}: {self.name} has no such layer; choose one with layer.name=..., "
                "`deepvis layers model=...` lists them"
            )
        raise no_such_layer(self, name, key)

    def map_size(self, name: str, size: int) -> int:
        """Positions along one side of a layer's map; see `Network.map_size`."""
        model = graph(self.source)
        return receptive_fields.map_size(keras_activations.flat(model), tuple(model.input_shape), name, size)

    def digest(self, layer: str) -> str:
        """The weights of the whole network, as 12 hex digits; see `Network.digest`."""
        del layer
        return loaded(self.source).digest

    def build(self, layers: Sequence[str], size: int, precision: str) -> Activations:
        """The network up to the deepest of some layers; see `Network.build`."""
        known = loaded(self.source)
        origin, verified = self.source.origin
        tags = weight_tags(origin, known.digest, verified)
        built = keras_damage.built(
            known.model,
            lambda model: keras_activations.built(model, self.pixels(), layers, size, precision),
            layers,
            size,
        )
        return replace(built, name=self.name, tags=tags)


def graph(source: Source) -> keras.Model:
    """A source's model, whatever its weights."""
    key = source.graph_only()
    return _model(key, key.fingerprint())


def summary(source: Source) -> Summary:
    """What is known of a source's graph."""
    key = source.graph_only()
    return _summary(key, key.fingerprint())


def loaded(source: Source) -> LoadedModel:
    """A source's model with its weights."""
    return _loaded(source, source.fingerprint())


@functools.lru_cache(maxsize=2)
def _model(source: Source, fingerprint: Hashable) -> keras.Model:
    # In a thread of its own Keras counts its names from one and knows no dtype policy of the caller's.
    with keras_activations.repeatable_draws(), ThreadPoolExecutor(1) as thread:
        return thread.submit(source.model).result()


@functools.lru_cache(maxsize=8)
def _summary(source: Source, fingerprint: Hashable) -> Summary:
    model = _model(source, fingerprint)
    calls = keras_activations.flat(model).calls
    return Summary(
        keras_activations.table(model), frozenset(call.name for call in calls), model.input_shape[-1]
    )


@functools.lru_cache(maxsize=2)
def _loaded(source: Source, fingerprint: Hashable) -> LoadedModel:
    kept = source.graph_only() == source
    model = _model(source, fingerprint) if kept else _model.__wrapped__(source, fingerprint)
    return LoadedModel(model, keras_activations.digest(model))
