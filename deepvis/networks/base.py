"""The `Network` protocol and its records: a layer, an activation, a network built up to some layers."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from deepvis.core import names
from deepvis.core.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

Size = tuple[int, int]  # height and width, px
Box = tuple[tuple[int, int], tuple[int, int]]  # first and last row, first and last column
NO_PRE_ACTIVATION = "the values before its nonlinearity cannot be had; set objective.pre_activation=false"


class Activation(NamedTuple):
    """A layer's maps, each [B, h, w, C]: before its nonlinearity (None: cannot be had), and after it."""

    pre: "tf.Tensor | None"
    post: "tf.Tensor"

    def maps(self, pre_activation: bool) -> "tf.Tensor":
        """Those that an objective reads."""
        if not pre_activation:
            return self.post
        if self.pre is None:
            raise ConfigError(NO_PRE_ACTIVATION)
        return self.pre


@dataclass(frozen=True)
class Activations:
    """A network that is built, up to the layers that were asked for."""

    name: str
    mean: tuple[float, ...]  # grey levels that 0 stands for, one per channel of the image
    activations: Callable[["tf.Tensor", Collection[str]], Mapping[str, Activation]]
    tags: Mapping[str, str]  # source and digest of its weights
    bitwise_any_batch: bool  # an image's activations are the same, bit for bit, in a batch of any size
    without_pre_activation: Mapping[str, str] = field(default_factory=dict)  # by layer, why it has none


@dataclass(frozen=True)
class Layer:
    """What is known of a layer before anything is computed."""

    name: str
    kind: str  # conv, dense, add ...
    channels: int
    stride: Size | None  # px of the image from one of its units to the next; None where it is not a map
    field: int | None  # px of the image that a unit sees, along its longer side; None: all
    smallest: int  # px of the smallest square image whose map has a pixel
    exactly: Size | None  # px of the only image that it takes; None: any from the smallest on
    pre_activation: bool = True  # the values before its nonlinearity can be had, or it has none


class Network(Protocol):
    """What deepvis asks of a network; an implementation is a frozen dataclass."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def channels(self) -> int:
        """Of its image."""
        ...

    @property
    def centre(self) -> tuple[float, ...]:
        """Grey levels of 255 that 0 stands for, one per channel.

        Raises:
          ConfigError: the config says nothing that this network could take.
        """
        ...

    def resolved(self) -> Mapping[str, Any]:
        """What its config leaves to it: its name, the grey levels that 0 stands for, its preprocessing ...

        Raises:
          ConfigError: as for `centre`.
        """
        ...

    def fingerprint(self) -> Hashable:
        """Changes when a file does that it reads."""
        ...

    def layers(self) -> Mapping[str, Layer]:
        """The layers that can be visualized, from the image upwards; no weights are read.

        Raises:
          ConfigError: there is no such network, or it has no graph.
        """
        ...

    def refusals(self) -> Mapping[str, str]:
        """The layers that cannot be visualized, and why."""
        ...

    def layer(self, name: str, key: str = "layer.name") -> Layer:
        """The layer of that name.

        Args:
          name: of the layer.
          key: where it was typed, for the message.

        Raises:
          ConfigError: the network has none, or none that can be visualized.
        """
        ...

    def name_of(self, layer: Any) -> str:
        """The name of a layer in hand.

        Raises:
          ConfigError: it is none of this network.
        """
        ...

    def map_size(self, name: str, size: Size) -> Size:
        """Height and width of a layer's map, of an image of this size; (1, 1) of a vector.

        Raises:
          ConfigError: the layer cannot take an image of this size; names sizes near it that work.
        """
        ...

    def boxes(self, name: str, size: Size) -> Callable[[int, int], Box]:
        """Which pixels a unit of a layer can see: (row, column) of its map -> rows and columns of the image.

        Args:
          name: of the layer.
          size: of the image, px.
        """
        ...

    def below(self, name: str) -> Sequence[str]:
        """The layers whose maps, behind their nonlinearity, a layer's values are computed from.

        From the image upwards, without itself, layers of other branches, and those of tokens.

        Args:
          name: of the layer.
        """
        ...

    def digest(self, layer: str) -> str:
        """The weights below a layer, as 12 hex digits; reads them.

        Raises:
          WeightsError: they cannot be had.
        """
        ...

    def build(self, layers: Sequence[str], size: Size, precision: str) -> Activations:
        """The network up to the deepest of some layers, with its weights.

        Args:
          layers: what none of them needs is not built.
          size: height and width of the image, px.
          precision: of the convolutions: ``float32`` or ``bfloat16``. Activations are float32.
        """
        ...


def whole(size: Size) -> Box:
    """All pixels of an image, or all places of a map."""
    return (0, size[0] - 1), (0, size[1] - 1)


def joined(one: Box | None, other: Box) -> Box:
    """The smallest box that holds both."""
    if one is None:
        return other
    rows, columns = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))
    return rows, columns


def no_such_layer(network: Network, name: str, key: str) -> ConfigError:
    """The error for a layer that a network does not have."""
    return ConfigError(
        f"{key}={name}: {network.name} has no such layer; {names.nearest(name, network.layers())}"
    )


def weight_tags(source: str, digest: str, verified: bool) -> dict[str, str]:
    """What a run is tagged with of its network's weights."""
    return {
        "weights.source": source,
        "weights.digest": digest,
        "weights.verified": "yes" if verified else "no",
    }
