"""Rows of units -> what each kind of explanation comes to, and every pair of kinds, unit by unit."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import paired
from measured import TASKS, Row
from scipy import stats

MEASURES = ("strength", "path", "choice", "choice_scenes")
SHUFFLED, NOISE = "photographs, shuffled", "noise"
NATURAL = ("photographs", "photographs, upper end", "one photograph", SHUFFLED)
RESAMPLES = 4999


def tables(
    rows: Sequence[Row], areas: Mapping[str, Sequence[tuple[str, str]]]
) -> tuple[list[Row], list[Row]]:
    """Tables of kinds of explanations, and of their pairs.

    Args:
      rows: a row a unit and kind of explanation.
      areas: by name, which (network, layer) belong together.
    """
    results: list[Row] = []
    pairs: list[Row] = []
    for area, places in areas.items():
        values = by_kind([row for row in rows if (row["network"], row["layer"]) in places])
        results += [
            {"area": area, "explanation": kind} | summary(kind, each) for kind, each in values.items()
        ]
        every = list(itertools.combinations([kind for kind in values if kind != SHUFFLED], 2))
        found = [row for measure in MEASURES for row in compared(values, measure, every)]
        ordered = expected(values)
        found += compared(ordered, "choice", itertools.pairwise(ordered))
        pairs += [{"area": area} | row for row in found]
    return results, pairs


def expected(values: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Mapping[str, np.ndarray]]:
    """Photographs, the mean of all settings, noise: the order that was expected beforehand."""
    settings = [each["choice"] for kind, each in values.items() if kind not in (*NATURAL, NOISE)]
    mean = {"choice": np.mean(settings, axis=0)}
    return {NATURAL[0]: values[NATURAL[0]], "all settings": mean, NOISE: values[NOISE]}


def by_kind(rows: Sequence[Row]) -> dict[str, dict[str, np.ndarray]]:
    """By kind of explanation and measure, ``[units]``: the units that have all kinds, in one order."""
    units = {(row["layer"], row["unit"]) for row in rows}
    kinds = list(dict.fromkeys(str(row["explanation"]) for row in rows))
    at = {(row["layer"], row["unit"], row["explanation"]): row for row in rows}
    order = [unit for unit in sorted(units) if all((*unit, kind) in at for kind in kinds)]
    return {
        kind: {name: np.array([float(at[*unit, kind][name]) for unit in order]) for name in MEASURES}
        for kind in kinds
    }


def summary(kind: str, values: Mapping[str, np.ndarray]) -> Row:
    """Medians of strength and path, means of choices with their 95 % interval over units."""
    row: Row = {"units": len(values["choice"])}
    for name in ("strength", "path"):
        known = values[name][np.isfinite(values[name])]
        row |= {name: float(np.median(known)) if len(known) else "", f"{name}_measured": len(known)}
    for name in ("choice", "choice_scenes"):
        known = values[name][np.isfinite(values[name])]
        low, high = interval(known, TASKS[name] if kind == SHUFFLED else None)
        row |= {name: float(known.mean()) if len(known) else "", f"{name}_low": low, f"{name}_high": high}
    return row


def interval(shares: np.ndarray, tasks: int | None = None) -> tuple[float, float]:
    """95 % interval of the mean of the units' shares: by bootstrap over units.

    Args:
      shares: ``[units]``.
      tasks: of each unit, where they are independent of one another: the interval is binomial.
    """
    if len(shares) < paired.FEW:
        return np.nan, np.nan
    if tasks is not None:
        found = stats.binomtest(round(float(shares.sum()) * tasks), len(shares) * tasks).proportion_ci()
        return float(found.low), float(found.high)
    drawn = np.random.default_rng(0).integers(0, len(shares), (RESAMPLES, len(shares)))
    low, high = np.percentile(shares[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def compared(
    values: Mapping[str, Mapping[str, np.ndarray]], measure: str, pairs: Iterable[tuple[str, str]]
) -> list[Row]:
    """Pairs of kinds in one measure, by Wilcoxon's test as in `paired`; Holm's p is over all these pairs.

    Told is the mean of the differences: shares of tasks are so coarse that their median jumps. Strengths are
    compared as logarithms, and told as ratios.
    """
    found: list[Row] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = {
            kind: np.log(each[measure]) if measure == "strength" else each[measure]
            for kind, each in values.items()
        }
    told = np.exp if measure == "strength" else float
    for one, other in pairs:
        differences = numbers[one] - numbers[other]
        known = differences[np.isfinite(differences)]
        if len(known) == 0:
            continue
        low, high = interval(known)
        p = np.nan if len(known) < paired.FEW else 1.0
        if len(known) >= paired.FEW and known.any():
            p = stats.wilcoxon(known, zero_method="pratt").pvalue
        found.append({
            "measure": measure, "explanation": one, "against": other, "units": len(known),
            "mean": float(told(known.mean())), "low": float(told(low)), "high": float(told(high)),
            "higher": int((known > 0).sum()), "lower": int((known < 0).sum()), "p": float(p),
        })  # fmt: skip
    for row, p in zip(found, paired.holm([float(str(row["p"])) for row in found]), strict=True):
        row["p_holm"] = float(p)
    return found
