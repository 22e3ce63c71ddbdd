"""Selection: a `Comparison` -> which of its settings, filters, seeds and steps a page shows.

A page has a bounded size. What it leaves out it says; what it shows are settings across all of them, with the
baseline and the best, never the first so many jobs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from deepvis.report.comparison import ComparedJob, Comparison, Unit

SETTINGS = 16  # panels of curves, names in the trade-off, columns of the contact sheet at least
COLUMNS = 40  # of the contact sheet at most, where that leaves out no filter
PICTURES = 20_000  # of all steps; more would be too small to look at in a page of 10 MB
LARGE = 7_000  # pictures of all steps that are large enough beside more than 16 settings

Item = TypeVar("Item")
Cell = tuple[int, int, Unit]  # setting, row among the seeds, unit


@dataclass(frozen=True)
class Selection:
    """What a page shows of a comparison."""

    settings: Sequence[int]
    units: Sequence[Unit]
    rows: Sequence[int]  # among the seeds
    steps: Sequence[int]  # after which there is a picture
    jobs: Mapping[Cell, tuple[ComparedJob, int]]  # the job of a picture, and its column
    taken: Mapping[Path, Sequence[int]]  # by result folder of what is shown: the steps that have pictures
    said: Sequence[str]  # what is left out, a phrase each


def of(compared: Comparison, optimal: Iterable[int] = ()) -> Selection:
    """Choose what a page shows; settings that are Pareto-optimal come before those that are not."""
    jobs: dict[Cell, tuple[ComparedJob, int]] = {}
    for job in compared.jobs:
        if job.row is not None:
            for column, index in enumerate(job.result.filters):
                unit = Unit(job.network, job.result.layer, index)
                jobs.setdefault((job.setting, job.row, unit), (job, column))
    columns = PICTURES // max(1, 2 * len(compared.units))
    shown = settings(compared, optimal, min(max(SETTINGS, columns), COLUMNS))
    units, rows = list(compared.units), list(range(len(compared.seeds)))
    taken = {job.folder: _snapshots(job) for job in compared.jobs if job.setting in set(shown)}
    steps = sorted({step for each in taken.values() for step in each})
    least = min(2, len(steps))
    units = units[: max(1, PICTURES // (least * len(shown)))]
    rows = rows[: max(1, PICTURES // (least * len(shown) * len(units)))]
    pictures = PICTURES if len(shown) <= SETTINGS else LARGE
    steps = spread(steps, max(least, pictures // (len(shown) * len(units) * len(rows))))
    said = []
    if len(shown) < len(compared.settings):
        said.append(
            f"{len(shown)} of {len(compared.settings)} settings: the first, the best by each measure, "
            "and others at equal distances"
        )
    if len(units) < len(compared.units):
        said.append(f"the first {len(units)} of {len(compared.units)} filters")
    if len(rows) < len(compared.seeds):
        said.append(f"{len(rows)} of {len(compared.seeds)} seeds")
    return Selection(shown, units, rows, steps, jobs, taken, said)


def settings(compared: Comparison, optimal: Iterable[int] = (), most: int = SETTINGS) -> list[int]:
    """At most so many settings, in their order: the first, the best, optimal ones, some between."""
    count = len(compared.settings)
    if count <= most:
        return list(range(count))
    best = [
        best
        for part in range(len(compared.parts))
        for name in ("score", "robustness")
        if name in compared.values and (best := highest(compared, name, part)) is not None
    ]
    first = list(dict.fromkeys([0, *best, count - 1, *optimal]))[: most - 4]
    between = [k for k in spread(range(count), most) if k not in first]
    return sorted([*first, *spread(between, most - len(first))])


def highest(compared: Comparison, measure: str, part: int) -> int | None:
    """The setting with the highest median over the units of a part, if there is one."""
    medians = [
        np.median(known) if len(known := row[np.isfinite(row)]) else -np.inf
        for row in compared.values[measure][:, compared.part_of == part]
    ]
    return int(np.argmax(medians)) if np.isfinite(medians).any() else None


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, at equal distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    places = np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))
    return [items[place] for place in places.tolist()]


def _snapshots(job: ComparedJob) -> list[int]:
    """The steps after which a job has pictures."""
    return sorted(int(path.name.partition("_")[2]) for path in (job.folder / "progress").iterdir())
