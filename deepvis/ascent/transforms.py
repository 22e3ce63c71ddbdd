"""Transforms: what the network sees of an image in a step.

    build(draws) -> (image [B, H, W, C] -> image [B, H', W', C])

An image optimized under a transform must excite the unit moved, turned and scaled a little. The random
numbers of an image and step are drawn on the host, from ``(seed, filter, step)`` alone.

Source: Olah et al. 2017, "Feature visualization", section "Transformation robustness".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from deepvis.ascent.ops import choose, per_image, sides, size_of
from deepvis.config.knobs import Component, Function, Knob, declare, register
from deepvis.config.schema import Settings
from deepvis.networks.backend import tf
from deepvis.networks.base import Size

Transform = Callable[["tf.Tensor"], "tf.Tensor"]


def _share(help: str, default: float, low: float = -math.inf) -> Knob:
    """A number of the windows, above 0 where nothing else is said: it switches nothing on."""
    above = 0.0 if low < 0 else -math.inf
    return Knob(default, f"{help}, share of the image's", low, above, 1, unit="share", switch=False)


GEOMETRY = {
    "jitter": Knob(0, "moves by up to so many px on each axis", low=0, unit="whole number of px"),
    "scale": Knob(0.0, "scales by a factor in [1 - s, 1 + s]", low=0, below=1, unit="share"),
    "rotate": Knob(
        0.0, "turns by up to so many degrees either way", low=0, high=180, unit="number of degrees"
    ),
    "pad": Knob(0, "px of grey laid around", low=0, unit="whole number of px", static=True),
    "crop": Knob(
        0, "px by which the window that is seen is smaller", low=0, unit="whole number of px", static=True
    ),
    "crops": Knob(
        0, "windows, drawn anew, that the network sees in a step; the score is their mean", low=0, high=1024,
        static=True,
    ),
    "crops_px": Knob(
        0, "px to which a window's longer side is scaled; 0: the image's", low=0, unit="whole number of px",
        static=True, switch=False,
    ),
    "crops_first": _share("side of the windows at the first step", 0.5),
    "crops_last": _share("that at the last step; in between it changes evenly", 0.05),
    "crops_spread": _share("standard deviation of that side", 0.05, low=0),
    "crops_offset": _share("standard deviation of the windows' centres", 0.15, low=0),
    "crops_inside": Knob(
        False, "windows lie wholly in the image, sides evenly distributed between crops_first and crops_last",
        switch=False,
    ),
}  # fmt: skip
NOISE = {
    "noise": Knob(0.0, "standard deviation of noise laid over", low=0, high=255, unit="number of grey levels")
}
UNIFORM = {
    "noise_uniform": Knob(
        0.0, "uniform noise laid over, so much either way", low=0, high=255, unit="number of grey levels"
    )
}

_STREAM = 7_368_816  # keeps these draws apart from all others of the same seed, filter and step


def transform(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a transform: knobs, one number per image, ``[B]`` -> (image -> image).

    It is applied after those of deepvis; its knobs' defaults are off.
    """
    return declare("transform", None, knobs)


def out_size(pad: int, crop: int, size: Size) -> Size:
    """Height and width of what the network sees, px."""
    height, width = size
    return height + 2 * pad - crop, width + 2 * pad - crop


def crop_size(px: int, size: Size) -> Size:
    """Height and width of what the network sees of each of many windows, px."""
    by = px / max(size) if px else 1
    return max(1, round(size[0] * by)), max(1, round(size[1] * by))


