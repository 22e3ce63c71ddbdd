"""Objectives that compare: an image with a picture, or images with one another.

Their form is that of `deepvis.ascent.objectives`; the filters are numbers of images, which none of them uses.
A picture is given by its activations, ``targets[name][layer]``, one picture per image; no image sees another
but in `diversity`, and there only those of its group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from deepvis.ascent.objectives import PRE_ACTIVATION, Objective, mean_square, means, objective
from deepvis.ascent.objectives import channel as mean_of_channel
from deepvis.ascent.ops import choose, per_image, sides
from deepvis.config.knobs import REQUIRED, Knob
from deepvis.networks.backend import tf
from deepvis.networks.base import Activation

Targets = Mapping[str, Mapping[str, Activation]]

TINY = 1e-30  # smaller than any square that counts


@objective(entries="image", pictures=("picture",), pre_activation=PRE_ACTIVATION)
def inversion(layer: str, filters: tf.Tensor, *, targets: Targets, pre_activation: bool = True) -> Objective:
    r"""The image with the same activations as a picture: what a layer retains of it.

    .. math:: s_b = - \lVert \Phi(x_b) - \Phi_b \rVert^2 / \lVert \Phi_b \rVert^2

    with :math:`\Phi_b` the maps of ``picture``, of the image's size.

    Source: Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by Inverting Them", section
    2.
    """
    target = targets["picture"][layer].maps(pre_activation)

    def objective(activations):
        difference = activations[layer].maps(pre_activation) - target
        return -mean_square(difference) / tf.maximum(mean_square(target), TINY)

    return objective


@objective(
    entries="image",
    pictures=("content", "style"),
    content_layers=Knob(REQUIRED, "layers compared with the content", kind=tuple, static=True),
    style_layers=Knob(REQUIRED, "layers compared with the style", kind=tuple, static=True),
    content_weight=Knob(REQUIRED, "weight of the content", low=0),
    style_weight=Knob(REQUIRED, "weight of the style", low=0),
    pre_activation=PRE_ACTIVATION,
)
def style(
    layer: str,
    filters: tf.Tensor,
    *,
    targets: Targets,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
    content_weight: tf.Tensor,
    style_weight: tf.Tensor,
    pre_activation: bool = False,
) -> Objective:
    r"""One picture's content in another's style; without a content, a texture.

    .. math:: s_b = - \alpha_b \sum_l \operatorname{mean}_{ijc} (a^l_b - c^l_b)^2
                    - \beta_b \sum_l \operatorname{mean}_{cd} (G(a^l_b) - G(t^l_b))^2, \quad
              G(a) = \frac{1}{hw} F^\top F

    with :math:`F` the maps as ``[hw, C]``. A style layer's mean is 4 times the :math:`E_l` of Gatys et al.
    and just that of Johnson et al. 2016; a style of another size may be compared. Gatys et al. weight each
    style layer by a fifth, and half the sum, not the mean, of a content layer of :math:`n` values: a
    ratio :math:`\rho = \alpha / \beta` of theirs is :math:`\alpha_b / \beta_b = 10 \, n \, \rho` here.

    Args:
      layer: not used: the lists name the layers.
      targets: :math:`c` of ``content``, of the image's size, and :math:`t` of ``style``. Without a
        ``content`` its term is left out.
      content_layers: names.
      style_layers: names.
      content_weight: :math:`\alpha_b`; 0 is off.
      style_weight: :math:`\beta_b`; 0 is off.
      pre_activation: false in the papers.

    Source: Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks", section 2; without
    a content, Gatys et al. 2015, "Texture Synthesis Using Convolutional Neural Networks".
    """

    def maps(activations, name):
        return activations[name].maps(pre_activation)

    def objective(activations):
        score = tf.zeros_like(style_weight)
        for name in content_layers if "content" in targets else ():
            score -= content_weight * mean_square(maps(activations, name) - maps(targets["content"], name))
        for name in style_layers:
            difference = gram(maps(activations, name)) - gram(maps(targets["style"], name))
            score -= style_weight * (_sum(tf.square(difference)) / difference.shape[1] ** 2)
        return score

    return objective


@objective(entries="image", pictures=("guide",), pre_activation=PRE_ACTIVATION)
def guided(layer: str, filters: tf.Tensor, *, targets: Targets, pre_activation: bool = False) -> Objective:
    r"""A dream guided by a picture: each position approaches the best position of the guide.

    .. math:: s_b = \frac{1}{hw} \sum_{ij} \max_g \, a_{b,ij} \cdot t_{b,g}

    with :math:`t_b` the maps of ``guide``, of any size. Each image holds a dot product for every pair of
    positions: 4 MB at 32 x 32, and 1 GB at 128 x 128, the first layers of a network.

    Source: Mordvintsev et al. 2015, the notebook of "Inceptionism", ``objective_guide``.
    """
    guides = tf.unstack(_positions(targets["guide"][layer].maps(pre_activation)))

    def objective(activations):
        maps = activations[layer].maps(pre_activation)
        best = []  # image by image, as in `gram`
        for image, guide in zip(tf.unstack(_positions(tf.stop_gradient(maps))), guides, strict=True):
            best.append(tf.gather(guide, tf.argmax(tf.matmul(image, guide, transpose_b=True), axis=1)))
        return tf.reduce_sum(means(maps * tf.reshape(tf.stack(best), tf.shape(maps))), axis=1)

    return objective


@objective(
    entries="image",
    pictures=("picture",),
    seen_alike=True,
    cosine_power=Knob(REQUIRED, "how much the angle counts", low=0),
    pre_activation=PRE_ACTIVATION,
)
def caricature(
    layer: str, filters: tf.Tensor, *, targets: Targets, cosine_power: tf.Tensor, pre_activation: bool = False
) -> Objective:
    r"""A caricature of a picture: what the layer sees in it, exaggerated.

    .. math:: s_b = \frac{1}{hw} \langle h, t \rangle \, \max(0.1, \cos(h, t))^{p_b}, \quad
              h = \Phi(\tau x_b), \; t = \Phi(\tau y_b)

    with :math:`y_b` the ``picture``, and :math:`\tau` the transform that is drawn for the step, the same for
    both. Product and angle are those of the whole layer.

    Args:
      targets: :math:`t` of ``picture``.
      cosine_power: :math:`p_b`; 0 is the plain product.

    Source: lucid's recipe ``caricature`` and its notebook "Feature inversion caricatures", which take the sum
    in place of the mean and divide by :math:`\lVert h \rVert` alone: times :math:`hw \lVert t \rVert^{p}`,
    apart from where the floor begins.
    """
    target = targets["picture"][layer].maps(pre_activation)

    def objective(activations):
        maps = activations[layer].maps(pre_activation)
        dot, lengths = _product(maps, target), _product(maps, maps) * _product(target, target)
        cosine = dot / tf.maximum(tf.sqrt(tf.maximum(lengths, TINY)), TINY)
        # Sixteen times, for Eigen takes powers of 16 values at once one way and of what is left over another.
        lanes = tf.tile(tf.maximum(0.1, cosine)[:, None], [1, 16])
        return dot * (lanes ** tf.tile(cosine_power[:, None], [1, 16]))[:, 0]

    return objective


def _product(maps: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Mean over positions of the dot product over channels: [B, h, w, C] -> [B]."""
    return tf.reduce_sum(means(maps * others), axis=1)


