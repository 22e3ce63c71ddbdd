"""Parametrizations: what is optimized in place of the pixels, and how it becomes an image.

    (size, mean, options) -> Param: encode(image [B, H, W, C]) -> theta [B, ...], decode(theta) -> image

The size is (height, width) in px, the mean is that of the training set, one number per channel; images are
centred pixels. A step in theta moves frequencies and decorrelated colours evenly, where a step in pixels
moves correlated values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.ascent import spectra
from deepvis.ascent.ops import mean_of, per_image, rms
from deepvis.config.knobs import REQUIRED, Function, Knob, declare
from deepvis.networks.backend import tf
from deepvis.networks.base import Size


@dataclass(frozen=True)
class Param:
    """A parametrization: two functions, inverse to one another as far as it reaches every image."""

    encode: Callable[[tf.Tensor], tf.Tensor]  # image -> theta, one tensor whose first axis is the batch
    decode: Callable[[tf.Tensor], tf.Tensor]  # theta -> image, differentiable


def parametrization(display: str = "contrast", **knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a parametrization; its options are knobs.

    Args:
      display: how its images are shown where ``start.display=auto``: ``natural`` colours, for images that
        stay in [0, 255], or their ``contrast`` stretched.
      knobs: its options.
    """
    return declare("param", None, knobs, display=display)


EDGE = 0.01  # grey levels that a pixel to be encoded stays away from 0 and 255, which no sigmoid reaches


@parametrization(
    octaves=Knob(1, "sizes at which the image is optimized, one after the other", low=1, static=True),
    octave_scale=Knob(
        1.4, "from one octave's sides to the next", above=1, high=255, switch=False, static=True
    ),
)
def pixel(size: Size, mean: Sequence[float], octaves: int = 1, octave_scale: float = 1.4) -> Param:
    """The image itself: theta is ``[B, H, W, C]``, centred pixels."""
    return Param(encode=lambda image: image, decode=lambda theta: theta)


@parametrization(
    display="natural",
    power=Knob(REQUIRED, "theta is divided by frequency to this power", above=0, high=255, static=True),
)
def fourier(size: Size, mean: Sequence[float], power: float) -> Param:
    r"""The spectrum of decorrelated colours, behind a sigmoid.

    .. math:: x = 255 \, \sigma(M \, F^{-1}(s \, \theta)) - \mu, \quad
              s = \frac{\sqrt{hw}}{4} \max(f, 1/n)^{-p}, \quad n = \max(h, w)

    Theta is ``[B, 2, C, h, w // 2 + 1]``: real and imaginary parts. :math:`M` mixes the colours of three
    channels; other numbers of channels are not mixed.

    Args:
      size: :math:`h, w`.
      mean: :math:`\mu`.
      power: :math:`p`; 1 gives all frequencies of a natural image about the same theta.

    Source: Olah et al. 2017, "Feature visualization", section "Preconditioning and parameterization"; the
    factor before it is lucid's, so that learning rates carry over.
    """
    centre = np.asarray(mean, np.float32)
    into, out = spectra.colours(len(centre))
    scale = np.float32(spectra.scale(size, power))

    def decode(theta):
        real, imaginary = tf.unstack(theta * scale, axis=1)  # whose gradient takes a sixth of two slices'
        maps = tf.signal.irfft2d(tf.complex(real, imaginary), size)
        return 255.0 * _steady(tf.sigmoid, _mixed(maps, into)) - centre

    def encode(image):
        pixels = tf.clip_by_value(image + centre, EDGE, 255 - EDGE)
        spectrum = tf.signal.rfft2d(_unmixed(_steady(tf.math.log, pixels / (255.0 - pixels)), out))
        return tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], axis=1) / scale

    return Param(encode, decode)