def draw(
    numbers: Settings, size: Size, seed: int, index: int, step: int, steps: int = 1, number: int = 0
) -> dict[str, np.ndarray]:
    """The random numbers of one image and one step.

    All are drawn, whether a knob is off or on, so switching one on leaves those of the others.

    Args:
      numbers: the settings of ``transform``.
      size: height and width of the image, px.
      seed: of the job.
      index: of the filter.
      step: of the ascent.
      steps: of the job, over which the windows become smaller.
      number: of the window, where a step has many.

    Returns:
      ``transform.matrix`` ``[2, 3]`` float32, from an output pixel (y, x, 1) to the position in the image,
      px, that it shows; ``transform.noise`` and ``transform.noise_uniform`` ``[]`` float32, grey levels;
      ``transform.seed`` ``[2]`` int32.
    """
    rng = np.random.default_rng([seed, index, step, _STREAM] + [number] * (number > 0))
    shift, window, (factor, turn) = rng.random(2), rng.random(2), 2 * rng.random(2) - 1
    noise_seed = rng.integers(0, 2**31, 2)

    jitter, pad, crop = numbers.jitter, numbers.pad, numbers.crop
    corner = np.floor(window * (crop + 1))  # of the window, in the padded image
    moved = np.floor(shift * (2 * jitter + 1)) - jitter
    angle = np.deg2rad(numbers.rotate * turn)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) / (1 + numbers.scale * factor)
    centre = (np.array(size) + 2 * pad - 1) / 2
    offset = centre + linear @ (corner - centre) - moved - pad
    if numbers.crops:
        first, linear_crop = _crop(numbers, size, step / max(1, steps - 1), rng)
        offset, linear = offset + linear @ first, linear @ linear_crop
    return {
        "transform.matrix": np.column_stack([linear, offset]).astype(np.float32),
        "transform.noise": np.array(numbers.noise, np.float32),
        "transform.noise_uniform": np.array(numbers.noise_uniform, np.float32),
        "transform.seed": noise_seed.astype(np.int32),
    }


