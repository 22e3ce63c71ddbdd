"""Rows of images -> the summary of each method, and every pair of methods, unit by unit.

The seeds of a unit are its replicates in the signed-rank procedure; p is adjusted over all pairs of a measure
(Westfall and Young 1993), then over all measures (Holm 1979).
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from deepvis.benchmark.measures import ACROSS_SEEDS, MEASURES, Measure
from deepvis.metrics import multiplicity, noise_floor, shares, signed_rank

LEVEL = 0.05
Values = Mapping[str, np.ndarray]  # by measure, [units, seeds]
Row = dict[str, object]


def summaries(methods: Mapping[str, Values], floors: Mapping[str, Values]) -> list[Row]:
    """A row a method: of each measure its typical value, the 95 % interval, and the noise floor.

    Args:
      methods: values of each, by measure ``[units, seeds]``.
      floors: twin minus image of each, by measure ``[units, 1]``, see `difference`; nothing of images made
        elsewhere.
    """
    rows: list[Row] = []
    for name, values in methods.items():
        row: Row = {"method": name}
        for measure in MEASURES:
            if measure.name in values:
                row |= _summary(measure, values[measure.name], floors.get(name, {}).get(measure.name))
        rows.append(row)
    return rows


def _summary(measure: Measure, values: np.ndarray, floor: np.ndarray | None) -> Row:
    known = _compared(measure, values)
    found = signed_rank.effect(known)
    told = np.exp if measure.is_ratio else float
    row: Row = {measure.name: float(told(found.estimate)), f"{measure.name}_low": float(told(found.low)),
                f"{measure.name}_high": float(told(found.high))}  # fmt: skip
    if measure.name == "top1":
        units, seeds = np.nonzero(~np.isnan(known))
        told_share = shares.share(known[units, seeds], units)
        row = dict(zip(row, (told_share.estimate, told_share.low, told_share.high), strict=True))
    return row if floor is None else row | {f"{measure.name}_floor": float(told(noise_floor.typical(floor)))}


def pairs(methods: Mapping[str, Values], floors: Mapping[str, Values]) -> list[Row]:
    """A row a measure and pair of methods: how the first differs from the second."""
    rows: list[Row] = []
    adjusted: list[np.ndarray] = []
    for measure in MEASURES:
        having = [name for name, values in methods.items() if measure.name in values]
        sums, of_measure = [], []
        for one, other in itertools.combinations(having, 2):
            differences = difference(measure, methods[one][measure.name], methods[other][measure.name])
            found = signed_rank.effect(differences)
            told = np.exp if measure.is_ratio else float
            limits = [
                noise_floor.typical(floors[each][measure.name])
                for each in (one, other)
                if measure.name in floors.get(each, {})
            ]
            of_measure.append({
                "measure": measure.name, "method": one, "against": other, "units": found.n,
                "difference": float(told(found.estimate)), "low": float(told(found.low)),
                "high": float(told(found.high)), "higher": found.up, "lower": found.down,
                "floor": float(told(max(limits, default=np.nan))), "p": found.p,
            })  # fmt: skip
            each = np.zeros(len(differences))
            is_known = ~np.isnan(differences).all(axis=1)
            if found.n >= signed_rank.FEW:
                each[is_known] = signed_rank.rank_sums(differences[is_known])
            sums.append(each)
        p = multiplicity.adjusted(np.array(sums)) if sums else np.zeros(0)
        tested = np.array([np.isfinite(float(str(row["p"]))) for row in of_measure], bool)
        adjusted.append(np.where(tested, p, np.nan) if len(p) else p)
        rows += of_measure
    whole = multiplicity.holm(adjusted, [1.0] * len(adjusted))
    for row, p in zip(rows, np.concatenate(whole) if rows else (), strict=True):
        row["p_adjusted"] = float(p)
    return rows


def difference(measure: Measure, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """First minus second, ``[units, seeds]``; of a ratio the difference of their logarithms."""
    with np.errstate(invalid="ignore"):
        return _compared(measure, first) - _compared(measure, second)


def _compared(measure: Measure, values: np.ndarray) -> np.ndarray:
    """As they are compared: ratios as logarithms, and one value a unit where all seeds share it."""
    values = values[:, :1] if measure.name in ACROSS_SEEDS else values
    if not measure.is_ratio:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):  # silent: the lowest there is
        return np.log(np.where(values > 0, values, np.where(np.isnan(values), np.nan, 0.0)))


def verdicts(summary: Sequence[Row], tested: Sequence[Row], units: int) -> list[str]:
    """A sentence a measure: the best method, and those not established as worse; then the balance."""
    if units < signed_rank.FEW:
        return [f"verdict   of {units}: nothing is established of fewer than {signed_rank.FEW} units"]
    said: list[str] = []
    for measure in MEASURES:
        values = {
            str(row["method"]): float(str(row[measure.name])) * measure.better
            for row in summary
            if measure.better and not np.isnan(float(str(row.get(measure.name, np.nan))))
        }
        if len(values) < 2:
            continue
        best = max(values, key=lambda name: values[name])
        worse = {each[2] for each in _established(tested) if each[:2] == (measure.name, best)}
        equal = [name for name in values if name != best and name not in worse]
        rest = f"; not established as worse: {', '.join(equal)}" if equal else "; all others are worse"
        said.append(f"verdict   {measure.said}: {best} ({abs(values[best]):.3g}){rest}")
    return said + _balance(summary, tested)


def _balance(summary: Sequence[Row], tested: Sequence[Row]) -> list[str]:
    """How often each method is established as better and as worse than another, the best three."""
    found = _established(tested)
    names = [str(row["method"]) for row in summary]
    better = {name: sum(winner == name for _, winner, _ in found) for name in names}
    worse = {name: sum(loser == name for _, _, loser in found) for name in names}
    order = sorted(names, key=lambda name: worse[name] - better[name])[:3]
    if not found:
        return ["verdict   no method is established as better than another in any measure"]
    listed = "; ".join(f"{name} {better[name]} and {worse[name]} times" for name in order)
    return [f"balance   established as better and as worse, over all measures and pairs: {listed}"]


def _established(tested: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(measure, better method, worse method) of each difference that is established in a direction."""
    ways = {measure.name: measure.better for measure in MEASURES}
    found = []
    for row in tested:
        way = ways[str(row["measure"])] * (float(str(row["higher"])) - float(str(row["lower"])))
        if way and float(str(row["p_adjusted"])) < LEVEL:
            names = str(row["method"]), str(row["against"])
            found.append((str(row["measure"]), *(names if way > 0 else names[::-1])))
    return found
