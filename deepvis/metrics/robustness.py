"""Views: (centred image [H, W, C], generator) -> the same image, slightly moved or spoilt.

They ask how much of its score an image keeps. The set is fixed: a filter is seen through the same views in
every job and from every seed, so that its jobs are compared through the same ones.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image
from scipy import ndimage

SEED = 1987  # any; it never changes
SHIFT = 4  # px
ANGLE = 5.0  # degrees
FACTOR = 1.05
QUALITY = 50  # of JPEG
NOISE = 0.1  # standard deviations of the image


def translation(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`SHIFT` px along each axis, each way by chance; the border reflects."""
    h, w = image.shape[:2]
    down, right = (rng.integers(2, size=2) * 2 - 1) * min(SHIFT, h - 1, w - 1)
    wide = np.pad(image, ((abs(down),) * 2, (abs(right),) * 2, (0, 0)), mode="reflect")
    return wide[abs(down) - down :][:h, abs(right) - right :][:, :w]


def rotation(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By `ANGLE`, either way by chance, about the centre; bilinear, the border reflects."""
    angle = np.deg2rad(rng.choice([-ANGLE, ANGLE]))
    cos, sin = np.cos(angle), np.sin(angle)
    return _resampled(image, np.array([[cos, -sin], [sin, cos]]))


def scaling(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By `FACTOR` or its inverse, by chance, about the centre; bilinear, the border reflects."""
    return _resampled(image, np.eye(2) * rng.choice([1 / FACTOR, FACTOR]))


def jpeg(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As JPEG of `QUALITY`, the image's lowest value black and its highest white."""
    low, high = image.min(), image.max()
    spread = (high - low) or 1.0
    pixels = np.rint((image - low) / spread * 255).astype(np.uint8)
    # Three channels are colours to JPEG, which keeps less of them than of light; others are pictures apart.
    parts = [pixels] if image.shape[-1] == 3 else list(np.moveaxis(pixels, -1, 0))
    seen = []
    for part in parts:
        file = io.BytesIO()
        Image.fromarray(part).save(file, "jpeg", quality=QUALITY)
        seen.append(np.atleast_3d(np.asarray(Image.open(file), float)))
    return np.concatenate(seen, axis=-1) / 255 * spread + low


def noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of `NOISE` standard deviations of the image."""
    return image + rng.normal(0, NOISE * image.std(), image.shape)


VIEWS: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    each.__name__: each for each in (translation, rotation, scaling, jpeg, noise)
}
NAMES = ("robustness", *(f"retained_{name}" for name in VIEWS))  # of what is measured through them


def of(image: np.ndarray, index: int) -> dict[str, np.ndarray]:
    """Every view of a filter's image.

    Args:
      image: centred pixels ``[H, W, 3]``; one that is not finite is seen as it is.
      index: of the filter; it chooses the directions and the noise.

    Returns:
      Name -> ``[H, W, 3]`` float32.
    """
    if not np.isfinite(image).all():
        return dict.fromkeys(VIEWS, image)
    with np.errstate(over="ignore"):  # an image that diverged may be near the end of float32
        return {
            name: view(image.astype(float), np.random.default_rng([SEED, number, index])).astype(np.float32)
            for number, (name, view) in enumerate(VIEWS.items())
        }


def retained(score: np.ndarray, seen: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    r"""Robustness: the share of its score that an image keeps, view by view and in the mean.

    .. math:: \mathrm{retained}_v = s(v(x)) \, / \, s(x), \quad
              \mathrm{robustness} = \tfrac15 \sum_v \mathrm{retained}_v

    Args:
      score: of the images, :math:`s(x)`, ``[B]``.
      seen: scores of each view of them, by its name.

    Returns:
      ``robustness`` and ``retained_<view>``, ``[B]`` each, up is better: 1 where all of the score is kept, 0
      where none is; a view may score higher than its image. NaN where an image has no score above 0.
      Source: the jitter, rotation and scaling of Mahendran and Vedaldi 2015 and Olah et al. 2017, as a
      measure of a finished image in the place of a regularizer.

    Example:
      >>> shares = retained(np.array([10.0]), {"translation": np.array([9.0]), "noise": np.array([10.0])})
      >>> shares["robustness"].tolist()
      [0.95]
    """
    score = np.where((score > 0) & np.isfinite(score), score, np.nan)
    shares = {f"retained_{name}": scores / score for name, scores in seen.items()}
    return {"robustness": np.mean(list(shares.values()), axis=0)} | shares


def _resampled(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Output pixel p is input pixel centre + matrix (p - centre)."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - matrix @ centre
    planes = [
        ndimage.affine_transform(plane, matrix, offset, order=1, mode="reflect")
        for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(planes, axis=-1)
