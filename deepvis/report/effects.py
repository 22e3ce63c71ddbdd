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
from deepvis.report import contrasts
from deepvis.report.comparison import Comparison
from deepvis.report.contrasts import Contrast

SAID = ("score", "robustness", "high_frequency")  # measures of which the page has sentences, the first first
PAIRED = ("score", "robustness")  # measures by which every two settings are compared
DIFFERENCES = ("margin", "diversity", "reproducibility", "spectral_slope")  # are compared in their own unit
# Of the level of a page, by kind of family.
WEIGHTS = {"score": 0.9, "other": 0.06, "interaction": 0.02, "pair": 0.02}
MOSTLY = 0.9  # of a measure's values are above 0 where it is compared as a ratio


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


@dataclass(frozen=True)
class Differences:
    """What one test compares."""

    part: int
    contrast: Contrast
    measure: str
    unit: str
    values: np.ndarray  # [units of the part, replicates]
    sums: np.ndarray  # signed-rank sums of all units of the comparison; 0 of other parts

    def is_testable(self) -> bool:
        return int((~np.isnan(self.values)).any(axis=1).sum()) >= signed_rank.FEW


def tested(compared: Comparison) -> list[TestedEffect]:
    """All that is tested: main effects, interactions, and every two settings."""
    found = differences(compared)
    adjusted = table_p(found)
    page = page_p(found)
    thresholds: dict[tuple, np.ndarray] = {}
    effects = []
    for i, each in enumerate(found):
        null = _null(compared, each)
        effect = _effect(each, null, thresholds)
        level = noise_floor.typical(null) if null.size else math.nan
        if each.unit:
            effect, level = _in_percent(effect), _percent(level)
        name = compared.part_names()[each.part] if len(compared.parts) > 1 else ""
        effects.append(
            TestedEffect(name, each.contrast, each.measure, each.unit, effect, adjusted[i], page[i], level)
        )
    return effects


def differences(compared: Comparison) -> list[Differences]:
    """What is compared, test by test; parts, measures and contrasts in their order."""
    found = []
    for part in range(len(compared.parts)):
        own = compared.of_part(part)
        columns = np.flatnonzero(compared.part_of == part)
        names = [own.name(setting) for setting in range(len(own.settings))]
        every = contrasts.of(own.levels, own.settings, names)
        for measure in compared.values:
            if measure not in own.values:
                continue
            values = own.by_seed.get(measure, own.values[measure][:, None])
            ratio = is_ratio(compared, measure)
            for contrast in every:
                if contrast.kind == "pair" and measure not in PAIRED and len(every) > 1:
                    continue
                for unit in (
                    ("%", "") if ratio and contrast.kind == "interaction" else ("%" if ratio else "",)
                ):
                    d = contrasts.differences(contrast, _logarithms(values) if unit else values)
                    if unit and contrast.kind != "interaction":
                        d = _both_at_zero(d, contrasts.differences(contrast, values))
                    sums = np.zeros(len(compared.units))
                    sums[columns] = signed_rank.rank_sums(d)
                    found.append(Differences(part, contrast, measure, unit, d, sums))
    return found


def is_ratio(compared: Comparison, measure: str) -> bool:
    """Whether a measure is compared in per cent; one filter more or less does not decide it."""
    values = compared.values[measure]
    finite = values[np.isfinite(values)]
    return measure not in DIFFERENCES and len(finite) > 0 and float(np.mean(finite > 0)) >= MOSTLY


def _logarithms(values: np.ndarray) -> np.ndarray:
    """-inf at 0 and below."""
    return np.log(np.maximum(values, 0.0), out=np.where(np.isnan(values), np.nan, -np.inf), where=values > 0)


def _both_at_zero(logarithms: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Where both values are at 0 or below, what is higher is still higher."""
    return np.where((logarithms == 0) & (plain != 0), np.copysign(np.inf, plain), logarithms)


def table_p(found: Sequence[Differences]) -> np.ndarray:
    """p of each test, adjusted over the tests of the same part, kind, measure and unit."""
    p, keys = np.full(len(found), np.nan), [(d.part, d.contrast.kind, d.measure, d.unit) for d in found]
    for key in dict.fromkeys(keys):
        _adjust(p, found, [i for i, each in enumerate(keys) if each == key])
    return p


def page_p(found: Sequence[Differences]) -> np.ndarray:
    """p of each test that the page speaks of, adjusted over all of them.

    A factor of a part is a family for each measure, interactions are one, pairs of settings are one. The
    families of the score share nine tenths of the level, for it is what is optimized.
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
    shared = multiplicity.holm(
        [p[family] for family in families.values()], [WEIGHTS[key[0]] / counts[key[0]] for key in families]
    )
    for family, adjusted in zip(families.values(), shared, strict=True):
        p[family] = adjusted
    return p


def _adjust(p: np.ndarray, found: Sequence[Differences], family: Sequence[int]) -> None:
    testable = [i for i in family if found[i].is_testable()]
    if testable:
        p[testable] = multiplicity.adjusted(np.stack([found[i].sums for i in testable]))


def _null(compared: Comparison, each: Differences) -> np.ndarray:
    """Replica minus image, in the scale of the test: ``[units of the part, draws]``."""
    if each.measure not in compared.twin_differences:
        return np.zeros((0, 0))
    own = compared.of_part(each.part)
    if each.measure not in own.twin_differences:
        return np.zeros((0, 0))
    moved = own.twin_differences[each.measure]
    if each.unit:
        values = own.by_seed[each.measure][:, :, None]
        moved = _logarithms(values + moved) - _logarithms(values)
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
