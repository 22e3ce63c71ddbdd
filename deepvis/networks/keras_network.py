"""`KerasNetwork`: what deepvis knows of a network that is asked through Keras; each source is read once."""

import functools
import weakref
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np

from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.networks import (
    held_inputs,
    keras_activations,
    keras_graph,
    keras_taps,
    open_graph,
    pixel_range,
    receptive_fields,
    unit_boxes,
)
from deepvis.networks.base import Activation, Activations, Box, Layer, Size, no_such_layer, weight_tags
from deepvis.networks.keras_graph import Graph
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess, per_channel, read, written

if TYPE_CHECKING:
    import tensorflow as tf

DEFAULT_LAYER = "block5_conv1"  # of conf/config.yaml: where it is missing, nobody typed it
# By model: what its values were compared with where it was made of another framework's, in words.
COMPARED: weakref.WeakKeyDictionary[keras.Model, str] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class LoadedModel:
    """A model with its weights."""

    model: keras.Model
    graph: Graph
    digest: str


class Source(Protocol):
    """Where a Keras model comes from; a frozen dataclass, for it is the key of what is kept in memory."""

    def __hash__(self) -> int: ...
    @property
    def origin(self) -> tuple[str, bool]: ...  # of its weights, in words; whether they are certain
    def graph_only(self) -> "Source": ...  # of the same graph, whatever its weights
    def fingerprint(self) -> Hashable: ...  # changes when its file does; ConfigError where there is none
    def model(self) -> keras.Model: ...  # built or read anew; ConfigError, WeightsError
    def auto_preprocess(self, network: OpenGraph) -> Preprocess: ...  # what preprocess=auto means


@dataclass(frozen=True)
class KerasNetwork:
    """A network that Keras knows; see `Network`.

    Args:
      name: what a person calls it.
      source: of the model.
      preprocess: ``auto``, or what `preprocessing.read` takes.
      mean: grey levels that 0 stands for; None: those that follow from ``preprocess``.
      optimize: the input that is the image; None: the only one.
      inputs: of the other inputs: numbers, arrays, or files (.npy); see `held_inputs`.
    """

    name: str
    source: Source
    preprocess: Any
    mean: Any
    optimize: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        """Of its image."""
        return int(self.graph().shape[-1] or 0)

    @property
    def centre(self) -> tuple[float, ...]:
        """Grey levels that 0 stands for; see `Network.centre`."""
        return self.pixels().centre

    def graph(self) -> OpenGraph:
        """Its graph, whatever its weights."""
        key = self.source.graph_only()
        model, graph = _graph(key, key.fingerprint())
        return self._opened(model, graph)

    def _opened(self, model: keras.Model, graph: Graph) -> OpenGraph:
        return open_graph.opened(model, graph, self.optimize, self._held)

    @functools.cached_property
    def _held(self) -> Mapping[str, np.ndarray]:
        """Values of the other inputs; their files are read once."""
        return {name: held_inputs.value(name, given) for name, given in self.inputs.items()}

    def resolved(self) -> dict[str, Any]:
        """Its name, its pixels, and what its files of inputs hold; see `Network.resolved`."""
        pixels = self.pixels()
        found = {"name": self.name, "preprocess": written(pixels), "mean": list(pixels.centre)}
        if self.inputs:
            found["inputs"] = {name: held_inputs.resolved(name, each) for name, each in self.inputs.items()}
        return found

    def fingerprint(self) -> Hashable:
        """Of its file; those of its inputs have theirs in the config; see `Network.fingerprint`."""
        return self.source.fingerprint()

    def pixels(self) -> Preprocess:
        """What it expects its pixels to be."""
        if self.preprocess == "auto":
            pixels = self.source.auto_preprocess(self.graph())
        else:
            pixels = read(self.preprocess, self.channels)
        if self.mean is not None:
            pixels = replace(pixels, centre=per_channel("model.mean", self.mean, self.channels))
        return pixels

    def layers(self) -> Mapping[str, Layer]:
        """The layers that can be visualized; see `Network.layers`."""
        network = self.graph()
        return _table(network.graph, network.image)

    def refusals(self) -> Mapping[str, str]:
        """The layers that cannot, and why; see `Network.refusals`."""
        return _refusals(self.graph().graph)

    def layer(self, name: str, key: str = "layer.name") -> Layer:
        """The layer of that name; a nested one may do without its path; see `Network.layer`."""
        known = self.layers()
        if name in known:
            return known[name]
        nested = [each for each in known if each.endswith(f"/{name}")]
        if len(nested) == 1:
            return known[nested[0]]
        if nested:
            raise ConfigError(f"{key}={name}: {self.name} has {len(nested)} of them: {', '.join(nested)}")
        refused = self.refusals()
        if name in refused:
            raise ConfigError(f"{key}={name}: {refused[name]}; {names.nearest(name, known)}")
        if name == DEFAULT_LAYER:
            raise ConfigError(
                f"{key}={name}: {self.name} has no such layer; choose one with layer.name=..., "
                "`deepvis layers model=...` lists them"
            )
        raise no_such_layer(self, name, key)

    def map_size(self, name: str, size: Size) -> Size:
        """Height and width of a layer's map; see `Network.map_size`."""
        return open_graph.map_size(self.graph(), self.layer(name).name, size)

    def boxes(self, name: str, size: Size) -> Callable[[int, int], Box]:
        """Which pixels a unit can see; see `Network.boxes`."""
        return unit_boxes.boxes(self.graph(), self.layer(name).name, size)

    def below(self, name: str) -> list[str]:
        """The layers that its own first call needs; see `Network.below`."""
        graph, own = self.graph().graph, keras_taps.tap(self.graph().graph, self.layer(name).name)
        target = own.post if own.pre is None else own.pre
        needed = {id(each) for call in graph.below([target]) for each in call.inputs}
        taps = {each: keras_taps.tap(graph, each) for each in self.layers()}
        return [each for each, tap in taps.items() if tap.places is None and id(tap.post) in needed]

    def name_of(self, layer: Any) -> str:
        """The name of a layer in hand, which may be of a nested model.

        Raises:
          ConfigError: it is none of this network.
        """
        for call in self.graph().graph.calls:
            if call.layer is layer:
                return call.name
        raise ConfigError(f"layer={layer}: no layer of {self.name}; expected one of its own, or its name")

    def digest(self, layer: str) -> str:
        """The weights of the whole network, as 12 hex digits; see `Network.digest`."""
        del layer
        return loaded(self.source).digest

    def build(self, layers: Sequence[str], size: Size, precision: str) -> Activations:
        """The network up to the deepest of some layers; see `Network.build`."""
        known = loaded(self.source)
        network, pixels = self._opened(known.model, known.graph), self.pixels()
        origin, verified = self.source.origin
        # A nested layer may be named without its path.
        whole = {name: self.layer(name).name for name in layers}
        built = keras_activations.built(network, pixels, list(whole.values()), size, precision)

        def activations(image: "tf.Tensor", names: Collection[str]) -> dict[str, Activation]:
            found = built.activations(image, [whole[name] for name in names])
            return {name: found[whole[name]] for name in names}

        tags = dict(built.tags) | weight_tags(origin, known.digest, verified)
        if known.model in COMPARED:
            tags["network.probe"] += f"; {COMPARED[known.model]}"
        users = origin in ("path", "in hand")  # else it is known what its pixels are
        tags["network.range"] = pixel_range.check(network, pixels, size, users)
        hidden = {
            name: why for name, path in whole.items() if (why := built.without_pre_activation.get(path))
        }
        return replace(
            built, name=self.name, tags=tags, activations=activations, without_pre_activation=hidden
        )