@parametrization(
    display="natural",
    spectrum=Knob(
        REQUIRED,
        "magnitudes: law, published, 1/f, a .npy file, or a folder of pictures",
        kind=str,
        static=True,
    ),
    standardize=Knob(True, "phases are brought to mean 0 and standard deviation 1 in each step", static=True),
)
def maco(size: Size, mean: Sequence[float], spectrum: str, standardize: bool = True) -> Param:
    r"""The phase alone: the magnitude of every frequency stays that of natural images.

    .. math:: x = 255 \, \sigma\left(M \, S(F^{-1}(r \, e^{i S(\theta)}))\right) - \mu, \quad
              S(v) = \frac{v - \bar v}{\mathrm{std}(v) + 10^{-5}}

    Theta is ``[B, C, h, w // 2 + 1]``, radians; mean and deviation are an image's, over all channels. The
    magnitude is that of the sigmoid's argument.

    Args:
      size: :math:`h, w`.
      mean: :math:`\mu`.
      spectrum: :math:`r`, see `deepvis.ascent.spectra`.
      standardize: whether :math:`S` is taken of theta, as the authors' code has it; their paper does not. No
        picture has phases of deviation 1, so a start is then a source of chance alone: theta is the real part
        of its spectrum, which of white noise is normal, as theirs. Without it theta is the start's phase.

    Raises:
      ConfigError: there is no such spectrum.

    Source: Fel et al. 2023, "Unlocking feature visualization for deeper networks with MAgnitude Constrained
    Optimization", section 3, as in their library xplique 2.0.2, maco_image_parametrization.
    """
    centre = np.asarray(mean, np.float32)
    into, out = spectra.colours(len(centre))
    radius = spectra.magnitude(spectrum, size, centre)

    def decode(theta):
        phase = _standardized(theta) if standardize else theta
        cosine, sine = _steady(tf.cos, phase), _steady(tf.sin, phase)
        maps = tf.signal.irfft2d(tf.complex(radius * cosine, radius * sine), size)
        return 255.0 * _steady(tf.sigmoid, _mixed(_standardized(maps), into)) - centre

    def encode(image):
        if standardize:
            return _standardized(tf.math.real(tf.signal.rfft2d(tf.transpose(image, [0, 3, 1, 2]))))
        pixels = tf.clip_by_value(image + centre, EDGE, 255 - EDGE)
        argument = _steady(tf.math.log, pixels / (255.0 - pixels))
        return tf.math.angle(tf.signal.rfft2d(_unmixed(argument, out)))

    return Param(encode, decode)


GATE = 5.0  # where the gate of a magnitude starts; its sigmoid is 0.9933


@parametrization(display="natural")
def fourier_phase(size: Size, mean: Sequence[float]) -> Param:
    r"""The phases of a picture, and how much of its magnitudes is let through.

    .. math:: x = 255 \, \sigma\left(M \, F^{-1}(r \, \sigma(a) \, e^{i \phi})\right) - \mu, \quad
              r e^{i \phi_0} = F(M^{-1} \, \mathrm{logit}((x_0 + \mu) / 255)), \quad a_0 = 5

    No frequency can become stronger than it was in the start :math:`x_0`, so nothing is added that the
    picture has no energy for. Theta is ``[B, 3, C, h, w // 2 + 1]``: :math:`\phi`, :math:`a`, and :math:`r`,
    whose gradient is 0, so that optimizers leave it; rates are of the first two.

    Args:
      size: :math:`h, w`.
      mean: :math:`\mu`.

    Source: faccent 1.0.3, ``fourier_phase`` of an image, beside Hamblin et al. 2024, "Feature Accentuation",
    arXiv:2402.10039. Theirs keeps the logit from 1e-6 on; here pixels stay `EDGE` away from both ends.
    """
    centre = np.asarray(mean, np.float32)
    into, out = spectra.colours(len(centre))

    def decode(theta):
        phase, gate, magnitude = tf.unstack(theta, axis=1)
        radius = tf.stop_gradient(magnitude) * _steady(tf.sigmoid, gate)
        maps = tf.signal.irfft2d(
            tf.complex(radius * _steady(tf.cos, phase), radius * _steady(tf.sin, phase)), size
        )
        return 255.0 * _steady(tf.sigmoid, _mixed(maps, into)) - centre

    def encode(image):
        pixels = tf.clip_by_value(image + centre, EDGE, 255 - EDGE)
        spectrum = tf.signal.rfft2d(_unmixed(_steady(tf.math.log, pixels / (255.0 - pixels)), out))
        real, imaginary = tf.math.real(spectrum), tf.math.imag(spectrum)
        magnitude = tf.sqrt(tf.square(real) + tf.square(imaginary))
        return tf.stack([tf.math.angle(spectrum), GATE + 0.0 * magnitude, magnitude], axis=1)

    return Param(encode, decode)


