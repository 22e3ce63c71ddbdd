r"""Tuning: how the score of a unit follows a photograph that is moved, scaled, turned or lit otherwise.

    ("rotation", images, mean) -> levels, images at each level

Photographs are transformed as a whole, an object with its ground; what comes in from outside has the mean
colour of the network's training set. At the neutral level a photograph is itself, to the last bit.

Source: "performance as a function of image attributes", cs231n; tuning curves of a unit: Cammarata et al.
2020, "Curve Detectors" (Distill).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

Levels = tuple[float, ...]
# (image [H, W, C] in grey levels, level, grey levels of what comes in from outside) -> image
Change = Callable[[np.ndarray, float, Sequence[float]], np.ndarray]


@dataclass(frozen=True)
class Attribute:
    """What is changed of a photograph."""

    levels: Levels
    neutral: float  # the level at which nothing is changed
    unit: str
    change: Change


def moved(image: np.ndarray, matrix: np.ndarray, shift: np.ndarray, fill: Sequence[float]) -> np.ndarray:
    """An image whose pixel :math:`y` is that at :math:`M (y - c - s) + c`, bilinear; outside is ``fill``.

    Args:
      image: ``[H, W, C]``.
      matrix: :math:`M`, of rows and columns.
      shift: :math:`s`, px down and to the right.
      fill: grey levels, one per channel.
    """
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = centre - matrix @ (centre + shift)
    planes = [
        ndimage.affine_transform(image[..., c], matrix, offset, order=1, cval=float(fill[c]))
        for c in range(image.shape[-1])
    ]
    return np.stack(planes, axis=-1)


def horizontal(image: np.ndarray, level: float, fill: Sequence[float]) -> np.ndarray:
    """Moved to the right by a part of its width."""
    return moved(image, np.eye(2), np.array([0, round(level * image.shape[1])]), fill)


def vertical(image: np.ndarray, level: float, fill: Sequence[float]) -> np.ndarray:
    """Moved down by a part of its height."""
    return moved(image, np.eye(2), np.array([round(level * image.shape[0]), 0]), fill)


def scaled(image: np.ndarray, level: float, fill: Sequence[float]) -> np.ndarray:
    """Enlarged about its centre; smaller ones are smoothed first, as for a smaller picture."""
    if level < 1:
        sigma = (1 / level - 1) / 2
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest")
    return moved(image, np.eye(2) / level, np.zeros(2), fill)


def turned(image: np.ndarray, level: float, fill: Sequence[float]) -> np.ndarray:
    """Turned about its centre by so many degrees, counterclockwise."""
    angle = np.deg2rad(level)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return moved(image, np.round(matrix, 15), np.zeros(2), fill)


def lit(image: np.ndarray, level: float, fill: Sequence[float]) -> np.ndarray:
    """Brighter by so many grey levels, within 0 and 255."""
    del fill
    return np.clip(image + level, 0, 255)


# A row here is an attribute: `deepvis tuning` has a panel for it.
ATTRIBUTES: Mapping[str, Attribute] = {
    "horizontal position": Attribute(tuple(k / 10 for k in range(-4, 5)), 0, "of the width", horizontal),
    "vertical position": Attribute(tuple(k / 10 for k in range(-4, 5)), 0, "of the height", vertical),
    "scale": Attribute((0.5, 0.63, 0.79, 1, 1.26, 1.59, 2), 1, "times", scaled),
    "rotation": Attribute(tuple(range(-90, 91, 15)), 0, "degrees", turned),
    "brightness": Attribute(tuple(range(-96, 97, 24)), 0, "grey levels", lit),
}  # fmt: skip


def changed(attribute: Attribute, image: np.ndarray, fill: Sequence[float]) -> list[np.ndarray]:
    """A photograph at each level, float32 ``[H, W, C]``."""
    image = np.asarray(image, np.float32)
    return [
        image if level == attribute.neutral else attribute.change(image, level, fill).astype(np.float32)
        for level in attribute.levels
    ]
