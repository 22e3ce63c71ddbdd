"""Effects: a `Comparison` -> all that is tested in it, a `TestedEffect` each.

A measure that is above 0 everywhere is compared as a ratio, in per cent, so that the same effect counts alike
where values are high and where they are low; any other as a difference. p are adjusted over all effects of
the same kind and measure.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepvis.metrics import statistics
from deepvis.metrics.statistics import Effect
from deepvis.report.comparison import Comparison

LEVELS = 8  # of a factor that has more, only the first and the last are compared
INTERACTIONS = 64  # of a grid that has more, none is tested
PAIRED = ("score", "robustness")  # measures by which every two settings are compared
PAIRS = 16  # settings of which every two are


@dataclass(frozen=True)
class TestedEffect:
    """One comparison of one measure."""

    __test__ = False  # no test of pytest's

    kind: str  # main effect, interaction, any level, pair
    measure: str
    comparison: str  # ``reg.decay: 0.9 - 0.8``: the first minus the second
    effect: Effect  # in per cent or in the measure's unit
    unit: str  # ``%`` or nothing
    p: float  # Holm's, over all effects of the same kind and measure
    floor: float  # numerical noise floor of a filter, median; NaN where it was not measured


def tested(compared: Comparison) -> list[TestedEffect]:
    """All that is tested: of a full grid main effects, interactions and Friedman's test; and pairs.

    Args:
      compared: with two settings or more; with one there is nothing to test.
    """
    return [effect for measure in compared.values for effect in _adjusted(_of_measure(compared, measure))]


def _of_measure(compared: Comparison, measure: str) -> list[TestedEffect]:
    """With unadjusted p, and effects in the scale in which they were compared."""
    scaled, floor, unit = _scaled(compared.values[measure], compared.floor.get(measure))
    tests: list[tuple[str, str, Effect]] = []
    if compared.is_grid():
        table = scaled.reshape(*map(len, compared.levels.values()), -1)
        levels, ends = _ends(compared.levels, table)
        for each in statistics.contrasts(levels, ends, floor, _few_interactions(levels)):
            tests.append(("interaction" if " x " in each.name else "main effect", each.name, each.effect))
        tests += [("any level", *test) for test in _any(compared, table)]
    # In a grid of one factor the main effects are the pairs.
    paired = len(compared.levels) > 1 and measure in PAIRED if compared.is_grid() else True
    if paired and len(compared.settings) <= PAIRS:
        tests += [("pair", *test) for test in _pairs(compared, scaled, floor)]
    level = float(np.median(floor)) if measure in compared.floor else np.nan
    if unit:
        tests = [(kind, name, _in_percent(effect)) for kind, name, effect in tests]
        level = _percent(level)
    return [TestedEffect(kind, measure, name, effect, unit, effect.p, level) for kind, name, effect in tests]


def _adjusted(effects: Sequence[TestedEffect]) -> Iterator[TestedEffect]:
    """Of one measure: each kind of test is a family."""
    for kind in dict.fromkeys(effect.kind for effect in effects):
        family = [effect for effect in effects if effect.kind == kind]
        for effect, p in zip(family, statistics.holm([effect.p for effect in family]), strict=True):
            yield replace(effect, p=float(p))


def _ends(levels: Mapping[str, Sequence], table: np.ndarray) -> tuple[dict[str, Sequence], np.ndarray]:
    """A grid in which a factor of many levels has only its first and its last."""
    ends = {
        name: values if len(values) <= LEVELS else [values[0], values[-1]] for name, values in levels.items()
    }
    for axis, name in enumerate(levels):
        if len(ends[name]) < len(levels[name]):
            table = table.take([0, -1], axis=axis)
    return ends, table


def _few_interactions(levels: Mapping[str, Sequence]) -> bool:
    pairs = [math.comb(len(values), 2) for values in levels.values()]
    return sum(a * b for a, b in itertools.combinations(pairs, 2)) <= INTERACTIONS


def _scaled(values: np.ndarray, floor: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Values as they are compared, a floor for each unit in the same scale, and the unit of an effect."""
    finite = values[np.isfinite(values)]
    ratio = len(finite) > 0 and finite.min() > 0
    floor = np.zeros_like(values) if floor is None else floor / values if ratio else floor
    measured = np.isfinite(floor)
    squares = np.where(measured, floor, 0.0) ** 2
    level = np.sqrt(squares.sum(axis=0) / np.maximum(measured.sum(axis=0), 1))  # over settings
    return (np.log(values), np.log1p(level), "%") if ratio else (values, level, "")


def _in_percent(effect: Effect) -> Effect:
    """Per cent, of an effect in logarithms."""
    return replace(effect, median=_percent(effect.median), low=_percent(effect.low),
                   high=_percent(effect.high))  # fmt: skip


def _percent(logarithm: float) -> float:
    return 100 * math.expm1(logarithm)


def _any(compared: Comparison, table: np.ndarray) -> list[tuple[str, Effect]]:
    """Friedman's test of each factor with three levels or more, the others averaged."""
    tests, nan = [], math.nan
    for axis, (factor, levels) in enumerate(compared.levels.items()):
        if len(levels) > 2:
            others = tuple(a for a in range(table.ndim - 1) if a != axis)
            by_level = table.mean(axis=others)
            n = int(np.isfinite(by_level).all(axis=0).sum())
            effect = Effect(n, nan, nan, nan, nan, nan, statistics.friedman(by_level))
            tests.append((f"{factor}: any of {', '.join(map(str, levels))}", effect))
    return tests


def _pairs(compared: Comparison, scaled: np.ndarray, floor) -> list[tuple[str, Effect]]:
    return [
        (f"{compared.name(j)} - {compared.name(i)}", statistics.effect(scaled[j] - scaled[i], floor))
        for i, j in itertools.combinations(range(len(compared.settings)), 2)
    ]
