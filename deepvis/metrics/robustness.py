"""Robustness: the share of its score that an image retains when it is changed a little.

    (centred image [H, W, C], generator) -> the same image, slightly moved or degraded, in each direction

A change that has directions is made in all of them, and the mean counts: an image may keep all of its score
on the way to the left and lose half of it to the right. The noise of a filter is the same in every job and
for every seed, so that its jobs can be compared.
"""

import io
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy
from PIL import Image

SEED = 1987  # any; it never changes
SHIFT = 4  # px
ANGLE = 5.0  # degrees
FACTOR = 1.05
QUALITY = 50  # of JPEG
BEYOND = 0.5  # per cent of the values that are darker than JPEG's black, and as many brighter than its white
NOISE = 0.1  # standard deviations of the image


def translation(image: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
    """`SHIFT` px along both axes, in all four directions; the border reflects."""
    h, w = image.shape[:2]
    most_down, most_right = min(SHIFT, h - 1), min(SHIFT, w - 1)
    moved = []
    for down, right in itertools.product((-most_down, most_down), (-most_right, most_right)):
        wide = np.pad(image, ((abs(down),) * 2, (abs(right),) * 2, (0, 0)), mode="reflect")
        moved.append(wide[abs(down) - down :][:h, abs(right) - right :][:, :w])
    return moved


def rotation(image: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
    """By `ANGLE`, both ways, about the centre; bilinear, the border reflects."""
    cos, sin = np.cos(np.deg2rad(ANGLE)), np.sin(np.deg2rad(ANGLE))
    return [_resampled(image, np.array([[cos, -s], [s, cos]])) for s in (-sin, sin)]


def scaling(image: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
    """By `FACTOR` and by its inverse, about the centre; bilinear, the border reflects."""
    return [_resampled(image, np.eye(2) * factor) for factor in (1 / FACTOR, FACTOR)]


def jpeg(image: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
    """As JPEG of `QUALITY`, all but `BEYOND` per cent at either end of its values between black and white.

    One pixel far from all others would leave them a few of the 256 grey levels, so what is darker than black
    or brighter than white is not part of the JPEG: that much is added again afterwards.
    """
    low, high = np.percentile(image, (BEYOND, 100 - BEYOND))
    if low == high:  # nearly all of the image is one value
        low, high = image.min(), image.max()
    spread = (high - low) or 1.0
    within = np.clip(image, low, high)
    pixels = np.rint((within - low) / spread * 255).astype(np.uint8)
    # Of three channels JPEG keeps less of the colour than of the lightness; others are encoded one by one.
    parts = [pixels] if image.shape[-1] == 3 else list(np.moveaxis(pixels, -1, 0))
    decoded = []
    for part in parts:
        file = io.BytesIO()
        Image.fromarray(part).save(file, "jpeg", quality=QUALITY)
        decoded.append(np.atleast_3d(np.asarray(Image.open(file), float)))
    return [np.concatenate(decoded, axis=-1) / 255 * spread + low + (image - within)]


def noise(image: np.ndarray, rng: np.random.Generator) -> Sequence[np.ndarray]:
    """Gaussian noise of `NOISE` standard deviations of the image."""
    return [image + rng.normal(0, NOISE * image.std(), image.shape)]


CHANGES: Mapping[str, Callable[[np.ndarray, np.random.Generator], Sequence[np.ndarray]]] = {
    change.__name__: change for change in (translation, rotation, scaling, jpeg, noise)
}
NAMES = ("robustness", *(f"retained_{name}" for name in CHANGES))


def of(image: np.ndarray, index: int) -> dict[str, np.ndarray]:
    """A filter's image under every change, in each of its directions: ``[directions, H, W, C]`` by name.

    Args:
      image: centred pixels ``[H, W, C]``; one that is not finite stays as it is.
      index: of the filter; it chooses the noise.
    """
    if not np.isfinite(image).all():
        ways = of(np.zeros_like(image), index)
        return {name: np.broadcast_to(image, changed.shape) for name, changed in ways.items()}
    with np.errstate(over="ignore"):  # an image that diverged may be near the end of float32
        return {
            name: np.stack(change(image.astype(float), np.random.default_rng([SEED, number, index]))).astype(
                np.float32
            )
            for number, (name, change) in enumerate(CHANGES.items())
        }


def retained(score: np.ndarray, changed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    r"""The share of its score that an image retains, change by change and in the mean.

    .. math:: \mathrm{retained}_v = \overline{s(v_d(x))}_d \, / \, s(x), \quad
              \mathrm{robustness} = \tfrac15 \sum_v \mathrm{retained}_v

    Args:
      score: of the images, :math:`s(x)`, ``[B]``.
      changed: their scores under each change in each of its directions d, ``[directions, B]``, by its name.

    Returns:
      ``robustness`` and ``retained_<change>``, ``[B]`` each, up is better: 1 where all of the score is kept,
      0 where none is; it may be above 1. NaN where an image has no score above 0.
      Source: the jitter, rotation and scaling of Mahendran and Vedaldi 2015 and Olah et al. 2017, as a
      measure of a finished image in the place of a regularizer.
    """
    score = np.where((score > 0) & np.isfinite(score), score, np.nan)
    shares = {f"retained_{name}": scores.mean(axis=0) / score for name, scores in changed.items()}
    return {"robustness": np.mean(list(shares.values()), axis=0)} | shares


def _resampled(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Output pixel p is input pixel centre + matrix (p - centre)."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - matrix @ centre
    planes = [
        scipy.ndimage.affine_transform(plane, matrix, offset, order=1, mode="reflect")
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(planes, axis=-1)
