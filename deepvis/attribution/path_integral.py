r"""The integral of a gradient along a straight path, on as few points as its sum needs.

    (points -> scores and gradients) -> mean gradient

The scores at both ends of an interval tell what its gradients must add up to, so an interval knows its error:

.. math:: r = \tfrac{1}{2} (g_a + g_b) \cdot \delta \, (b - a) - (s_b - s_a)

Intervals with the largest are divided first. Of ReLU networks nearly all of it is beside a grey baseline,
where a small contrast switches most units at once: on VGG16 the first 512th of a path had more of it than all
the rest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

AT_ONCE = 16  # points that are added before errors are looked at again
NARROWEST = 2.0**-24  # an interval that is not divided

# Points in [0, 1] -> at each the score, and its gradient.
Path = Callable[[Sequence[float]], Iterable[tuple[float, np.ndarray]]]


@dataclass(frozen=True)
class Integral:
    """What was found."""

    gradient: np.ndarray  # float64, mean over the path
    score: float  # at the end of the path
    error: float  # of the sum, relative to the change of the score
    intervals: int


def integral(path: Path, change: np.ndarray, steps: int, tolerance: float, most: int) -> Integral:
    """The mean gradient on a path, by the trapezoidal rule.

    Args:
      path: see `Path`.
      change: from the beginning of the path to its end.
      steps: intervals to begin with, all alike.
      tolerance: of the sum, relative to the change of the score.
      most: intervals, at most; what is not met then is told.
    """
    points = np.linspace(0, 1, steps + 1)
    scores, gradients = _at(path, points)
    while True:
        slopes = np.array([float((change * each).sum(dtype=float)) for each in gradients])
        errors = (slopes[1:] + slopes[:-1]) / 2 * np.diff(points) - np.diff(scores)
        error = abs(errors.sum()) / max(abs(scores[-1] - scores[0]), 1e-12)
        added = [] if error <= tolerance else _added(points, errors, most - len(points) + 1)
        if not added:
            break
        new_scores, new_gradients = _at(path, added)
        order = np.argsort(np.concatenate([points, added]), kind="stable")
        points = np.concatenate([points, added])[order]
        scores = np.concatenate([scores, new_scores])[order]
        gradients = [(gradients + new_gradients)[k] for k in order]
    widths = np.diff(points, prepend=points[0], append=points[-1])
    total = np.zeros(gradients[0].shape)
    for gradient, weight in zip(gradients, (widths[1:] + widths[:-1]) / 2, strict=True):
        total += weight * gradient
    return Integral(total, float(scores[-1]), float(error), len(points) - 1)


def _at(path: Path, points: Sequence[float] | np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    scores, gradients = zip(*path(list(map(float, points))), strict=True)
    return np.array(scores, float), list(gradients)


def _added(points: np.ndarray, errors: np.ndarray, most: int) -> list[float]:
    """New points, at most so many: in the intervals of nine tenths of the error, by their share of it."""
    size = np.where(np.diff(points) > NARROWEST, np.abs(errors), 0)
    count = min(AT_ONCE, most)
    order = np.argsort(-size, kind="stable")[: max(count, 0)]
    below = np.cumsum(size[order]) - size[order]
    chosen = [k for k, before in zip(order, below, strict=True) if size[k] > 0 and before < 0.9 * size.sum()]
    found: list[float] = []
    for k in chosen:
        share = int(count * size[k] / size[chosen].sum())
        parts = min(max(share, 1), count - len(found)) + 1
        found += np.linspace(points[k], points[k + 1], parts + 1)[1:-1].tolist()
    return found
