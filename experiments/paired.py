"""The statistics of the studies: paired differences [filters] -> `Effect`, as their tables were computed.

Reports of later versions take one procedure for estimate, interval and test, `deepvis.metrics.signed_rank`.

Jobs of a sweep share filters and seeds, so everything is compared filter by filter. Filters are the unit of
repetition: the seeds of a filter are averaged beforehand, for they are no independent filters.
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
    """How the filters differ between two settings."""

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
    p: float  # Holm's, over all contrasts


def effect(differences: np.ndarray, floor: np.ndarray | float = 0.0) -> Effect:
    r"""The effect in paired differences.

    The interval is Efron's bias-corrected and accelerated bootstrap (1987) of the median over filters. The
    test is Wilcoxon's signed-rank test (1945), with Pratt's treatment of zeros; it asks whether the
    differences are symmetric about zero, so a skewed spread about a median of zero is significant, too.

    Args:
      differences: one a filter, in any unit; a filter that is not finite is left out.
      floor: the numerical noise floor, a number or one per filter.
    """
    finite = np.isfinite(differences)
    d, floor = differences[finite], np.broadcast_to(floor, differences.shape)[finite]
    n = len(d)
    if n == 0:
        return Effect(0)
    low = high = p = np.nan
    if n >= FEW and np.ptp(d) == 0:  # nothing to resample
        low, high, p = d[0], d[0], 1.0 if d[0] == 0 else float(stats.wilcoxon(d).pvalue)
    elif n >= FEW:
        low, high = _interval(d)
        p = float(stats.wilcoxon(d, zero_method="pratt").pvalue)
    up, down, moved = (float(which.mean()) for which in (d > 0, d < 0, np.abs(d) > floor))
    return Effect(n, float(np.median(d)), float(low), float(high), up, down, moved, p)


def _interval(d: np.ndarray) -> tuple[float, float]:
    def bootstrap(method):
        rng = np.random.default_rng(len(d))
        return stats.bootstrap((d,), np.median, n_resamples=RESAMPLES, method=method, rng=rng)

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered below
        interval = bootstrap("BCa").confidence_interval
    # BCa has none where more than half of the filters agree to the last bit.
    return interval if np.isfinite(interval).all() else bootstrap("percentile").confidence_interval


def holm(p: Sequence[float]) -> np.ndarray:
    """Holm's adjustment (1979) of p over several tests; NaN stays NaN and does not count as a test."""
    values = np.asarray(p, float)
    adjusted, tested = np.full(values.shape, np.nan), np.flatnonzero(np.isfinite(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
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
      values: ``[*levels, filters]``.
      floor: as in `effect`.
      interactions: whether they are tested, after the main effects; a large grid has many.
    """
    tests = [
        (f"{factor}: {levels[factor][j]} against {levels[factor][i]}", second - first)
        for axis, factor in enumerate(levels)
        for (i, first), (j, second) in itertools.combinations(enumerate(_margin(values, [axis])), 2)
    ]
    tests += [
        (f"{one} x {other}: {_pair(levels[one], i)} at {_pair(levels[other], j)}", difference)
        for (a, one), (b, other) in itertools.combinations(enumerate(levels), 2)
        if interactions
        for i, j, difference in _interactions(_margin(values, [a, b]))
    ]
    effects = [effect(differences, floor) for _, differences in tests]
    adjusted = holm([tested.p for tested in effects]).tolist()
    names = [name for name, _ in tests]
    return [Contrast(*contrast) for contrast in zip(names, effects, adjusted, strict=True)]


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
    """p of Friedman's test (1937): whether any of three or more levels differs, ``[levels, filters]``.

    NaN where fewer than `FEW` filters are finite at every level.
    """
    finite = values[:, np.isfinite(values).all(axis=0)]
    if finite.shape[1] < FEW:
        return np.nan
    return float(stats.friedmanchisquare(*finite).pvalue) if np.ptp(finite, axis=0).any() else 1.0
