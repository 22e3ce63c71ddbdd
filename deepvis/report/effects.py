"""Effects: a `Comparison` -> all that is tested in it, a `TestedEffect` each.

A measure that is above 0 is compared as a ratio, in per cent, so that the same effect counts alike where
values are high and where they are low; a filter that went to 0 counts as the largest loss. p are adjusted
twice: over the rows of a table, and over all that the page says (`TestedEffect.said`).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from deepvis.metrics import multiplicity, noise_floor, signed_rank
from deepvis.metrics.signed_rank import Effect
from deepvis.report import between_parts, scales
from deepvis.report.comparison import Comparison
from deepvis.report.contrasts import Contrast
from deepvis.report.scales import SAID, Differences

# Of the level of a page, by kind of family.
WEIGHTS = {"score": 0.9, "other": 0.06, "interaction": 0.02, "pair": 0.02, between_parts.KIND: 0.02}


@dataclass(frozen=True)
class TestedEffect:
    """One comparison of one measure."""

    __test__ = False  # no test of pytest's

    part: str  # the layer, where the comparison has several
    contrast: Contrast
    measure: str
    unit: str  # ``%``, or nothing: the unit of the measure
    effect: Effect  # in that unit
    p: float  # adjusted over the rows of the same part, kind, measure and unit
    said: float  # adjusted over all that the page says; NaN of what it does not speak of
    floor: float  # how far one ulp moves a filter, median over images; NaN where it was not measured

    @property
    def kind(self) -> str:
        return self.contrast.kind

    @property
    def comparison(self) -> str:
        """``reg.decay: 0.9 against 0.8``, with its layer where there are several."""
        return f"{self.part}: {self.contrast.name}" if self.part else self.contrast.name

    def row(self) -> dict[str, Any]:
        """As a row of results.csv."""
        own = {"kind": self.kind, "measure": self.measure, "comparison": self.comparison, "unit": self.unit}
        return own | asdict(self.effect) | {"p_adjusted": self.p, "p_page": self.said, "floor": self.floor}


def tested(compared: Comparison) -> list[TestedEffect]:
    """All that is tested: main effects, interactions, every two settings; then layers against one another."""
    found = scales.differences(compared)
    between = between_parts.tests(compared, found)
    adjusted = table_p(found)
    said = [i for i, (contrast, *_) in enumerate(between) if contrast.factor]
    page, between_page = page_p(found, [between[i][3].p for i in said])
    parts = [compared.of_part(part) for part in range(len(compared.parts))]
    names = compared.part_names() if len(parts) > 1 else [""]
    nulls: dict[tuple, np.ndarray] = {}
    thresholds: dict[tuple, np.ndarray] = {}
    effects = []
    for i, each in enumerate(found):
        key = each.part, each.measure, each.unit
        if key not in nulls:
            nulls[key] = _null(parts[each.part], each.measure, each.unit)
        null = nulls[key]
        effect = _effect(each, null, thresholds)
        level = noise_floor.typical(null) if null.size else math.nan
        if each.unit:
            effect, level = _in_percent(effect), _percent(level)
        effects.append(
            TestedEffect(
                names[each.part], each.contrast, each.measure, each.unit, effect, adjusted[i], page[i], level
            )
        )
    p_of = dict(zip(said, between_page, strict=True))
    tables: dict[tuple, list[int]] = {}
    for i, (contrast, measure, unit, _) in enumerate(between):
        tables.setdefault((contrast.factor, measure, unit), []).append(i)
    table: dict[int, float] = {}
    for own in tables.values():
        table |= zip(own, _holm([between[k][3].p for k in own]), strict=True)
    for i, (contrast, measure, unit, effect) in enumerate(between):
        shown = _in_percent(effect) if unit else effect
        said_p = p_of.get(i, math.nan)
        effects.append(TestedEffect("", contrast, measure, unit, shown, table[i], said_p, math.nan))
    return effects


def _holm(p: Sequence[float]) -> list[float]:
    """Holm's adjustment of p that nothing is known of together."""
    return [float(own[0]) for own in multiplicity.holm([np.array([each]) for each in p], [1.0] * len(p))]


