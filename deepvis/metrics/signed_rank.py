r"""The signed-rank procedure: (differences [filters, replicates]) -> `Effect`: estimate, interval, test.

Jobs of a sweep share filters and seeds, so everything is compared filter by filter. Filters are the unit of
repetition; the differences of one filter, by seed and by level of the other factors, are its replicates.
Under the hypothesis of no effect the differences of a filter may change their sign together; compared is

.. math:: T = \sum_f R_f, \quad R_f = \sum_k \operatorname{sgn}(d_{fk}) \operatorname{rank} |d_{fk}|

with :math:`\sum_f \pm R_f` (Wilcoxon 1945, of clusters: Datta and Satten 2008; zeros as in Pratt 1959).
Estimate and interval belong to the same test: the shifts of the differences that it rejects least
(Hodges and Lehmann 1963), and those that it does not reject at 5 %.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

FEW = 10  # filters; of fewer neither interval nor p is given
FLIPS = 16_384  # sign patterns that are compared; all of them where there are no more
FEWER = 4_096  # of them for an interval
MANY = 64  # filters; of more no sign patterns are made
LEVEL = 0.05
GRID, ROUNDS = 17, 4  # shifts that are tried at once, and how often: an end to 1 in 65,536 of the range
WALSH = 256  # differences of which all averages of two are made


@dataclass(frozen=True)
class Effect:
    """How the filters differ between two settings."""

    n: int  # filters that could be compared
    estimate: float = np.nan  # Hodges and Lehmann's, in the unit of the differences
    low: float = np.nan  # of the 95 % interval of it; NaN where n is below `FEW`
    high: float = np.nan
    up: float = np.nan  # share of filters that are higher, by their median replicate
    down: float = np.nan  # share of filters that are lower
    changed: float = np.nan  # share of filters that changed beyond the noise floor; NaN where there is none
    p: float = np.nan  # two-sided; NaN where n is below `FEW`


@functools.cache
def signs(filters: int) -> np.ndarray:
    """Sign patterns ``[patterns, filters]``, the first all 1; a pattern and its opposite count as one."""
    if 2 ** (filters - 1) <= FLIPS:
        codes = np.arange(2 ** max(filters - 1, 0))[:, None]
        return np.where(codes >> np.arange(filters) & 1, -1.0, 1.0)
    drawn = np.random.default_rng(filters).choice([-1.0, 1.0], (FLIPS, filters))
    drawn[0] = 1
    return drawn


def rank_sums(differences: np.ndarray) -> np.ndarray:
    """:math:`R_f` ``[filters]`` of the differences ``[filters, replicates]``; what is NaN is left out."""
    return _sums(*_flat(differences), np.zeros(1))[0]


def p_value(sums: np.ndarray, patterns: int = FLIPS) -> np.ndarray:
    """Share of sign patterns, the seen one among them, that are as far from 0: ``[..., filters]`` sums.

    Of many filters it is that of the normal law, which their sum follows.
    """
    if sums.shape[-1] > MANY:
        length = np.sqrt(np.sum(sums**2, axis=-1))
        return 2 * scipy.stats.norm.sf(np.abs(sums.sum(axis=-1)) / np.where(length > 0, length, 1.0))
    totals = np.abs(sums @ signs(sums.shape[-1])[:patterns].T)
    return np.mean(totals >= totals[..., :1] * (1 - 1e-12), axis=-1)


def effect(differences: np.ndarray) -> Effect:
    """The effect in paired differences.

    Args:
      differences: ``[filters]`` or ``[filters, replicates]``, in any unit. NaN is left out; infinite ones
        count by their sign alone: a filter that went to 0 is the largest loss there is.
    """
    d = np.asarray(differences, float)
    d = d[:, None] if d.ndim == 1 else d
    d = d[~np.isnan(d).all(axis=1)]
    n = len(d)
    if n == 0:
        return Effect(0)
    with np.errstate(invalid="ignore"):  # between -inf and inf: neither higher nor lower
        medians = np.nanmedian(d, axis=1)
    up, down = float(np.mean(medians > 0)), float(np.mean(medians < 0))
    values, member = _flat(d)
    estimate = _estimate(values, member)
    if n < FEW:
        return Effect(n, estimate, up=up, down=down)
    p = float(p_value(_sums(values, member, np.zeros(1))[0]))
    if not np.isfinite(estimate):
        return Effect(n, estimate, -np.inf, np.inf, up, down, p=p)

    def is_rejected(shifts: np.ndarray) -> np.ndarray:
        return p_value(_sums(values, member, shifts), FEWER) <= LEVEL

    low, high = (_snapped(values, _end(is_rejected, outer, estimate)) for outer in _range(values))
    return Effect(n, estimate, low, high, up, down, p=p)


def _flat(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The differences that are numbers, and for each its filter as a row of a one-hot matrix."""
    filters, replicates = np.nonzero(~np.isnan(d))
    return d[filters, replicates], np.eye(len(d))[filters]


def _sums(values: np.ndarray, member: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """``[shifts, filters]``."""
    d = values - shifts[:, None]
    return (np.sign(d) * scipy.stats.rankdata(np.abs(d), axis=1)) @ member


def _estimate(values: np.ndarray, member: np.ndarray) -> float:
    """The shift with which :math:`T` crosses 0: the median of the Walsh averages."""
    if not np.isfinite(values).any():
        return float(np.median(values)) if (values == values[0]).all() else 0.0
    if len(values) <= WALSH:
        with np.errstate(invalid="ignore"):
            averages = np.add.outer(values, values)[np.triu_indices(len(values))] / 2
        return float(np.median(np.where(np.isnan(averages), 0.0, averages)))
    least, most = _range(values)

    def is_below(shifts: np.ndarray) -> np.ndarray:
        return _sums(values, member, shifts).sum(axis=1) > 0

    def is_above(shifts: np.ndarray) -> np.ndarray:
        return _sums(values, member, shifts).sum(axis=1) < 0

    ends = _end(is_below, least, most), _end(is_above, most, least)
    return _snapped(values, ends[0] if ends[0] == ends[1] else (ends[0] + ends[1]) / 2)


def _snapped(values: np.ndarray, shift: float) -> float:
    """The shift; a difference itself where the search ended within its resolution of it."""
    finite = values[np.isfinite(values)]
    nearest = float(finite[np.argmin(np.abs(finite - shift))])
    least, most = _range(values)
    return nearest if abs(nearest - shift) <= 3e-5 * (most - least) else shift


def _range(values: np.ndarray) -> tuple[float, float]:
    """Two shifts beyond all that is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 0.0
    width = max(float(np.ptp(finite)), 1e-9 * float(np.abs(finite).max()), 1e-300)
    return float(finite.min()) - width, float(finite.max()) + width


def _end(is_beyond: Callable[[np.ndarray], np.ndarray], outer: float, inner: float) -> float:
    """Where the shifts end that are beyond, from the outer one inwards; infinite where none or all are."""
    way = np.inf if inner > outer else -np.inf
    for _ in range(ROUNDS):
        shifts = np.linspace(outer, inner, GRID)
        beyond = is_beyond(shifts)
        if not beyond[0]:
            return -way
        if beyond.all():
            return inner
        first = int(np.argmin(beyond))
        outer, inner = float(shifts[first - 1]), float(shifts[first])
    return (outer + inner) / 2