def file_fingerprint(key: str, path: str, hint: str = "") -> tuple[str, int]:
    """A file as it is now: its path and when it was written.

    Args:
      key: of the config, for the message.
      path: of the file.
      hint: what else the key may be.

    Raises:
      ConfigError: there is none.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"{key}={path}: no such file{hint}")
    return str(file), file.stat().st_mtime_ns


def loaded(source: Source) -> LoadedModel:
    """A source's model with its weights."""
    return _loaded(source, source.fingerprint())


@functools.lru_cache(maxsize=2)
def _graph(source: Source, fingerprint: Hashable) -> tuple[keras.Model, Graph]:
    # In a thread of its own Keras counts its names from one and knows no dtype policy of the caller's. The
    # graph has another one: in the first Keras would give values to weights that were left without.
    with keras_activations.repeatable_draws():
        with ThreadPoolExecutor(1) as thread:
            model = thread.submit(source.model).result()
        with ThreadPoolExecutor(1) as thread:
            return model, thread.submit(keras_graph.graph, model).result()


@functools.lru_cache(maxsize=4)
def _table(graph: Graph, image: str) -> Mapping[str, Layer]:
    return receptive_fields.table(graph, image)


@functools.lru_cache(maxsize=4)
def _refusals(graph: Graph) -> Mapping[str, str]:
    return receptive_fields.refusals(graph)


@functools.lru_cache(maxsize=2)
def _loaded(source: Source, fingerprint: Hashable) -> LoadedModel:
    kept = source.graph_only() == source
    model, graph = (_graph if kept else _graph.__wrapped__)(source, fingerprint)
    return LoadedModel(model, graph, keras_activations.digest(model))
