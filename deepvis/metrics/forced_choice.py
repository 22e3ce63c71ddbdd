r"""Forced choice by a machine: do explanations of a unit tell which of two images excites it?

A task has two natural queries, of which one excites the unit, and explanations of both ends. With
:math:`s(q, E)` the mean similarity of a query with explanations, the observer decides by

.. math:: D = [s(q^+, E^+) - s(q^+, E^-)] - [s(q^-, E^+) - s(q^-, E^-)]

:math:`D > 0` is right. Explanations that were shuffled say nothing: half of the answers are right.

Source: the task is that of Borowski et al. 2021 (arXiv:2010.12606); a machine observer: Zimmermann, Klindt,
and Brendel 2024, "Measuring Per-Unit Interpretability at Scale Without Humans".
"""

from dataclasses import dataclass

import numpy as np

TEMPERATURE = 0.16  # of the machine interpretability score, as in its two reimplementations


@dataclass(frozen=True, eq=False)
class Tasks:
    """Pairs of queries of one unit, as indices of images; no query is an explanation."""

    high: np.ndarray  # [n] queries that excite it
    low: np.ndarray  # [n] queries that do not
    most: np.ndarray  # [k] explanations: the images that excite it most
    least: np.ndarray  # [k] those that excite it least


def tasks(activations: np.ndarray, count: int, explanations: int) -> Tasks:
    """Tasks of one unit: the extremes explain, the images next to them are asked.

    Many images leave a unit at exactly 0. Which of them are the lowest is drawn, the same each time: in the
    order of their names they would be of one folder, and so of one kind.

    Args:
      activations: ``[images]`` of the unit.
      count: of tasks.
      explanations: of each end.

    Raises:
      ValueError: fewer images than ``2 * (count + explanations)``.
    """
    n = len(activations)
    if n < 2 * (count + explanations):
        raise ValueError(f"got {n} images, expected {2 * (count + explanations)} or more")
    order = np.lexsort((np.random.default_rng(0).random(n), -np.asarray(activations, float)))
    ends = order[: explanations + count], order[::-1][: explanations + count]
    return Tasks(
        ends[0][explanations:], ends[1][explanations:], ends[0][:explanations], ends[1][:explanations]
    )


def decisions(
    high_most: np.ndarray, high_least: np.ndarray, low_most: np.ndarray, low_least: np.ndarray
) -> np.ndarray:
    """:math:`D` of each task, ``[n]``.

    Args:
      high_most: ``[n, k]`` similarities of the exciting queries with explanations of the upper end.
      high_least: of the same with those of the lower end.
      low_most: of the other queries with those of the upper end.
      low_least: likewise with those of the lower end.
    """
    high = high_most.mean(axis=1) - high_least.mean(axis=1)
    return high - (low_most.mean(axis=1) - low_least.mean(axis=1))


def accuracy(decided: np.ndarray) -> float:
    """Share of tasks that are right; a tie counts half."""
    decided = np.asarray(decided, float)
    return float(np.mean((decided > 0) + 0.5 * (decided == 0))) if len(decided) else np.nan


def interpretability(decided: np.ndarray) -> float:
    r"""The machine interpretability score, :math:`\overline{\sigma(D / 0.16)}`."""
    decided = np.asarray(decided, float)
    return float(np.mean(1 / (1 + np.exp(-decided / TEMPERATURE)))) if len(decided) else np.nan