@parametrization(
    display="natural",
    levels=Knob(REQUIRED, "levels of the pyramid, each half as large as the one before", low=1, high=16,
                kind=int, static=True),
)  # fmt: skip
def laplacian(size: Size, mean: Sequence[float], levels: int) -> Param:
    r"""A Laplacian pyramid of decorrelated colours, behind a sigmoid.

    .. math:: x = 255 \, \sigma\Bigl(M \sum_{k=0}^{K-1} U_k \theta_k\Bigr) - \mu

    :math:`\theta_k` has sides of :math:`\max(1, \lfloor h / 2^k \rfloor)` and likewise :math:`w`;
    :math:`U_k` scales it to :math:`h, w`, bilinear, a level's first pixel over the image's first. Theta is
    ``[B, n]``: the levels one after the other, the largest first, each ``[rows, columns, C]``. A step in a
    small level moves a large part of the image at once.

    Of an image theta is a pyramid proper: the smallest level is the mean of its parts, and each larger one
    what the smaller ones leave, so the largest makes up for any of their errors.

    Args:
      size: :math:`h, w`.
      mean: :math:`\mu`.
      levels: :math:`K`; 1 is a sigmoid of pixels alone.

    Source: lucid 0.3.10, ``laplacian_pyramid_image``, which has 4 levels; Olah et al. 2017, "Feature
    visualization"; the name from Burt and Adelson 1983.
    """
    centre = np.asarray(mean, np.float32)
    channels = len(centre)
    into, out = spectra.colours(channels)
    shapes = [(max(1, size[0] >> k), max(1, size[1] >> k), channels) for k in range(levels)]

    def enlarged(level):
        if level.shape[1:3] == size:
            return level
        return tf.raw_ops.ResizeBilinear(images=level, size=size)

    def decode(theta):
        parts = tf.split(theta, [math.prod(shape) for shape in shapes], axis=1)
        total = tf.zeros([theta.shape[0], *size, channels])
        for part, shape in zip(parts, shapes, strict=True):
            total += enlarged(tf.reshape(part, [-1, *shape]))
        return 255.0 * _steady(tf.sigmoid, _mixed(tf.transpose(total, [0, 3, 1, 2]), into)) - centre

    def encode(image):
        pixels = tf.clip_by_value(image + centre, EDGE, 255 - EDGE)
        argument = _unmixed(_steady(tf.math.log, pixels / (255.0 - pixels)), out)
        rest, parts = tf.transpose(argument, [0, 2, 3, 1]), []
        for shape in reversed(shapes):
            whole = shape[:2] == size
            part = rest if whole else tf.raw_ops.ResizeArea(images=rest, size=shape[:2])
            rest -= enlarged(part)
            parts.append(tf.reshape(part, [-1, math.prod(shape)]))
        return tf.concat(parts[::-1], axis=1)

    return Param(encode, decode)


def _standardized(values: tf.Tensor) -> tf.Tensor:
    """Each image's values with mean 0 and standard deviation 1: [B, ...]."""
    centred = values - per_image(mean_of(values), values)
    return centred / per_image(rms(centred) + 1e-5, values)


def _mixed(maps: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Colours mixed, channels last: [B, C, h, w] -> [B, h, w, C]."""
    batch, channels, height, width = maps.shape
    mixed = tf.matmul(tf.reshape(maps, [batch, channels, height * width]), matrix.T, transpose_a=True)
    return tf.reshape(mixed, [batch, height, width, channels])


def _unmixed(image: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Colours mixed, channels first: [B, h, w, C] -> [B, C, h, w]."""
    batch, height, width, channels = image.shape
    mixed = tf.matmul(matrix, tf.reshape(image, [batch, height * width, channels]), transpose_b=True)
    return tf.reshape(mixed, [batch, channels, height, width])


def _steady(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """A function of each value whose last bit does not depend on the position in the batch.

    Eigen computes vectors of up to 16 values one way and what is left over another.
    """
    flat = tf.reshape(x, [x.shape[0], -1])
    values = flat.shape[1]
    if values % 16:
        flat = tf.pad(flat, [[0, 0], [0, -values % 16]], constant_values=1.0)  # the log of 0 has no gradient
    return tf.reshape(function(flat)[:, :values], x.shape)
