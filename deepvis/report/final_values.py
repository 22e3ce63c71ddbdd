"""Final values: the jobs of a comparison -> arrays by setting, seed and unit; NaN where there is no value.

The seeds of a unit are averaged here, once, for two seeds of a filter are not two filters. A filter that
diverged has no final value to be compared by.
"""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepvis.metrics import across_seeds
from deepvis.results import result_folder
from deepvis.results.result_folder import Result

if TYPE_CHECKING:
    from deepvis.report.placement import ComparedJob

Shape = tuple[int, int, int]  # settings, seeds, units
Columns = Mapping[tuple[int, int], int]  # by part and filter, the unit
Tables = dict[str, np.ndarray]


def by_seed(jobs: Sequence["ComparedJob"], shape: Shape, columns: Columns) -> Tables:
    """Of each measure that a job has by itself, its final values, ``[settings, seeds, units]``."""
    tables: Tables = {}
    for job in jobs:
        units, kept = _columns(job, columns)
        for name, values in result_folder.last(job.result).items():
            table = tables.setdefault(name, np.full(shape, np.nan))
            table[job.setting, job.row, units] = _valid(job.result, values)[kept]
    return tables


def twin_differences(jobs: Sequence["ComparedJob"], shape: Shape, columns: Columns) -> Tables:
    """Replica minus image of each measure that replicas have, ``[settings, seeds, twins, units]``."""
    settings, seeds, units = shape
    twins = max((len(each) for job in jobs for each in job.result.twins.values()), default=0)
    tables: Tables = {}
    for job in jobs:
        at, kept = _columns(job, columns)
        for name, values in result_folder.replica_differences(job.result).items():
            table = tables.setdefault(name, np.full((settings, seeds, twins, units), np.nan))
            # An index and a list of them put the list's axis first.
            table[job.setting, job.row, : len(values)][:, at] = _valid(job.result, values)[:, kept]
    return tables


def across(jobs: Sequence["ComparedJob"], shape: Shape, columns: Columns) -> Tables:
    """Diversity and reproducibility over the seeds of one setting, part and set of filters."""
    values = {name: np.full((shape[0], shape[2]), np.nan) for name in ("diversity", "reproducibility")}
    groups: dict[tuple[int, int, tuple[int, ...]], dict[object, ComparedJob]] = {}
    for job in jobs:
        if not job.repeats:  # a repetition of a seed is no other seed
            groups.setdefault((job.setting, job.part, tuple(job.result.filters)), {}).setdefault(
                job.seed, job
            )
    # A filter that several sets of filters have counts in the one with most seeds.
    for (setting, _, _), by_number in sorted(groups.items(), key=lambda group: -len(group[1])):
        units, kept = _columns(next(iter(by_number.values())), columns)
        features = np.stack([job.result.features["post"] for job in by_number.values()])
        found = {"diversity": across_seeds.diversity(features),
                 "reproducibility": across_seeds.reproducibility(features)}  # fmt: skip
        for name, of_filters in found.items():
            row = values[name][setting]
            row[units] = np.where(np.isnan(row[units]), of_filters[kept], row[units])
    return {name: table for name, table in values.items() if np.isfinite(table).any()}


def averaged(table: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean over what has a value; NaN where nothing has."""
    known = np.isfinite(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0.0).sum(axis=axis) / known.sum(axis=axis)


def turns(
    keys: Sequence[tuple[Hashable, ...]], parts: Sequence[int], results: Sequence[Result]
) -> list[tuple[int, bool]]:
    """How many times each job's key and units were there before, by jobs that ended otherwise.

    With whether an earlier job has all of its filters and ended alike, number for number.
    """
    found: list[tuple[int, bool]] = []
    before: dict[tuple[Hashable, ...], list[list[int]]] = {}  # by key and turn, jobs of different units
    for i, key in enumerate(keys):
        filters, taken = set(results[i].filters), before.setdefault((parts[i], *key), [])
        shared = [[j for j in row if filters & set(results[j].filters)] for row in taken]
        alike = (turn for turn, row in enumerate(shared)
                 if row and all(_is_repeated(results[i], results[j]) for j in row))  # fmt: skip
        free = (turn for turn, row in enumerate(shared) if not row)
        turn = next(itertools.chain(alike, free), len(taken))
        if turn == len(taken):
            taken.append([])
        found.append((turn, filters <= {index for j in taken[turn] for index in results[j].filters}))
        taken[turn].append(i)
    return found


def _is_repeated(one: Result, other: Result) -> bool:
    """Whether two jobs ended alike, number for number, for the filters that both have."""
    first, second = result_folder.last(one), result_folder.last(other)
    places = {index: i for i, index in enumerate(other.filters)}
    pairs = [(i, places[index]) for i, index in enumerate(one.filters) if index in places]
    mine, theirs = ([pair[k] for pair in pairs] for k in (0, 1))
    return all(
        np.array_equal(np.asarray(first[name])[mine], np.asarray(second[name])[theirs], equal_nan=True)
        for name in first.keys() & second.keys()
    )


def _columns(job: "ComparedJob", columns: Columns) -> tuple[list[int], list[bool]]:
    """The units of a job's filters that are compared, and which of the filters these are."""
    places = [columns.get((job.part, index)) for index in job.result.filters]
    return [place for place in places if place is not None], [place is not None for place in places]


def _valid(result: Result, values: np.ndarray) -> np.ndarray:
    """Final values, ``[..., filters]``, NaN where there is none to be compared."""
    return np.where(np.isfinite(values) & (np.array(result.ends) != "diverged"), values, np.nan)
