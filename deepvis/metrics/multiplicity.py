"""Many tests at once: p adjusted by the permutation of the maximum, and by Holm over weighted families.

Both keep the chance of one false claim or more at its level, whichever effects there are.
"""

from collections.abc import Sequence

import numpy as np

from deepvis.metrics import signed_rank


def adjusted(sums: np.ndarray) -> np.ndarray:
    """p of signed-rank tests, adjusted step by step over all of them (Westfall and Young 1993, maxT).

    All tests change the signs of the same filters together: what they have in common is not paid for twice.

    Args:
      sums: :math:`R_f` of each test, ``[tests, filters]``; 0 where a test has no such filter.
    """
    if not len(sums):
        return np.zeros(0)
    lengths = np.sqrt(np.sum(sums**2, axis=1, keepdims=True))
    standardized = sums / np.where(lengths > 0, lengths, 1.0)
    totals = np.abs(standardized @ signed_rank.signs(sums.shape[1]).T)
    order, p = np.argsort(-totals[:, 0], kind="stable"), np.empty(len(sums))
    highest = np.zeros(totals.shape[1])
    for test in order[::-1]:  # against the highest of this test and of those that are decided later
        np.maximum(highest, totals[test], out=highest)
        p[test] = np.mean(highest >= totals[test, 0] * (1 - 1e-9))
    p[order] = np.maximum.accumulate(p[order])
    return p


def holm(families: Sequence[np.ndarray], weights: Sequence[float]) -> list[np.ndarray]:
    """p of families of tests, adjusted for there being several (Holm 1979, with weights).

    A family has its share of the level; once all of its tests are rejected the others share its part, too.

    Args:
      families: p of each family, adjusted within it; NaN of what could not be tested.
      weights: of each family, above 0.

    Returns:
      Of each family the least level at which its tests are rejected.
    """
    found = [np.where(np.isnan(p), np.nan, 1.0) for p in families]
    left = [(f, t) for f, p in enumerate(families) for t in np.flatnonzero(np.isfinite(p))]
    reached = 0.0
    while left:
        whole = sum(weights[f] for f in {f for f, _ in left})
        levels = [families[f][t] * whole / weights[f] for f, t in left]
        f, t = left.pop(int(np.argmin(levels)))
        reached = max(reached, min(levels))
        if reached >= 1:
            break
        found[f][t] = reached
    return found
