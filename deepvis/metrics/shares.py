r"""A share of trials that come in clusters -> its interval.

Wilson's interval (1927) of as many independent trials as those of the clusters are worth (Korn and Graubard
1998, "Confidence intervals for proportions with small expected number of positive counts estimated from
survey data"):

.. math:: n_e = n \Big/ \max\left(1, \frac{v}{\hat p (1 - \hat p) / n}\right)

with :math:`v` the variance of the share over clusters. Where all trials agree it still has a width.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

FEW = 10  # clusters; below, an interval over them says nothing
LEVEL = 0.95


@dataclass(frozen=True)
class Share:
    """A share of trials, with its interval."""

    n: int
    estimate: float
    low: float
    high: float


def share(hits: np.ndarray, clusters: np.ndarray) -> Share:
    """The share of trials that hit, with its 95 % interval.

    Args:
      hits: 0 or 1, ``[n]``.
      clusters: which of them each trial is of, ``[n]``: a filter.

    Returns:
      The share; without an interval where there are fewer than ten clusters.
    """
    n = len(hits)
    if not n:
        return Share(0, np.nan, np.nan, np.nan)
    p = float(hits.mean())
    names, whose = np.unique(clusters, return_inverse=True)
    count = len(names)
    if count < FEW:
        return Share(n, p, np.nan, np.nan)
    residuals = np.bincount(whose, hits - p)
    worth = float(n)
    if 0 < p < 1:
        spread = count / (count - 1) * float(residuals @ residuals) / n**2
        worth = n / max(1.0, spread / (p * (1 - p) / n))
    z = stats.t.ppf((1 + LEVEL) / 2, count - 1)
    middle = (p + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z * np.sqrt(p * (1 - p) / worth + z**2 / (4 * worth**2)) / (1 + z**2 / worth)
    return Share(n, p, float(middle - half), float(middle + half))
