"""Between parts: layers and networks, whose filters are not the same, compared as distributions.

What a factor changes in the filters of one layer is compared with what it changes in those of another, and
so are the values of measures that do not depend on the layer's scale. A score does; its margin stands for it.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from deepvis.metrics import unpaired
from deepvis.metrics.signed_rank import Effect
from deepvis.report import scales
from deepvis.report.comparison import Comparison
from deepvis.report.contrasts import Contrast
from deepvis.report.scales import Differences

PARTS = 8  # of a comparison that has more, none are compared
KIND = "between layers"
Test = tuple[Contrast, str, str, Effect]  # contrast, measure, unit, effect


def tests(compared: Comparison, found: Sequence[Differences]) -> list[Test]:
    """Each main effect between every two parts, then their values."""
    if not 1 < len(compared.parts) <= PARTS:
        return []
    names = compared.part_names()
    pairs = [*itertools.combinations(range(len(names)), 2)]
    effects: dict[tuple[str, str, str], dict[int, np.ndarray]] = {}
    for each in found:
        if each.contrast.kind == "main effect" and each.measure in scales.SAID:
            with np.errstate(invalid="ignore"):
                finite = ~np.isnan(each.values).all(axis=1)
            by_unit = np.nanmedian(each.values[finite], axis=1)
            effects.setdefault((each.contrast.name, each.measure, each.unit), {})[each.part] = by_unit
    made = [
        _test(f"{names[b]} against {names[a]}: {comparison}", comparison, measure, unit, parts[b], parts[a])
        for (comparison, measure, unit), parts in effects.items()
        for a, b in pairs
        if a in parts and b in parts
    ]
    for measure, values in compared.values.items():
        if measure != scales.SAID[0]:
            unit = "%" if scales.is_ratio(compared, measure) else ""
            finite = [column[np.isfinite(column)] for column in values.T]
            by_unit = np.array([np.median(column) if len(column) else np.nan for column in finite])
            by_unit = scales.logarithms(by_unit) if unit else by_unit
            made += [
                _test(f"{names[b]} against {names[a]}", "", measure, unit,
                      by_unit[compared.part_of == b], by_unit[compared.part_of == a])
                for a, b in pairs
            ]  # fmt: skip
    return made


def _test(name: str, factor: str, measure: str, unit: str, one: np.ndarray, other: np.ndarray) -> Test:
    shift = unpaired.shift(one, other)
    up, down = (1 + shift.delta) / 2, (1 - shift.delta) / 2
    effect = Effect(min(shift.n), shift.estimate, shift.low, shift.high, up, down, p=shift.p)
    return Contrast(KIND, factor, name, (), ()), measure, unit, effect
