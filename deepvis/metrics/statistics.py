"""Statistics of pairs: (differences [filters]) -> `Effect`.

Jobs of a sweep share filters and seeds, so everything is compared filter by filter. Filters are the unit of
repetition: the seeds of one filter are averaged before they come here, for two seeds of a filter are no two
filters. The tests are SciPy's.
"""

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

FEW = 10  # filters; of fewer neither interval nor p is given
RESAMPLES = 4999


@dataclass(frozen=True)
class Effect:
    """What became of the filters when one setting took another's place."""

    n: int  # filters that could be compared: finite in both
    median: float = np.nan  # of their differences
    low: float = np.nan  # of the 95 % interval of the median; NaN where n is below `FEW`
    high: float = np.nan
    up: float = np.nan  # share of filters that are higher
    down: float = np.nan  # share of filters that are lower
    moved: float = np.nan  # share of filters that moved farther than the noise floor
    p: float = np.nan  # of Wilcoxon's signed-rank test, two-sided; NaN where n is below `FEW`


@dataclass(frozen=True)
class Contrast:
    """A comparison, and its effect."""

    name: str  # ``reg.decay: 0.8 against 0.9``
    effect: Effect
    p: float  # Holm's, over all that are tested together


def effect(differences: np.ndarray, floor: np.ndarray | float = 0.0) -> Effect:
    r"""The effect in paired differences.

    The interval is Efron's bias-corrected and accelerated bootstrap (1987) of the median over filters. The
    test is Wilcoxon's signed-rank test (1945), with Pratt's way for filters that did not change; it asks
    whether the differences lie evenly about zero, so a lopsided spread about a median of zero is called, too.

    Args:
      differences: one a filter, in any unit; a filter that is not finite is left out.
      floor: how far a filter moves when nothing but a rounding of its start changes; a number, or one each.

    Returns:
      An `Effect`; its interval and its p are NaN where there are fewer than `FEW` filters.

    Example:
      >>> effect(np.arange(1.0, 20.0)).median
      10.0
      >>> effect(np.array([1.0, 2.0, 3.0])).low
      nan
    """
    known = np.isfinite(differences)
    d, least = differences[known], np.broadcast_to(floor, differences.shape)[known]
    n = len(d)
    if n == 0:
        return Effect(0)
    low = high = p = np.nan
    if n >= FEW and np.ptp(d) == 0:  # nothing to resample
        low, high, p = d[0], d[0], 1.0 if d[0] == 0 else float(stats.wilcoxon(d).pvalue)
    elif n >= FEW:
        low, high = _interval(d)
        p = float(stats.wilcoxon(d, zero_method="pratt").pvalue)
    up, down, moved = (float(which.mean()) for which in (d > 0, d < 0, np.abs(d) > least))
    return Effect(n, float(np.median(d)), float(low), float(high), up, down, moved, p)


def _interval(d: np.ndarray) -> tuple[float, float]:
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered below
        found = stats.bootstrap(
            (d,), np.median, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(len(d))
        ).confidence_interval
        if not np.isfinite(found).all():  # more than half of the filters agree to the last bit
            found = stats.bootstrap(
                (d,), np.median, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(len(d))
            ).confidence_interval
    return found


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjustment (1979): p that hold over all tests made together; NaN stays NaN and counts as none.

    Args:
      p: of each test.

    Example:
      >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
      [0.03, 0.06, 0.06]
    """
    each = np.asarray(p, float)
    adjusted, tested = np.full(each.shape, np.nan), np.flatnonzero(np.isfinite(each))
    order = tested[np.argsort(each[tested], kind="stable")]
    steps = each[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def contrasts(
    levels: Mapping[str, Sequence[object]], values: np.ndarray, floor: np.ndarray | float = 0.0,
    interactions: bool = True,
) -> list[Contrast]:  # fmt: skip
    """Main effects and two-way interactions of a full grid, each with p adjusted over all of them.

    A main effect compares two levels of a factor, a filter's values averaged over all other factors; an
    interaction is the difference between two such differences, at two levels of another factor.

    Args:
      levels: of each factor, in the order of the axes.
      values: one a cell and filter, ``[*levels, filters]``.
      floor: as in `effect`.
      interactions: whether they are wanted; of a large grid there are many.

    Returns:
      Main effects, then interactions.
    """
    found = [
        (f"{factor}: {levels[factor][j]} against {levels[factor][i]}", second - first)
        for axis, factor in enumerate(levels)
        for (i, first), (j, second) in itertools.combinations(enumerate(_margin(values, [axis])), 2)
    ]
    found += [
        (f"{one} x {other}: {_pair(levels[one], i)} at {_pair(levels[other], j)}", difference)
        for (a, one), (b, other) in itertools.combinations(enumerate(levels), 2)
        if interactions
        for i, j, difference in _interactions(_margin(values, [a, b]))
    ]
    effects = [effect(differences, floor) for _, differences in found]
    adjusted = holm([each.p for each in effects])
    return [
        Contrast(name, each, float(p)) for (name, _), each, p in zip(found, effects, adjusted, strict=True)
    ]


def _margin(values: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Averaged over all factors but these: [*kept, filters]."""
    return values.mean(axis=tuple(axis for axis in range(values.ndim - 1) if axis not in kept))


def _interactions(table: np.ndarray) -> Iterator[tuple[tuple[int, int], tuple[int, int], np.ndarray]]:
    """Differences of differences in a table [a, b, filters]."""
    for i in itertools.combinations(range(table.shape[0]), 2):
        for j in itertools.combinations(range(table.shape[1]), 2):
            at = table[i[1]] - table[i[0]]
            yield i, j, at[j[1]] - at[j[0]]


def _pair(names: Sequence[object], pair: tuple[int, int]) -> str:
    return f"{names[pair[1]]} against {names[pair[0]]}"


def friedman(values: np.ndarray) -> float:
    """p of Friedman's test (1937): whether any of several levels differs.

    Args:
      values: ``[levels, filters]``, three levels or more.

    Returns:
      p; NaN where fewer than `FEW` filters are finite at every level.
    """
    whole = values[:, np.isfinite(values).all(axis=0)]
    if whole.shape[1] < FEW:
        return np.nan
    return float(stats.friedmanchisquare(*whole).pvalue) if np.ptp(whole, axis=0).any() else 1.0


def front(points: np.ndarray) -> np.ndarray:
    """Which points no other one beats: as high in both coordinates and higher in one (Pareto).

    Args:
      points: ``[n, 2]``; one that is not finite is on no front.

    Returns:
      ``[n]`` bool.

    Example:
      >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
      [True, True, False]
    """
    beaten = [((points >= own).all(axis=1) & (points > own).any(axis=1)).any() for own in points]
    return ~np.array(beaten, bool) & np.isfinite(points).all(axis=1)