def _crop(
    numbers: Settings, size: Size, part: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A window as MACO draws it: where its first pixel lies, px, and from its pixels to those of the image.

    Its sides are the same share of the image's sides, so of a square image it is square. Corners are shown
    by corners, as TensorFlow's crop_and_resize has it.
    """
    offset, spread = rng.normal(size=2), rng.normal()
    ends = numbers.crops_first, numbers.crops_last
    share = ends[0] + (ends[1] - ends[0]) * part + numbers.crops_spread * spread
    share = np.clip(share, min(ends), 1)
    if numbers.crops_inside:  # as faccent 1.0.3 draws them (Hamblin et al. 2024)
        share = ends[1] + (ends[0] - ends[1]) * rng.random()
    whole = np.array(out_size(numbers.pad, numbers.crop, size)) - 1.0
    first = (0.5 + numbers.crops_offset * offset - share / 2) * whole
    if numbers.crops_inside:
        first = rng.random(2) * (1 - share) * whole
    steps = np.maximum(np.array(crop_size(numbers.crops_px, size)) - 1, 1)
    return first, np.diag(share * whole / steps)


def build(
    draws: Mapping[str, tf.Tensor], size_out: Size, geometric: bool, noisy: bool, uniform: bool = False
) -> Transform:
    r"""The transform of a step.

    .. math:: y_q = \sum_p x_p \, \Lambda(A q - p) + \sigma z_q, \quad
              \Lambda(d) = \max(0, 1 - |d_1|) \max(0, 1 - |d_2|)

    that is bilinear in between and grey, 0, outside.

    Args:
      draws: of `draw`, stacked over the images.
      size_out: height and width of what comes out, px.
      geometric: whether any image is moved, turned, scaled, padded or cropped.
      noisy: whether any has normal noise laid over it.
      uniform: whether any has uniform noise laid over it.

    Returns:
      The transform. The identity and a move by whole pixels are bitwise.
    """

    def transform(image):
        if geometric:
            matrix = draws["transform.matrix"]
            sampled = _sample(image, matrix, size_out)
            if size_of(image) == size_out:
                is_identity = tf.reduce_all(matrix == tf.eye(2, 3), axis=[1, 2])
                sampled = choose(is_identity, image, sampled)
            image = sampled
        batch, *shape = sides(image)
        seeds = draws["transform.seed"]
        if noisy:
            sigma = draws["transform.noise"]
            z = [tf.random.stateless_normal(shape, seeds[b]) for b in range(batch)]
            image = choose(sigma > 0, image + per_image(sigma) * tf.stack(z), image)
        if uniform:
            most = draws["transform.noise_uniform"]
            u = [tf.random.stateless_uniform(shape, ~seeds[b], -1.0, 1.0) for b in range(batch)]
            image = choose(most > 0, image + per_image(most) * tf.stack(u), image)
        return image

    return transform


def _sample(image: tf.Tensor, matrix: tf.Tensor, size_out: Size) -> tf.Tensor:
    """Bilinear, with its exact gradient; TensorFlow's projective transform has an approximate one."""

    @tf.custom_gradient
    def sample(image):
        gathered, scattered = _compiled(_gathered), _compiled(_scattered)
        return gathered(image, matrix, size_out), lambda grad: scattered(grad, matrix, size_of(image))

    return cast("tf.Tensor", sample(image))


@functools.cache
def _compiled(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """By XLA, which makes one loop of it: a third of the time that it takes one operation at a time."""
    return tf.function(function, autograph=False, jit_compile=True)


def _gathered(image: tf.Tensor, matrix: tf.Tensor, size_out: Size) -> tf.Tensor:
    batch, *size, channels = sides(image)
    first, down, right = _positions(matrix, size_out, size)
    grid = tf.reshape(tf.pad(image, [[0, 0], [2, 2], [2, 2], [0, 0]]), [-1, channels])
    width = size[1] + 4
    corners = [tf.gather(grid, first + step) for step in (0, 1, width, width + 1)]
    above = corners[0] + right * (corners[1] - corners[0])
    below = corners[2] + right * (corners[3] - corners[2])
    return tf.reshape(above + down * (below - above), [batch, *size_out, channels])


def _scattered(grad: tf.Tensor, matrix: tf.Tensor, size: Size) -> tf.Tensor:
    """The adjoint of `_gathered`."""
    batch, *size_out, channels = sides(grad)
    first, down, right = _positions(matrix, size_out, size)
    height, width = size[0] + 4, size[1] + 4
    below = down * tf.reshape(grad, [-1, channels])
    above = tf.reshape(grad, [-1, channels]) - below
    corners = [above - right * above, right * above, below - right * below, right * below]
    cells = tf.math.unsorted_segment_sum(tf.concat(corners, axis=1), first, batch * height * width)
    cells = tf.reshape(cells, [batch, height, width, 4, channels])
    n = slice(2, -2), slice(1, -3)  # rows and columns of the image, and the same, one earlier
    return cast("tf.Tensor", sum(cells[:, n[y], n[x], 2 * y + x] for y in (0, 1) for x in (0, 1)))


def _positions(
    matrix: tf.Tensor, size_out: Sequence[int], size: Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where each output pixel lies in a grid of all images, each with a border of two zeros.

    Returns:
      The grid point above and to the left of it, ``[B h w]`` int32; how far below and to the right of
      that it is, in [0, 1), each ``[B h w, 1]``.
    """
    y, x = (tf.range(side, dtype=tf.float32) for side in size_out)
    entry = matrix[:, :, :, None, None]
    position = entry[:, :, 0] * y[:, None] + (entry[:, :, 1] * x + entry[:, :, 2])  # [B, 2, h, w]
    corner = tf.floor(position)
    rest = tf.reshape(tf.transpose(position - corner, [1, 0, 2, 3]), [2, -1, 1])
    last = tf.constant(size, tf.float32)[:, None, None]
    cell = tf.cast(tf.clip_by_value(corner, -2.0, last), tf.int32) + 2
    image = tf.range(matrix.shape[0])[:, None, None]
    first = (image * (size[0] + 4) + cell[:, 0]) * (size[1] + 4) + cell[:, 1]
    return tf.reshape(first, [-1]), rest[0], rest[1]


# All are parts of one function: all geometry is one affine map, sampled once, and noise comes after it.
register(Component("transform", "geometry", build, GEOMETRY))
register(Component("transform", "noise", draw, NOISE))
register(Component("transform", "noise_uniform", draw, UNIFORM))
