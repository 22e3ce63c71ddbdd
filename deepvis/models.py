"""Networks: (image [B, H, W, 3], layers) -> {layer: Activation}, cut at the deepest layer asked for.

Images are centred RGB pixels; a model does its own channel order and scale. Only what lies below the
deepest layer is read, checked and built.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from deepvis import config
from deepvis.objectives import Activation
from deepvis.weights import Weights


class Model(NamedTuple):
    """A network, cut."""

    name: str
    mean: tuple[float, ...]  # RGB, grey levels
    activations: Callable[[tf.Tensor, Collection[str]], Mapping[str, Activation]]
    tags: Mapping[str, str] = {}


def vgg(
    name: str, blocks: Sequence[Sequence[int]], mean: Sequence[float], weights: Weights, precision: str
) -> Model:
    """VGG (Simonyan and Zisserman 2014): blocks of 3 x 3 convolutions with ReLU, halved between blocks.

    Args:
      name: of the network.
      blocks: channels of each convolution, by block.
      mean: RGB mean of the training set.
      weights: of the layers up to the deepest one wanted, trained on BGR.
      precision: of the convolutions: ``float32`` or ``bfloat16``. Activations come out as float32.

    Returns:
      The network up to the last layer that ``weights`` has.
    """
    dtype = tf.dtypes.as_dtype(precision)
    # Eager constants: a traced function captures them by reference, so no graph holds a copy of the weights.
    layers = {
        layer: tuple(tf.cast(tf.constant(array), dtype) for array in weights.layers[layer])
        for layer in config.layers(blocks)
        if layer in weights.layers
    }

    def activations(image, wanted):
        found = {}
        x = tf.cast(tf.reverse(image, axis=[-1]), dtype)  # RGB -> BGR
        block = "block1"
        for layer, (kernel, bias) in layers.items():
            if not layer.startswith(f"{block}_"):
                block = layer.partition("_")[0]
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            pre = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
            x = tf.nn.relu(pre)
            if layer in wanted:
                maps = tf.cast(pre, tf.float32)
                found[layer] = Activation(maps, tf.nn.relu(maps))
        return found

    return Model(name, tuple(mean), activations)


def stub(model, layers, size, precision):  # vgg_old
    from deepvis import weights
    read = weights.of(model, layers[-1])
    made = vgg(model["name"], model["blocks"], model["mean"], read, precision)
    return made._replace(tags={"weights.source": read.source, "weights.digest": read.digest, "weights.verified": "yes" if read.verified else "no"})
