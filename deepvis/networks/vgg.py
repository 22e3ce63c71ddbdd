"""Networks: (config, layers, size, precision) -> `Model`, cut at the deepest layer asked for.

    (image [B, H, W, C], layers) -> {layer: Activation}

Images are centred pixels; a model does its own channel order and scale. Only what lies below the
layers is read, checked and built.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from deepvis.core import names
from deepvis.networks import weights
from deepvis.networks.base import Activation, Model


def vgg(model: Mapping[str, Any], layers: Sequence[str], size: int, precision: str) -> Model:
    """VGG (Simonyan and Zisserman 2014): blocks of 3 x 3 convolutions with ReLU, halved between blocks.

    Args:
      model: ``name``, ``blocks`` (channels of each convolution, by block), ``mean`` (RGB, of the training
        set) and ``weights``, trained on BGR.
      layers: wanted; the network ends at the deepest of them.
      size: of the image; any will do.
      precision: of the convolutions: ``float32`` or ``bfloat16``. Activations come out as float32.

    Returns:
      The network.
    """
    del size
    known = list(names.layers(model["blocks"]))
    read = weights.of(model, max(layers, key=known.index))
    dtype = tf.dtypes.as_dtype(precision)
    # Eager constants: a traced function captures them by reference, so no graph holds a copy of the weights.
    arrays = {
        layer: tuple(tf.cast(tf.constant(array), dtype) for array in pair)
        for layer, pair in read.layers.items()
    }

    def activations(image, wanted):
        found = {}
        x = tf.cast(tf.reverse(image, axis=[-1]), dtype)  # RGB -> BGR
        block = "block1"
        for layer, (kernel, bias) in arrays.items():
            if not layer.startswith(f"{block}_"):
                block = layer.partition("_")[0]
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            pre = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
            x = tf.nn.relu(pre)
            if layer in wanted:
                maps = tf.cast(pre, tf.float32)
                found[layer] = Activation(maps, tf.nn.relu(maps))
        return found

    tags = {
        "weights.source": read.source,
        "weights.digest": read.digest,
        "weights.verified": "yes" if read.verified else "no",
    }
    return Model(model["name"], tuple(model["mean"]), activations, tags)


def application(model: Mapping[str, Any], layers: Sequence[str], size: int, precision: str) -> Model:
    """A network of keras.applications.

    Args:
      model: ``name``, ``weights`` (``imagenet``, a file, or None for random ones that repeat),
        ``preprocess`` (``auto`` is the network's own) and ``mean``.
      layers: wanted; what none of them needs is not built.
      size: of the image, px.
      precision: ``float32``, or ``bfloat16`` for Keras' mixed policy.

    Returns:
      The network.
    """
    from deepvis.networks import keras_models

    return keras_models.built(model, layers, size, precision)


def file(model: Mapping[str, Any], layers: Sequence[str], size: int, precision: str) -> Model:
    """A model that Keras saved.

    Args:
      model: ``path`` (.keras or .h5), ``allow_code`` (load it even if it holds code of its own),
        ``preprocess`` and ``mean``.
      layers: wanted; what none of them needs is not built.
      size: of the image, px.
      precision: ``float32``, or ``bfloat16`` for Keras' mixed policy.

    Returns:
      The network.
    """
    return application(model, layers, size, precision)
