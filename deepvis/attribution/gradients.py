"""Methods that are a gradient of the score by the pixels, or a mean of such gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepvis.attribution.family import FILLINGS, Attribution, Method, attribution, filling
from deepvis.attribution.path_integral import Integral, integral
from deepvis.config.knobs import REQUIRED, Knob

if TYPE_CHECKING:
    from deepvis.attribution.unit import Unit

MOST = 512  # intervals of a path, at most: the gradients of all are in memory


@attribution(signed=False)
def saliency(unit: Unit) -> Method:
    r"""How fast the score changes with a pixel.

    .. math:: m_{ij} = \max_c |\partial s / \partial x_{ijc}|

    Source: Simonyan et al. 2014, "Deep Inside Convolutional Networks", section 3.
    """

    def method(images: Sequence[np.ndarray]) -> Attribution:
        scores, gradients = map(np.stack, zip(*unit.gradients(images), strict=True))
        return Attribution(np.abs(gradients).max(axis=-1), scores, gradients)

    return method


@attribution(signed=True)
def gradient_input(unit: Unit) -> Method:
    r"""The gradient times the pixel: to first order, what it adds to the score of a grey one.

    .. math:: m_{ij} = \sum_c x_{ijc} \, \partial s / \partial x_{ijc}

    with :math:`x` centred: grey is the mean of the network's training set.

    Source: Shrikumar et al. 2016, "Not Just a Black Box", which names it.
    """

    def method(images: Sequence[np.ndarray]) -> Attribution:
        scores, gradients = map(np.stack, zip(*unit.gradients(images), strict=True))
        return Attribution((gradients * np.stack(images)).sum(axis=-1), scores, gradients)

    return method


@attribution(
    signed=False,
    one_by_one=True,
    samples=Knob(REQUIRED, "noisy copies of an image", low=1, high=10_000, kind=int),
    noise=Knob(REQUIRED, "standard deviation of the noise, in units of the image's range", low=0, high=10),
    seed=Knob(REQUIRED, "of the noise", low=0, kind=int),
)
def smooth_grad(unit: Unit, *, samples: int, noise: float, seed: int) -> Method:
    r"""The mean gradient of noisy copies of an image.

    .. math:: m_{ij} = \max_c \Big| \frac{1}{n} \sum_k \partial s / \partial x_{ijc} (x + \epsilon_k) \Big|,
              \quad \epsilon_k \sim N(0, \sigma^2), \quad \sigma = r \, (\max x - \min x)

    Args:
      unit: of a network.
      samples: :math:`n`.
      noise: :math:`r`; 0 is the gradient itself.
      seed: the noise of copy k follows from it and from k alone.

    Source: Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".
    """

    def noisy(image: np.ndarray) -> Iterator[np.ndarray]:
        sigma = np.float32(noise * (image.max() - image.min()))
        for k in range(samples):
            drawn = np.random.default_rng([seed, k]).standard_normal(image.shape, np.float32)
            yield image + sigma * drawn

    def method(images: Sequence[np.ndarray]) -> Attribution:
        means = [_sum(gradient for _, gradient in unit.gradients(noisy(image))) / samples for image in images]
        gradients = np.stack(means).astype(np.float32)
        return Attribution(np.abs(gradients).max(axis=-1), unit.scores(images), gradients)

    return method


@attribution(
    signed=True,
    one_by_one=True,
    steps=Knob(REQUIRED, "intervals of the path, to begin with", low=1, high=MOST, kind=int),
    baseline=Knob(REQUIRED, "where the path begins", choices=FILLINGS, kind=str),
    tolerance=Knob(REQUIRED, "error of completeness that is allowed, of the score's change", above=0, high=1),
)
def integrated_gradients(unit: Unit, *, steps: int, baseline: str, tolerance: float) -> Method:
    r"""The gradient, integrated on the straight line from a baseline to the image.

    .. math:: m_{ij} = \sum_c (x_{ijc} - b_{ijc}) \int_0^1 \partial s / \partial x_{ijc} (b + t (x - b)) \, dt

    by the trapezoidal rule. The map adds up to :math:`s(x) - s(b)` (completeness). Intervals of the path
    whose gradients do not add up to the change of the score between their ends are divided until all together
    do, up to 512 of them, and the error that is left is told with each image.

    Args:
      unit: of a network.
      steps: intervals to begin with.
      baseline: :math:`b`: ``mean`` is the grey of the training set.
      tolerance: of completeness, relative to :math:`|s(x) - s(b)|`.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks".
    """

    def one(image: np.ndarray) -> tuple[np.ndarray, Integral]:
        start = np.broadcast_to(filling(baseline, unit.mean), image.shape)
        change = image - start

        def at(points: Sequence[float]) -> Iterator[tuple[Any, ...]]:
            return unit.gradients(start + np.float32(point) * change for point in points)

        found = integral(at, change, steps, tolerance, MOST)
        return (change * found.gradient).sum(axis=-1), found

    def method(images: Sequence[np.ndarray]) -> Attribution:
        maps, found = zip(*map(one, images), strict=True)
        measured = {"completeness_error": np.array([each.error for each in found]),
                    "steps": np.array([each.intervals for each in found])}  # fmt: skip
        scores = np.array([each.score for each in found], np.float32)
        return Attribution(np.stack(maps).astype(np.float32), scores, measured=measured)

    return method


def _sum(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """In float64, one after the other: as many as there are need no memory."""
    total: Any = 0.0
    for each in arrays:
        total = total + each.astype(float)
    return np.asarray(total)
