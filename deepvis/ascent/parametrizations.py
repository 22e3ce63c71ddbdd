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

from deepvis.ascent import pictures as picture_files
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

# Square root of the covariance of natural images' colours (lucid, optvis/param/color.py): from three
# decorrelated colours, lightness, blue against red, and green against both, to RGB.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


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
    into, out = _colours(len(centre))
    # In units in which theta of deviation 1 makes a sigmoid's argument of deviation near 1, at any size.
    scale = np.float32(
        math.sqrt(math.prod(size)) / 4 * np.maximum(_frequencies(size), 1 / max(size)) ** -power
    )

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
    contrast=Knob(REQUIRED, "standard deviation of the image in grey levels", above=0, high=255, static=True),
    pictures=Knob(None, "a folder whose mean magnitude is taken", kind=str, static=True),
)
def maco(size: Size, mean: Sequence[float], contrast: float, pictures: str | None = None) -> Param:
    r"""The phase alone: the magnitude of every frequency stays that of natural images.

    .. math:: x = M \, F^{-1}(r \, e^{i \theta})

    Theta is ``[B, C, h, w // 2 + 1]``, radians. The few frequencies that are their own conjugates are real: a
    cosine of theta below 0 is a minus, and they have no gradient.

    Args:
      size: :math:`h, w`.
      mean: subtracted from the pictures.
      contrast: standard deviation of the image over random phases, grey levels, where :math:`r \propto 1/f`,
        and 0 at :math:`f = 0`. Not used where there are pictures.
      pictures: a folder; :math:`r` is then the mean magnitude of all the pictures in it that Pillow reads,
        each cropped about its centre and scaled to the size.

    Raises:
      ValueError: the folder holds no picture.

    Source: Fel et al. 2023, "Unlocking feature visualization for deeper networks with MAgnitude Constrained
    Optimization", section 3; without its sigmoid and standardization, which would change the magnitude.
    """
    into, out = _colours(len(mean))
    if pictures is None:
        radius = _inverse_frequency(size, contrast, into)
    else:
        radius = _mean_magnitude(pictures, size, np.asarray(mean), out)
    # The spectrum of a real image equals its mirrored conjugate. In the columns that mirror onto themselves
    # only the odd part of a phase exists, which is 0 where a frequency is its own mirror.
    height, width = size
    edge = np.zeros([height, width // 2 + 1], np.float32)
    edge[:, [0, width // 2] if width % 2 == 0 else [0]] = 0.5
    rows = np.arange(height)
    mirrored = -rows % height
    real = (edge > 0) & (rows == mirrored)[:, None]

    def decode(theta):
        phase = theta * (1 - edge) - tf.gather(theta, mirrored, axis=2) * edge
        cosine, sine = _steady(tf.cos, phase), _steady(tf.sin, phase)
        sign = tf.where(real & (_steady(tf.cos, tf.stop_gradient(theta)) < 0), -radius, radius)
        return _mixed(tf.signal.irfft2d(tf.complex(sign * cosine, sign * sine), size), into)

    def encode(image):
        phase = tf.math.angle(tf.signal.rfft2d(_unmixed(image, out)))
        # Mirrored exactly: a half turn and its mirror may both come out positive, and their odd part as 0.
        lower = (edge > 0) & (rows > height // 2)[:, None]
        return tf.where(lower, -tf.gather(phase, mirrored, axis=2), phase)

    return Param(encode, decode)


def _frequencies(size: Size) -> np.ndarray:
    """Of the half spectrum, cycles per px: [h, w // 2 + 1]."""
    return np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))


def _inverse_frequency(size: Size, contrast: float, into: np.ndarray) -> np.ndarray:
    """Magnitudes that fall as 1/f, of an image of that contrast: [h, w // 2 + 1]."""
    frequencies = _frequencies(size)
    radius = np.where(frequencies > 0, 1 / np.maximum(frequencies, 1 / max(size)), 0)
    width = size[1]
    twice = np.where((np.arange(width // 2 + 1) * 2) % width == 0, 1, 2)  # a column and its mirror
    deviation = np.sqrt((twice * radius**2).sum()) / math.prod(size)  # of a channel, by Parseval
    mixed = deviation * np.sqrt((into**2).sum() / len(into))
    return (radius * (contrast / mixed if mixed > 0 else 0)).astype(np.float32)


def _mean_magnitude(folder: str, size: Size, mean: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Of the pictures of a folder, in decorrelated colours: [C, h, w // 2 + 1]."""
    images = [picture_files.read(path, size, len(mean)) for path in picture_files.files(folder)]
    if not images:
        raise ValueError(f"param.pictures={folder}: no picture in it")
    magnitudes = [np.abs(np.fft.rfft2((image - mean) @ out.T, axes=(0, 1))) for image in images]
    return np.mean(magnitudes, axis=0).transpose(2, 0, 1).astype(np.float32)


def _colours(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """From decorrelated colours to the image's, and back: [C, C] each."""
    into = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max() if channels == 3 else np.eye(channels)
    return into.astype(np.float32), np.linalg.inv(into).astype(np.float32)


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