def table_p(found: Sequence[Differences]) -> np.ndarray:
    """p of each test, adjusted over the tests of the same part, kind, measure and unit."""
    p, keys = np.full(len(found), np.nan), [(d.part, d.contrast.kind, d.measure, d.unit) for d in found]
    for key in dict.fromkeys(keys):
        _adjust(p, found, [i for i, each in enumerate(keys) if each == key])
    return p


def page_p(found: Sequence[Differences], between: Sequence[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """p of each test that the page speaks of, and of those between parts, adjusted over all of them.

    A factor of a part is a family for each measure, interactions are one, pairs of settings are one, tests
    between parts are one. The families of the score share nine tenths of the level: it is what is optimized.
    """
    has_main = {each.part for each in found if each.contrast.kind == "main effect"}
    families: dict[tuple, list[int]] = {}
    for i, each in enumerate(found):
        if each.measure not in SAID:
            continue
        kind = each.contrast.kind
        if kind == "main effect" or (kind == "pair" and each.part not in has_main):
            key: tuple = (
                "score" if each.measure == SAID[0] else "other",
                each.part,
                each.measure,
                each.contrast.factor,
            )
        else:
            key = (kind,)
        families.setdefault(key, []).append(i)
    counts = Counter(key[0] for key in families)
    p = np.full(len(found), np.nan)
    for family in families.values():
        _adjust(p, found, family)
    weights = [WEIGHTS[key[0]] / counts[key[0]] for key in families]
    every = [*(p[family] for family in families.values()), np.array(_holm(between))]
    *shared, last = multiplicity.holm(every, [*weights, WEIGHTS[between_parts.KIND]])
    for family, adjusted in zip(families.values(), shared, strict=True):
        p[family] = adjusted
    return p, last


def _adjust(p: np.ndarray, found: Sequence[Differences], family: Sequence[int]) -> None:
    testable = [i for i in family if found[i].is_testable()]
    if testable:
        p[testable] = multiplicity.adjusted(np.stack([found[i].sums for i in testable]))


def _null(own: Comparison, measure: str, unit: str) -> np.ndarray:
    """Replica minus image, in the scale of the tests: ``[units, draws]``; empty without replicas."""
    if measure not in own.twin_differences:
        return np.zeros((0, 0))
    moved = own.twin_differences[measure]
    if unit:
        values = own.by_seed[measure][:, :, None]
        moved = scales.logarithms(values + moved) - scales.logarithms(values)
        moved = np.where(np.isfinite(moved), moved, np.nan)
    return np.moveaxis(moved, -1, 0).reshape(moved.shape[-1], -1)


def _effect(each: Differences, null: np.ndarray, thresholds: dict[tuple, np.ndarray]) -> Effect:
    effect = signed_rank.effect(each.values)
    if not null.size:
        return effect
    replicates, terms = each.values.shape[1], len(each.contrast.settings[0])
    key = each.part, each.measure, each.unit, replicates, terms
    if key not in thresholds:
        thresholds[key] = noise_floor.threshold(null, replicates, terms)
    finite = ~np.isnan(each.values)
    totals = np.where(finite, each.values, 0.0).sum(axis=1)
    change = np.where(finite.any(axis=1), totals / np.maximum(finite.sum(axis=1), 1), np.nan)
    return replace(effect, changed=noise_floor.changed(change, thresholds[key]))


def _in_percent(effect: Effect) -> Effect:
    return replace(
        effect, estimate=_percent(effect.estimate), low=_percent(effect.low), high=_percent(effect.high)
    )


def _percent(logarithm: float) -> float:
    return 100 * math.expm1(min(logarithm, 700.0)) if logarithm < math.inf else logarithm


def is_established(test: TestedEffect) -> bool:
    """Whether the page says it: by its p over the whole page, and by its interval."""
    return test.said < signed_rank.LEVEL and not test.effect.low <= 0 <= test.effect.high


def of_kind(effects: Sequence[TestedEffect], kind: str, measure: str) -> Iterator[TestedEffect]:
    return (test for test in effects if (test.kind, test.measure) == (kind, measure))
