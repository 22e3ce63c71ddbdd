"""Objectives: the score that is raised.

    (layer, filters, options) -> ({layer: Activation} -> score [B])

where up is better and no image sees another. The layer is a name, the filters are one entry of
``layer.filters`` per image, ``[B]`` int32, a number is one per image, ``[B]``; ``pre_activation`` takes the
maps before their nonlinearity. Objectives that compare images are in `deepvis.ascent.matching_objectives`;
`reading` returns what is recorded beside the score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from deepvis.config.expressions import parse
from deepvis.config.knobs import REQUIRED, Function, Knob, declare
from deepvis.networks.backend import tf
from deepvis.networks.base import Activation

Objective = Callable[[Mapping[str, Activation]], "tf.Tensor"]
PRE_ACTIVATION = Knob(REQUIRED, "the maps before their nonlinearity", kind=bool, static=True)


def objective(
    *,
    entries: str = "unit",
    joint: bool = False,
    pictures: tuple[str, ...] = (),
    seen_alike: bool = False,
    **knobs: Knob,
) -> Callable[[Function], Function]:
    """Declare a function as an objective.

    Args:
      entries: what an entry of ``layer.filters`` is: a ``unit`` of the layer, a ``row`` of a file of
        directions, or the number of an ``image``.
      joint: whether the score of an image depends on the others of its job; they then share a batch.
      pictures: names of the pictures that it compares with, paths under ``objective.pictures``.
      seen_alike: whether the network sees the pictures as it sees the image, by the transform of each step;
        otherwise it sees them once, whole.
      knobs: its options by their key under ``objective``.
    """
    return declare(
        "objective", None, knobs, entries=entries, joint=joint, pictures=pictures, seen_alike=seen_alike
    )


class Reading(NamedTuple):
    """What is recorded of a unit beside its score, each [B] but the last."""

    activation: tf.Tensor  # mean of the map behind the ReLU
    rank: tf.Tensor  # how many of the layer's channels have a higher mean pre-activation; 0 is the top
    margin: tf.Tensor  # to the best of the others, in standard deviations over the layer's channels
    features: tf.Tensor  # mean of each of the layer's maps behind its ReLU, [B, C]


@objective(pre_activation=PRE_ACTIVATION)
def channel(layer: str, filters: tf.Tensor, pre_activation: bool = True) -> Objective:
    r"""The mean of one channel's map.

    .. math:: s_b = \frac{1}{hw} \sum_{ij} a_{b,ij,k_b}

    Of a dense layer, a map of 1 x 1, a channel is a unit or a class. Before its ReLU a silent filter still
    has a gradient; behind it the score is that of Erhan et al. (2009), the Keras blog and Gildenblat (2016).
    """

    def objective(activations):
        return _picked(means(activations[layer].maps(pre_activation)), filters)

    return objective


@objective(
    row=Knob(None, "position from the top of the map; none is the centre", low=0, kind=int),
    column=Knob(None, "position from its left; none is the centre", low=0, kind=int),
    pre_activation=PRE_ACTIVATION,
)
def neuron(
    layer: str, filters: tf.Tensor, *, row: tf.Tensor, column: tf.Tensor, pre_activation: bool = True
) -> Objective:
    r"""One channel at one position of its map.

    .. math:: s_b = a_{b,i_b j_b,k_b}

    with :math:`k_b` the filters.

    Args:
      row: :math:`i_b`, positions of the map from its top, int32; negative is the centre,
        :math:`\lfloor h / 2 \rfloor`. Beyond the map the score is NaN, and that image alone fails.
      column: :math:`j_b`, from its left, likewise.

    Source: Erhan et al. 2009, section 4; Olah et al. 2017, "Feature Visualization".
    """

    def objective(activations):
        maps = activations[layer].maps(pre_activation)
        batch, height, width, _ = maps.shape
        i, j = tf.where(row < 0, height // 2, row), tf.where(column < 0, width // 2, column)
        position = [tf.range(batch), tf.minimum(i, height - 1), tf.minimum(j, width - 1), filters]
        return tf.where((i < height) & (j < width), tf.gather_nd(maps, tf.stack(position, axis=1)), np.nan)

    return objective


@objective(
    entries="row",
    vectors=Knob(REQUIRED, "a file of directions, [n, C]: .npy, or what deepvis directions writes", kind=str),
    cosine_power=Knob(REQUIRED, "how much the angle counts", low=0),
    pre_activation=PRE_ACTIVATION,
)
def direction(
    layer: str,
    filters: tf.Tensor,
    *,
    vectors: tf.Tensor,
    cosine_power: tf.Tensor,
    pre_activation: bool = False,
) -> Objective:
    r"""A direction in the space of a layer's channels, at every position.

    .. math:: s_b = \frac{1}{hw} \sum_{ij} (a_{b,ij} \cdot v_b) \, \max(0.1, \cos(a_{b,ij}, v_b))^{p_b}

    Args:
      vectors: :math:`v_b`, ``[B, C]``, the rows that the filters name.
      cosine_power: :math:`p_b \ge 0`; 0 is the plain dot product. The higher, the more the angle counts
        against the length.

    Source: Carter et al. 2019, "Activation Atlas", and lucid's ``direction_cossim``.
    """

    def objective(activations):
        maps = activations[layer].maps(pre_activation)
        batch, height, width, channels = maps.shape
        n = height * width
        padding = -n % 16
        # A power is rounded otherwise where a vector unit's last load is not full, and sometimes where rows
        # of exponents are broadcast; both would depend on the position in the batch.
        positions = tf.pad(tf.reshape(maps, [batch, n, channels]), [[0, 0], [0, padding], [0, 0]])
        dots = tf.reduce_sum(positions * vectors[:, None], axis=2)
        lengths = _length(positions) * _length(vectors)[:, None]
        powers = tf.tile(cosine_power[:, None], [1, n + padding])
        shares = dots * tf.maximum(0.1, dots / lengths) ** powers
        return means(shares[:, :n, None, None])[:, 0]

    return objective


@objective(entries="image", pre_activation=PRE_ACTIVATION)
def layer(layer: str, filters: tf.Tensor, pre_activation: bool = False) -> Objective:
    r"""All of a layer at once: deep dream. The filters are not used.

    .. math:: s_b = \frac{1}{hwC} \sum_{ijc} a_{b,ijc}^2

    Source: Mordvintsev et al. 2015, "Inceptionism", whose notebook ascends half the sum.
    """
    return lambda activations: mean_square(activations[layer].maps(pre_activation))


@objective(
    terms=Knob(REQUIRED, "the sum, such as channel - 0.5 channel 7", kind=str, static=True),
    pre_activation=PRE_ACTIVATION,
)
def sum(layer: str, filters: tf.Tensor, *, terms: str, pre_activation: bool = True) -> Objective:
    r"""Other objectives added up, each with its weight and its sign.

    .. math:: s_b = \sum_t w_t \, s_b^{(t)}

    Args:
      layer: of the terms that name no other.
      filters: channels of the terms that name no other.
      terms: like ``channel - 0.5 channel 7 of block4_conv1``; see `deepvis.config.expressions.parse`. A
        neuron is the one in the centre.
      pre_activation: of all terms.

    Raises:
      ValueError: the terms cannot be read.

    Source: lucid, whose objectives add and scale; Olah et al. 2017, "Feature Visualization", section
    "Interaction between Neurons".
    """
    parts = []
    for term in parse(terms):
        channels = filters if term.index is None else tf.fill(tf.shape(filters), term.index)
        parts.append((term.weight, TERMS[term.kind](term.layer or layer, channels, pre_activation)))

    def objective(activations):
        first, *others = (weight * part(activations) for weight, part in parts)
        for value in others:
            first += value
        return first

    return objective


def _centre_neuron(layer: str, filters: tf.Tensor, pre_activation: bool) -> Objective:
    centre = tf.fill(tf.shape(filters), -1)
    return neuron(layer, filters, row=centre, column=centre, pre_activation=pre_activation)


# A row here is a kind of term in a sum: (layer, filters, pre_activation) -> objective.
TERMS = {"channel": channel, "neuron": _centre_neuron, "layer": layer}


def reading(layer: str, units: tf.Tensor) -> Callable[[Mapping[str, Activation]], Reading]:
    r"""The unit's mean activation, and how it stands among its layer's channels.

    .. math:: \mathrm{rank} = |\{c : \bar a_c > \bar a_k\}|, \quad
              \mathrm{margin} = (\bar a_k - \max_{c \ne k} \bar a_c) \, / \, \operatorname{std}_c(\bar a_c)

    Both are taken before the ReLU whatever the objective is: behind it most channels tie at zero; behind it
    where a layer has no values before.

    Args:
      units: one channel per image, ``[B]`` int32; -1 where the objective has none: then rank and margin are
        NaN, and the activation is the mean of the whole layer.

    Returns:
      activations -> Reading.
    """

    def read(activations):
        before, behind = activations[layer]
        post = means(behind)  # [B, C]
        pre = post if before is None else means(before)
        has_unit, index = units >= 0, tf.maximum(units, 0)
        mean = _picked(pre, index)
        others = tf.where(tf.one_hot(index, pre.shape[1], on_value=True, off_value=False), -np.inf, pre)
        rank = tf.reduce_sum(tf.cast(pre > mean[:, None], tf.float32), axis=1)
        # The maximum keeps the graph's optimizer from making the quotient a product with 1 / sqrt, whose last
        # bit depends on the position in the batch.
        spread = tf.maximum(tf.math.reduce_std(pre, axis=1), 1e-30)
        margin = (mean - tf.reduce_max(others, axis=1)) / spread
        activation = tf.where(has_unit, _picked(post, index), tf.reduce_mean(post, axis=1))
        return Reading(activation, tf.where(has_unit, rank, np.nan), tf.where(has_unit, margin, np.nan), post)

    return read


def means(maps: tf.Tensor) -> tf.Tensor:
    """Mean of each map: [B, h, w, C] -> [B, C]."""
    channels = maps.shape[-1]
    # Eigen sums in vectors of up to 16 channels. Of other counts one vector spans two images, and an image's
    # last bit would depend on its position in the batch.
    if channels % 16:
        maps = tf.pad(maps, [[0, 0], [0, 0], [0, 0], [0, -channels % 16]])
    return tf.reduce_mean(maps, axis=[1, 2])[:, :channels]


def mean_square(maps: tf.Tensor) -> tf.Tensor:
    """Mean of all squares of an image: [B, h, w, C] -> [B]."""
    return tf.reduce_mean(means(tf.square(maps)), axis=1)


def _picked(means: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """The value of each image's channel: [B, C], [B] -> [B]."""
    return tf.gather(means, filters[:, None], axis=1, batch_dims=1)[:, 0]


def _length(vectors: tf.Tensor) -> tf.Tensor:
    """Norm over the last axis, with a gradient at zero, too: [..., C] -> [...]."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(vectors), axis=-1), 1e-30))
