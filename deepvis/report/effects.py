"""Effects: a `Comparison` -> all that is tested in it, a `TestedEffect` each.

A measure that is above 0 everywhere is compared as a ratio, in per cent, so that the same effect counts alike
where values are high and where they are low; any other as a difference. p are adjusted over all effects of
the same kind and measure.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from deepvis.metrics import statistics
from deepvis.metrics.statistics import Effect
from deepvis.report.comparison import Comparison

LEVELS = 8  # of a factor that has more, only the first and the last are compared
INTERACTIONS = 64  # of a grid that has more, none is tested
PAIRED = ("score", "robustness")  # measures by which every two settings are compared
PAIRS = 16  # settings of which every two are

Test = tuple[str, str, Effect]  # kind, comparison, effect


@dataclass(frozen=True)
class TestedEffect:
    """One comparison of one measure."""

    __test__ = False  # no test of pytest's

    kind: str  # main effect, interaction, any level, pair
    measure: str
    comparison: str  # ``reg.decay: 0.9 against 0.8``: the first minus the second, or divided by it
    effect: Effect  # in per cent or in the measure's unit; NaN changed where no noise floor was measured
    unit: str  # ``%`` or nothing
    p: float  # Holm's, over all effects of the same kind and measure
    floor: float  # numerical noise floor of a filter, median; NaN where it was not measured

    def row(self) -> dict[str, Any]:
        """As a row of results.csv."""
        own = {"kind": self.kind, "measure": self.measure, "comparison": self.comparison, "unit": self.unit}
        return own | asdict(self.effect) | {"p_holm": self.p, "floor": self.floor}


def tested(compared: Comparison) -> list[TestedEffect]:
    """All that is tested: of a full grid main effects, interactions and Friedman's test; and pairs."""
    return [effect for measure in compared.values for effect in _of_measure(compared, measure)]


def _of_measure(compared: Comparison, measure: str) -> Iterator[TestedEffect]:
    scaled, floor, unit = _scaled(compared.values[measure], compared.floor.get(measure))
    tests: list[Test] = []
    if compared.is_grid():
        table = scaled.reshape(*map(len, compared.levels.values()), -1)
        levels, ends = _ends(compared.levels, table)
        for each in statistics.contrasts(levels, ends, floor, _few_interactions(levels)):
            tests.append(("interaction" if " x " in each.name else "main effect", each.name, each.effect))
        tests += _any_level(compared, table)
    # In a grid of one factor the main effects are the pairs.
    paired = not compared.is_grid() or (len(compared.levels) > 1 and measure in PAIRED)
    if paired and len(compared.settings) <= PAIRS:
        tests += _pairs(compared, scaled, floor)
    level = float(np.median(floor)) if measure in compared.floor else math.nan
    if math.isnan(level):
        tests = [(kind, name, replace(effect, moved=math.nan)) for kind, name, effect in tests]
    if unit:
        tests = [(kind, name, _in_percent(effect)) for kind, name, effect in tests]
        level = _percent(level)
    for kind in dict.fromkeys(kind for kind, _, _ in tests):
        family = [(name, effect) for of, name, effect in tests if of == kind]
        adjusted = statistics.holm([effect.p for _, effect in family])
        for (name, effect), p in zip(family, adjusted, strict=True):
            yield TestedEffect(kind, measure, name, effect, unit, float(p), level)


def _ends(levels: Mapping[str, Sequence], table: np.ndarray) -> tuple[dict[str, Sequence], np.ndarray]:
    """A grid in which a factor of many levels has only its first and its last."""
    ends = dict(levels)
    for axis, (name, values) in enumerate(levels.items()):
        if len(values) > LEVELS:
            ends[name] = [values[0], values[-1]]
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
    return replace(
        effect, median=_percent(effect.median), low=_percent(effect.low), high=_percent(effect.high)
    )


def _percent(logarithm: float) -> float:
    return 100 * math.expm1(logarithm)


def _any_level(compared: Comparison, table: np.ndarray) -> Iterator[Test]:
    """Friedman's test of each factor with three levels or more, the others averaged."""
    for axis, (factor, levels) in enumerate(compared.levels.items()):
        if len(levels) > 2:
            by_level = table.mean(axis=tuple(a for a in range(table.ndim - 1) if a != axis))
            n = int(np.isfinite(by_level).all(axis=0).sum())
            effect = Effect(n, p=statistics.friedman(by_level))
            yield "any level", f"{factor}: any of {', '.join(map(str, levels))}", effect


def _pairs(compared: Comparison, scaled: np.ndarray, floor: np.ndarray) -> Iterator[Test]:
    for i, j in itertools.combinations(range(len(compared.settings)), 2):
        name = f"{compared.name(j)} against {compared.name(i)}"
        yield "pair", name, statistics.effect(scaled[j] - scaled[i], floor)
