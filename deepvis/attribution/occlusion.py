"""Occlusion: how much the score falls where the image is covered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepvis.attribution.family import FILLINGS, Attribution, Method, attribution, filling
from deepvis.config.knobs import REQUIRED, Knob
from deepvis.core.errors import ConfigError

if TYPE_CHECKING:
    from deepvis.attribution.unit import Unit


@attribution(
    signed=True,
    one_by_one=True,
    patch=Knob(REQUIRED, "side of the patch", low=1, kind=int, unit="whole number of px"),
    stride=Knob(
        REQUIRED, "from one place of the patch to the next", low=1, kind=int, unit="whole number of px"
    ),
    fill=Knob(REQUIRED, "what the patch shows", choices=FILLINGS, kind=str),
)
def occlusion(unit: Unit, *, patch: int, stride: int, fill: str) -> Method:
    r"""The fall of the score while a patch covers a pixel, averaged over the places of the patch that do.

    .. math:: m_{ij} = \frac{1}{|P_{ij}|} \sum_{p \in P_{ij}} s(x) - s(x^{(p)})

    with :math:`x^{(p)}` the image with the patch at place p. The places are a grid, and one more at the lower
    and at the right edge where the grid does not reach it, so every pixel is covered.

    Args:
      unit: of a network.
      patch: px.
      stride: px, at most the patch.
      fill: ``mean`` is the grey of the training set.

    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.
    """
    if stride > patch:
        raise ConfigError(
            f"attribution.stride={stride}: got more than attribution.patch={patch}, which leaves pixels "
            "that are never covered; expected at most the patch"
        )
    shown = filling(fill, unit.mean)

    def one(image: np.ndarray, whole: float) -> np.ndarray:
        height, width = image.shape[:2]
        at = [(i, j) for i in places(height, patch, stride) for j in places(width, patch, stride)]

        def covered() -> Iterator[np.ndarray]:
            for i, j in at:
                copy = image.copy()
                copy[i : i + patch, j : j + patch] = shown
                yield copy

        total, count = np.zeros((height, width)), np.zeros((height, width))
        for (i, j), score in zip(at, unit.scores(covered()), strict=True):
            total[i : i + patch, j : j + patch] += whole - float(score)
            count[i : i + patch, j : j + patch] += 1
        return total / count

    def method(images: Sequence[np.ndarray]) -> Attribution:
        scores = unit.scores(images)
        maps = [one(*pair) for pair in zip(images, map(float, scores), strict=True)]
        return Attribution(np.stack(maps).astype(np.float32), scores)

    return method


def places(side: int, patch: int, stride: int) -> list[int]:
    """Where patches begin along a side, the last one at its end.

    Raises:
      ConfigError: the patch is larger than the image.
    """
    if patch > side:
        raise ConfigError(
            f"attribution.patch={patch}: got more than the image has, {side} px; expected at most that"
        )
    return sorted({*range(0, side - patch + 1, stride), side - patch})
