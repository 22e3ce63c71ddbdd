"""Objectives: what goes up.

Every function here takes its parameters and returns

    {layer: Activation} -> score [B]

where up is better and no image sees another. `reading` returns what is recorded beside the score.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Activation(NamedTuple):
    """A layer's maps, each [B, h, w, C]: before and after its nonlinearity."""

    pre: tf.Tensor
    post: tf.Tensor


Objective = Callable[[Mapping[str, Activation]], tf.Tensor]


class Reading(NamedTuple):
    """What is recorded of a filter beside its score, each [B] but the last."""

    activation: tf.Tensor  # mean of the map behind the ReLU
    rank: tf.Tensor  # how many of the layer's channels have a higher mean pre-activation; 0 is the top
    margin: tf.Tensor  # to the best of the others, in standard deviations over the layer's channels
    features: tf.Tensor  # mean of each of the layer's maps behind its ReLU, [B, C]


def channel(layer: str, filters: tf.Tensor, pre_activation: bool = True) -> Objective:
    r"""The mean of one channel's map.

    .. math:: s_b = \frac{1}{hw} \sum_{ij} a_{b,ij,k_b}

    Args:
      layer: name.
      filters: :math:`k_b`, one channel per image, ``[B]`` int32.
      pre_activation: take the map before its ReLU, where a silent filter still has a gradient; false is
        the score of Erhan et al. (2009), the Keras blog and the post.

    Returns:
      An objective.
    """

    def objective(activations):
        maps = activations[layer].pre if pre_activation else activations[layer].post
        return _own(_means(maps), filters)

    return objective


def reading(layer: str, filters: tf.Tensor) -> Callable[[Mapping[str, Activation]], Reading]:
    r"""The filter's mean activation, and how it stands among its layer's channels.

    .. math:: \mathrm{rank} = |\{c : \bar a_c > \bar a_k\}|, \quad
              \mathrm{margin} = (\bar a_k - \max_{c \ne k} \bar a_c) \, / \, \operatorname{std}_c(\bar a_c)

    Both are taken before the ReLU whatever the objective is: behind it most channels tie at zero.

    Args:
      layer: name.
      filters: one channel per image, ``[B]`` int32.

    Returns:
      activations -> Reading. A margin above 0 is a rank of 0.
    """

    def read(activations):
        pre, post = (_means(maps) for maps in activations[layer])  # [B, C]
        own = _own(pre, filters)
        others = tf.where(tf.one_hot(filters, pre.shape[1], on_value=True, off_value=False), -np.inf, pre)
        rank = tf.reduce_sum(tf.cast(pre > own[:, None], tf.float32), axis=1)
        # The maximum keeps the graph's optimizer from making the quotient a product with 1 / sqrt, whose last
        # bit depends on the place in the batch.
        spread = tf.maximum(tf.math.reduce_std(pre, axis=1), 1e-30)
        margin = (own - tf.reduce_max(others, axis=1)) / spread
        return Reading(_own(post, filters), rank, margin, post)

    return read


def _means(maps: tf.Tensor) -> tf.Tensor:
    """Mean of each map: [B, h, w, C] -> [B, C]."""
    channels = maps.shape[-1]
    # Eigen sums in vectors of up to 16 channels. Of other counts one vector spans two images, and an image's
    # last bit would depend on its place in the batch.
    if channels % 16:
        maps = tf.pad(maps, [[0, 0], [0, 0], [0, 0], [0, -channels % 16]])
    return tf.reduce_mean(maps, axis=[1, 2])[:, :channels]


def _own(means: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Each image's own channel: [B, C], [B] -> [B]."""
    return tf.gather(means, filters[:, None], axis=1, batch_dims=1)[:, 0]
