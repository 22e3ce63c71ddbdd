"""The bare network: VGG16 up to a layer, forward, and backward to the image alone.

    score_and_gradient(image [B, H, W, 3], filters [B]) -> (score [B], gradient [B, H, W, 3])

What every optimization has to compute, and nothing else: no update, no regularizer, no record.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from deepvis.networks import weights

BLOCKS = [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]]


def arrays(layer: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias by layer, up to the one asked for."""
    shapes, came = {}, 3
    for b, block in enumerate(BLOCKS, start=1):
        for c, channels in enumerate(block, start=1):
            shapes[f"block{b}_conv{c}"] = (3, 3, came, channels)
            came = channels
    names = list(shapes)
    wanted = names[: names.index(layer) + 1]
    return weights.load("vgg16", {name: shapes[name] for name in wanted}).layers


def score_and_gradient(layer: str, precision: str) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The mean of each image's own map before its ReLU, and its gradient.

    Args:
      layer: the last one that is built.
      precision: of the convolutions.
    """
    dtype = tf.dtypes.as_dtype(precision)
    layers = {
        name: [tf.cast(tf.constant(array), dtype) for array in pair] for name, pair in arrays(layer).items()
    }

    @tf.function
    def call(image, filters):
        with tf.GradientTape() as tape:
            tape.watch(image)
            x = tf.cast(tf.reverse(image, axis=[-1]), dtype)  # RGB -> BGR
            for name, (kernel, bias) in layers.items():
                if name.endswith("conv1") and name != "block1_conv1":
                    x = tf.nn.max_pool2d(x, 2, 2, "VALID")
                pre = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
                x = tf.nn.relu(pre)
            means = tf.reduce_mean(tf.cast(pre, tf.float32), axis=[1, 2])
            score = tf.gather(means, filters, axis=1, batch_dims=1)
        return score, tape.gradient(score, image)

    return call
