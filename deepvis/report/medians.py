"""Medians: a `Comparison` -> a row a layer and setting, for the page, an export's tables and results.csv."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from deepvis.report.comparison import Comparison
from deepvis.report.endings import PROBLEMS

Row = dict[str, Any]


def of(compared: Comparison) -> list[Row]:
    """A row a part and setting: medians over its filters, and how many have a zero gradient or diverged."""
    rows = []
    for title, part in compared.each_part():
        by_measure = {name: part.medians(name) for name in part.values}
        for setting in range(len(part.settings)):
            ends = [end for job in part.jobs if job.setting == setting for end in job.result.ends]
            # Without factors the name of a setting is that of the part.
            names = filter(None, [title, part.name(setting) if part.levels or not title else ""])
            row: Row = {"setting": " ".join(names), "images": len(ends)}
            row |= dict.fromkeys(compared.values, math.nan)
            row |= {measure: float(medians[setting]) for measure, medians in by_measure.items()}
            rows.append(row | {end: ends.count(end) for end in PROBLEMS})
    return rows


def as_table(compared: Comparison, medians: Sequence[Row]) -> Iterator[Row]:
    """Medians as rows of results.csv."""
    for row in medians:
        for name in (*compared.values, *PROBLEMS):
            yield {"kind": "setting", "measure": name, "comparison": row["setting"], "n": row["images"],
                   "median": row[name], "unit": ""}  # fmt: skip