@objective(
    entries="image",
    joint=True,
    channel=Knob(REQUIRED, "channel of the layer", low=0, kind=int),
    weight=Knob(REQUIRED, "weight of the similarity, in units of the mean", low=0),
    pre_activation=PRE_ACTIVATION,
)
def diversity(
    layer: str,
    filters: tf.Tensor,
    *,
    channel: tf.Tensor,
    weight: tf.Tensor,
    group: tf.Tensor,
    pre_activation: bool = True,
) -> Objective:
    r"""Several images of one channel that differ from one another.

    .. math:: s_b = \frac{1}{hw} \sum_{ij} a_{b,ij,k_b}
              - \frac{w_b}{|N_b|} \sum_{m \in N_b} \cos(G(a_b), G(a_m))

    where :math:`N_b` are the others of its group. Each image raises the sum of the group's scores.

    Args:
      channel: :math:`k_b`, int32.
      weight: :math:`w_b`, in units of the mean; 0 is off.
      group: ``[B]`` int32; images of the same number are one group, and a group of one is off.
      pre_activation: of the channel's mean; Gram matrices are taken behind the ReLU, as in the paper.

    Source: Olah et al. 2017, "Feature Visualization", section "Diversity"; Wei et al. 2015, "Understanding
    Intra-Class Knowledge Inside CNN".
    """
    mean = mean_of_channel(layer, channel, pre_activation)

    def objective(activations):
        grams = gram(activations[layer].post)
        norms = tf.maximum(tf.sqrt(tf.maximum(_sum(tf.square(grams)), TINY)), TINY)
        units = grams / per_image(norms)[:, 0]
        in_group = tf.cast(group[:, None] == group, tf.float32)
        n = tf.maximum(tf.reduce_sum(in_group, axis=1) - 1, 1)
        return mean(activations) - weight * (_sum(units * _others(units, group)) / n)

    return objective


def _others(x: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    """For each image, the sum of the others of its group: [B, C, C], [B] -> [B, C, C]."""
    batch = sides(x)[0]

    # One after the other, and those of other groups not at all: their positions would show in the bits.
    def added(x):
        total = tf.zeros_like(x)
        for j in range(batch):
            joins = (group == group[j]) & (tf.range(batch) != j)
            total = choose(joins, total + x[j], total)
        return total

    @tf.custom_gradient
    def summed(x):
        # The relation is mutual, so the sum is its own transpose.
        return added(x), added

    return cast("tf.Tensor", summed(x))


def gram(maps: tf.Tensor) -> tf.Tensor:
    r"""The correlations of channels, :math:`F^\top F / hw`: [B, h, w, C] -> [B, C, C]."""
    # One product an image: a batch of one is split between threads otherwise than a larger one, and sums end
    # in other bits.
    products = [tf.matmul(image, image, transpose_a=True) for image in tf.unstack(_positions(maps))]
    return tf.stack(products) / (maps.shape[1] * maps.shape[2])


def _positions(maps: tf.Tensor) -> tf.Tensor:
    """[B, h, w, C] -> [B, h w, C]."""
    batch, height, width, channels = maps.shape
    return tf.reshape(maps, [batch, height * width, channels])


def _sum(matrices: tf.Tensor) -> tf.Tensor:
    """[B, C, C] -> [B]."""
    # In two steps, rows first: all at once, those of a single image might be split between threads.
    return tf.reduce_sum(tf.reduce_sum(matrices, axis=2), axis=1)
