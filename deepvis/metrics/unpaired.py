"""Unpaired statistics, of units that are not the same: (values of one, values of the other) -> `Shift`."""

from dataclasses import dataclass

import numpy as np
import scipy

from deepvis.metrics.signed_rank import FEW


@dataclass(frozen=True)
class Shift:
    """How the first values lie above the second."""

    n: tuple[int, int]
    estimate: float = np.nan  # median of all differences between one of the first and one of the second
    low: float = np.nan  # of its 95 % interval; NaN where there are fewer than `FEW` of one
    high: float = np.nan
    delta: float = np.nan  # Cliff's (1993): P(first above second) - P(second above first), in [-1, 1]
    p: float = (
        np.nan
    )  # of Mann and Whitney's test (1947), two-sided; NaN where there are fewer than `FEW` of one


def shift(first: np.ndarray, second: np.ndarray) -> Shift:
    """The shift between two samples; what is NaN is left out.

    The interval is that of the same test: the differences from the k-th least to the k-th largest
    (Moses 1965), k from the normal approximation.
    """
    one, other = first[~np.isnan(first)], second[~np.isnan(second)]
    n = len(one), len(other)
    if not min(n):
        return Shift(n)
    with np.errstate(invalid="ignore"):
        differences = np.subtract.outer(one, other).ravel()
    differences = np.sort(np.where(np.isnan(differences), 0.0, differences))  # of two infinite values
    delta = float(np.sign(differences).mean())
    estimate = float(np.median(differences))
    if min(n) < FEW:
        return Shift(n, estimate, delta=delta)
    k = int(
        np.floor(
            len(differences) / 2 - scipy.stats.norm.ppf(0.975) * np.sqrt(len(differences) * (sum(n) + 1) / 12)
        )
    )
    k = max(k, 0)
    p = float(scipy.stats.mannwhitneyu(one, other).pvalue)
    return Shift(n, estimate, float(differences[k]), float(differences[-1 - k]), delta, p)
