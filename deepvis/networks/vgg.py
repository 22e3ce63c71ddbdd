"""VGG: its layers follow from its config, so nothing heavy is imported before it is built."""

import functools
import pkgutil
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepvis.core.errors import ConfigError
from deepvis.networks.base import Activation, Activations, Box, Layer, Size, no_such_layer, weight_tags
from deepvis.networks.preprocessing import per_channel
from deepvis.networks.weights import Weights

if TYPE_CHECKING:
    import tensorflow as tf

Blocks = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Vgg:
    """VGG (Simonyan and Zisserman 2014): blocks of 3 x 3 convolutions with ReLU, halved between blocks.

    Args:
      name: what a person calls it.
      blocks: channels of each convolution, by block.
      mean: RGB in grey levels, of the training set.
      weights: trained on BGR: ``_target_`` names a function such as `weights.load`, the rest are its options.

    Example:
      >>> layer = Vgg("small", [[8], [12, 16]], [0, 0, 0], {}).layers()["block2_conv1"]
      >>> layer.channels, layer.stride, layer.field
      (12, (2, 2), 8)
    """

    name: str
    blocks: Blocks
    mean: Sequence[float]
    weights: Mapping[str, Any]

    @property
    def channels(self) -> int:
        """Of its image."""
        return 3

    @property
    def centre(self) -> tuple[float, ...]:
        """Grey levels that 0 stands for; see `Network.centre`."""
        return per_channel("model.mean", self.mean, self.channels)

    def resolved(self) -> dict[str, Any]:
        """Its name, and the grey levels that 0 stands for; see `Network.resolved`."""
        return {"name": self.name, "mean": list(self.centre)}

    def fingerprint(self) -> Hashable:
        """Of the user's file of weights; see `Network.fingerprint`."""
        path = self.weights.get("path")
        file = Path(path).expanduser() if path else None
        return file.stat().st_mtime_ns if file and file.is_file() else None

    def layers(self) -> dict[str, Layer]:
        """The convolutions; see `Network.layers`."""
        blocks = self.blocks
        if not (blocks and all(block and all(type(c) is int and c > 0 for c in block) for block in blocks)):
            raise ConfigError(
                f"model.blocks={blocks}: expected the channels of each convolution, such as [[8],[12,16]]"
            )
        layers: dict[str, Layer] = {}
        stride, field = 1, 1
        for b, block in enumerate(blocks, start=1):
            if b > 1:
                field, stride = field + stride, 2 * stride
            for c, channels in enumerate(block, start=1):
                name, field = f"block{b}_conv{c}", field + 2 * stride
                layers[name] = Layer(name, "conv", channels, (stride, stride), field, stride, None)
        return layers

    def refusals(self) -> dict[str, str]:
        """None; see `Network.refusals`."""
        return {}

    def layer(self, name: str, key: str = "layer.name") -> Layer:
        """The layer of that name; see `Network.layer`."""
        layers = self.layers()
        if name not in layers:
            raise no_such_layer(self, name, key)
        return layers[name]

    def name_of(self, layer: Any) -> str:
        """It has no layers in hand; see `Network.name_of`."""
        raise ConfigError(f"layer: got {type(layer).__name__}, expected the name of a layer of {self.name}")

    def map_size(self, name: str, size: Size) -> Size:
        """Height and width of a layer's map; see `Network.map_size`."""
        layer = self.layer(name)
        if min(size) < layer.smallest:
            raise ConfigError(
                f"size={min(size)}: too small for {name}, whose map would have no pixel; "
                f"expected {layer.smallest} px or more"
            )
        return size[0] // layer.smallest, size[1] // layer.smallest

    def boxes(self, name: str, size: Size) -> Callable[[int, int], Box]:
        """Which pixels a unit can see; see `Network.boxes`."""
        self.map_size(name, size)
        below = [*self.below(name), name]

        def interval(at: int, side: int) -> tuple[int, int]:
            first = last = at
            for layer in reversed(below):
                first, last = max(first - 1, 0), min(last + 1, side // self.layer(layer).smallest - 1)
                if layer.endswith("_conv1") and layer != below[0]:  # on a pooled map
                    first, last = 2 * first, 2 * last + 1
            return first, last

        return lambda row, column: (interval(row, size[0]), interval(column, size[1]))

    def below(self, name: str) -> list[str]:
        """All before it; see `Network.below`."""
        known = list(self.layers())
        return known[: known.index(name)]

    def digest(self, layer: str) -> str:
        """The weights up to a layer, as 12 hex digits; see `Network.digest`."""
        return self.read(layer).digest

    def read(self, layer: str) -> Weights:
        """The weights up to a layer, read once in this process."""
        return _read(tuple(self.weights.items()), tuple(self.kernel_shapes(layer).items()))

    def kernel_shapes(self, layer: str) -> dict[str, tuple[int, int, int, int]]:
        """Kernel shapes (H, W, I, O) up to a layer: what is read, and no more."""
        shapes, inputs = {}, self.channels
        for name, known in self.layers().items():
            shapes[name] = (3, 3, inputs, known.channels)
            inputs = known.channels
            if name == layer:
                break
        return shapes

    def build(self, layers: Sequence[str], size: Size, precision: str) -> Activations:
        """The network up to the deepest of some layers, for images of any size; see `Network.build`."""
        import tensorflow as tf

        del size
        read = self.read(max(layers, key=list(self.layers()).index))
        dtype = tf.dtypes.as_dtype(precision)
        # Eager constants: a traced function captures them by reference, so no graph holds a copy of them.
        constants = {
            layer: tuple(tf.cast(tf.constant(array), dtype) for array in pair)
            for layer, pair in read.layers.items()
        }

        def activations(image: "tf.Tensor", names: Collection[str]) -> dict[str, Activation]:
            found = {}
            x = tf.cast(tf.reverse(image, axis=[-1]), dtype)  # RGB -> BGR
            block = "block1"
            for layer, (kernel, bias) in constants.items():
                if not layer.startswith(f"{block}_"):
                    block = layer.partition("_")[0]
                    x = tf.nn.max_pool2d(x, 2, 2, "VALID")
                pre = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
                x = tf.nn.relu(pre)
                if layer in names:
                    maps = tf.cast(pre, tf.float32)
                    # In float32 what the layers above read, so that gradients can be taken at it.
                    found[layer] = Activation(maps, x if x.dtype == maps.dtype else tf.nn.relu(maps))
            return found

        tags = weight_tags(read.source, read.digest, read.verified)
        return Activations(self.name, self.centre, activations, tags, bitwise_any_batch=True)


@functools.lru_cache(maxsize=2)
def _read(source: tuple[tuple[str, Any], ...], shapes: tuple[tuple[str, Any], ...]) -> Weights:
    options = dict(source)
    load = pkgutil.resolve_name(options.pop("_target_"))
    return load(shapes=dict(shapes), **options)
