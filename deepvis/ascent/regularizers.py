"""Regularizers: operators that make an image a little more natural.

Every operator here takes hyperparameters, one number per image, ``[B]``, and returns

    (image [B, H, W, C], grad [B, H, W, C], step []) -> image [B, H, W, C]

applied after each ascent step. Images are centred pixels, so decay and clipping pull towards grey. A neutral
number switches an operator off for that image, bitwise, so jobs with and without it share one batch.

Source: Yosinski et al., 2015, https://arxiv.org/abs/1506.06579, section 3; their order in this module and the
meaning of each number are those of their toolbox's optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepvis.ascent.batch_law import shaped
from deepvis.ascent.ops import blur_matrix, choose, from_percentile, per_image
from deepvis.config.knobs import Component, Function, Knob, declare
from deepvis.networks.backend import tf
from deepvis.networks.base import Size

Regularizer = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor"], "tf.Tensor"]
Prepare = Callable[[Any, Size], Mapping[str, np.ndarray]]
Hyper = Mapping[str, "tf.Tensor"]


def regularizer(
    name: str | None = None, *, prepare: Prepare | None = None, last: bool = False, **knobs: Knob
) -> Callable[[Function], Function]:
    """Declare a function as a regularizer: its parameters are its knobs, or the ``mean`` of the training set.

    Args:
      name: of it, in a mix's weights; by default the function's.
      prepare: (settings of ``reg``, (height, width) in px) -> arrays that the host makes once per image; the
        function takes them, stacked, as parameters of those names.
      last: comes after all others and outside of a mix, as a projection does.
      knobs: by their key under ``reg``; their defaults are off.
    """
    return declare("reg", name, knobs, prepare=prepare, last=last)


def _percentile(help: str) -> Knob:
    return Knob(0.0, help, low=0, below=100, unit="percentile")


def _blur_matrices(reg: Any, size: Size) -> dict[str, np.ndarray]:
    down, right = (blur_matrix(side, reg.blur_kind, reg.blur, reg.blur_sigma) for side in size)
    return {"down": down, "right": right}


@regularizer(decay=Knob(1.0, "multiplies the image after each step", above=0, high=1, unit="factor"))
def decay(decay: tf.Tensor) -> Regularizer:
    r"""L2 decay: shrink the image towards grey.

    .. math:: x \leftarrow d \, x

    with :math:`d` in (0, 1]; 1 is off. Yosinski's :math:`\theta_{decay}` is 1 minus it.
    """
    return lambda image, grad, step: image * per_image(decay)


@regularizer(
    prepare=_blur_matrices,
    blur=Knob(0, "kernel size", low=0, odd=True, unit="odd kernel size in px"),
    blur_sigma=Knob(
        0.0, "standard deviation of the kernel, in place of its size", low=0, high=1000, unit="sigma in px"
    ),
    blur_kind=Knob("gaussian", "form of the kernel", choices=("gaussian", "box"), switch=False),
    blur_every=Knob(
        1, "blurs where step % blur_every == 0", low=1, unit="whole number of steps", switch=False
    ),
)
def blur(down: tf.Tensor, right: tf.Tensor, blur_every: tf.Tensor) -> Regularizer:
    r"""Blur rows and columns, every so many steps.

    .. math:: x_c \leftarrow M x_c N^\top \quad \text{where} \quad t \bmod k = 0

    Args:
      down: :math:`M`, ``[B, H, H]`` from `deepvis.ascent.ops.blur_matrix`; two identities are off, bitwise.
      right: :math:`N`, ``[B, W, W]``.
      blur_every: steps between two blurs, int32; the first is at step 0.
    """

    def regularize(image, grad, step):
        blurred, acts = image, False
        for matrix in (down, right):
            acts |= tf.reduce_any(matrix != tf.eye(tf.shape(matrix)[1]), axis=[1, 2])
            lines = tf.reshape(blurred, [image.shape[0], matrix.shape[1], -1])
            blurred = tf.transpose(tf.reshape(matrix @ lines, blurred.shape), [0, 2, 1, 3])
        return choose((step % blur_every == 0) & acts, blurred, image)

    return regularize


@regularizer(
    "value", value_percentile=_percentile("values whose magnitude is below this percentile become 0")
)
def clip_small_value(value_percentile: tf.Tensor) -> Regularizer:
    r"""Set to zero the values of small magnitude; Gildenblat's clip.

    .. math:: x_{ijc} \leftarrow 0 \quad \text{where} \quad |x_{ijc}| < \mathrm{pct}_q(|x|)

    with :math:`q` in [0, 100); 0 is off.
    """
    return lambda image, grad, step: image * from_percentile(tf.abs(image), value_percentile)


@regularizer(
    "norm", norm_percentile=_percentile("pixels whose norm over colour is below this percentile become 0")
)
def clip_small_norm(norm_percentile: tf.Tensor) -> Regularizer:
    r"""Set to zero the pixels whose norm over colour is small.

    .. math:: x_{ij} \leftarrow 0 \quad \text{where} \quad
              \lVert x_{ij} \rVert_2 < \mathrm{pct}_q(\lVert x \rVert_2)

    with :math:`q` in [0, 100), the paper's :math:`\theta_{n\_pct}`; 0 is off.
    """

    def regularize(image, grad, step):
        norm = tf.norm(image, axis=-1, keepdims=True)  # [B, H, W, 1]
        return image * from_percentile(norm, norm_percentile)

    return regularize


@regularizer(
    "contribution",
    contribution_percentile=_percentile(
        "pixels whose contribution to the score is below this percentile become 0"
    ),
)
def clip_small_contribution(contribution_percentile: tf.Tensor) -> Regularizer:
    r"""Set to zero the pixels that contribute little, to first order, either way.

    .. math:: x_{ij} \leftarrow 0 \quad \text{where} \quad
              |g_{ij} \cdot x_{ij}| < \mathrm{pct}_q(|g \cdot x|)

    with :math:`q` in [0, 100), the paper's :math:`\theta_{c\_pct}`; 0 is off.
    """

    def regularize(image, grad, step):
        contribution = tf.abs(tf.reduce_sum(grad * image, axis=-1, keepdims=True))  # [B, H, W, 1]
        return image * from_percentile(contribution, contribution_percentile)

    return regularize


@regularizer(last=True, clip_pixels=Knob(False, "keeps pixels in [0, 255]"))
def clip_pixels(clip_pixels: tf.Tensor, mean: Sequence[float]) -> Regularizer:
    r"""Keep pixels displayable: the projection onto [0, 255].

    .. math:: x \leftarrow \mathrm{clip}(x + \mu, 0, 255) - \mu

    with :math:`\mu` the mean of the training set.
    """
    is_on = tf.reshape(clip_pixels, [-1, 1, 1]) > 0

    def regularize(image, grad, step):
        # By lines of the image: bounds of three values a pixel take eight times as long.
        line = np.tile(np.array(mean, np.float32), image.shape[2])
        low, high = tf.where(is_on, -line, -np.inf), tf.where(is_on, 255 - line, np.inf)
        lines = tf.reshape(image, [image.shape[0], image.shape[1], -1])
        return tf.reshape(tf.clip_by_value(lines, low, high), image.shape)

    return regularize


def chain(operators: Sequence[Regularizer]) -> Regularizer:
    """One after the other (Yosinski's order)."""

    def regularize(image, grad, step):
        for operator in operators:
            image = operator(image, grad, step)
        return image

    return regularize


def mix(operators: Sequence[Regularizer], weights: Sequence[tf.Tensor]) -> Regularizer:
    r"""The weighted mean of separately regularized copies (Gildenblat 2016).

    .. math:: x \leftarrow \sum_k w_k \, r_k(x) \, / \, \sum_k w_k

    Args:
      operators: :math:`r_k`.
      weights: :math:`w_k \ge 0`, each ``[B]``, 0 for an operator that is off: an unchanged copy would weaken
        the others. An image whose weights are all 0 stays as it is.
    """

    def regularize(image, grad, step):
        mixed, total = tf.zeros_like(image), tf.zeros(tf.shape(image)[0])
        for operator, weight in zip(operators, weights, strict=True):
            # Added one by one, and not at all where it is off: a sum of products is rewritten by the graph's
            # optimizer, differently with other operators beside it, and those of other images would show in
            # the bits.
            copy = mixed + per_image(weight) * operator(image, grad, step)
            mixed = tf.where(per_image(weight) > 0, copy, mixed)
            total += weight
        return tf.where(per_image(total) > 0, mixed / per_image(tf.where(total > 0, total, 1.0)), image)

    return regularize


def build(components: Sequence[Component], hyper: Hyper, combine: str, mean: Sequence[float]) -> Regularizer:
    """The regularizer of a batch: a ``chain`` or ``mix`` of the components that any of its images uses."""
    acting = [each for each in components if not each.traits.get("penalty") and not each.traits.get("step")]
    operators = {each: _operator(each, hyper, mean) for each in acting}
    last = [operators.pop(each) for each in acting if each.traits.get("last")]
    first = list(operators.values())
    if combine == "mix" and first:
        first = [mix(first, [hyper[f"reg.weights.{each.name}"] for each in operators])]
    return chain([*first, *last])


def arguments(component: Component, hyper: Hyper, mean: Sequence[float] = ()) -> dict[str, Any]:
    """What a component's function takes: knobs, arrays that the host made, or the mean."""
    return {
        name: mean if name == "mean" else hyper[f"reg.{name}"] if name in component.knobs
        else hyper[f"prepared.{component.name}.{name}"]
        for name in component.parameters()
    }  # fmt: skip


def _operator(component: Component, hyper: Hyper, mean: Sequence[float]) -> Regularizer:
    operator = component.function(**arguments(component, hyper, mean))
    return operator if component.is_builtin else shaped(operator, f"reg: {component.name}")
