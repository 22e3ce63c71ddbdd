"""Gaps: a `Comparison` -> what was not run in it, in sentences: holes in the grid, seeds that are missing."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepvis.report.comparison import Comparison

MOST = 6  # that are named


def unfinished(names: Sequence[str], finished: int) -> Iterator[str]:
    """The jobs without a result."""
    if names:
        have = "has" if len(names) == 1 else "have"
        yield f"{len(names)} of {len(names) + finished} jobs {have} no result: {_listed(names)}."


def of(compared: "Comparison") -> Iterator[str]:
    """Settings, combinations of levels and seeds that are not there, part by part."""
    for number, part in enumerate(compared.part_names()):
        of = f"{part}: " if len(compared.parts) > 1 else ""
        own = [job for job in compared.jobs if job.part == number]
        present = sorted({job.setting for job in own})
        models = {_model(compared, k) for k in present}  # those of other networks are no part of it
        lacking = [k for k in range(len(compared.settings))
                   if k not in present and _model(compared, k) in models]  # fmt: skip
        if lacking:
            names = _listed([compared.name(k) for k in lacking])
            yield f"{of}settings that are not there, {len(lacking)} of {len(compared.settings)}: {names}."
        yield from (f"{of}{text}" for text in _combinations(compared, present))
        seeds = {k: {job.row for job in own if job.setting == k} for k in present}
        every = set.union(*seeds.values())
        some = [
            f"{compared.name(k)} has no {_listed([str(compared.seeds[row]) for row in sorted(every - rows)])}"
            for k, rows in seeds.items()
            if every - rows
        ]
        if some:
            yield f"{of}Not every setting has every seed, so means are over different ones: {_listed(some)}."


def _combinations(compared: "Comparison", present: Sequence[int]) -> Iterator[str]:
    """Combinations of the levels of these settings that are none of them."""
    rows = [compared.settings[k] for k in present]
    used = [[level for level in levels if any(row[k] == level for row in rows)]
            for k, levels in enumerate(compared.levels.values())]  # fmt: skip
    varied = [name for name, levels in zip(compared.levels, used, strict=True) if len(levels) > 1]
    count = math.prod(map(len, used))
    if count == len(rows):
        return
    untested = "settings are compared in pairs, and neither main effects nor interactions are tested"
    if 2 * (count - len(rows)) <= len(rows):
        holes = _listed(list(_missing(compared, used, rows)))
        yield f"The grid has holes, {count - len(rows)} of {count} settings: {holes}. So {untested}."
    else:
        names = _listed(varied)
        yield f"{names} are not crossed, {len(rows)} of {count} combinations were run: {untested}."


def _model(compared: "Comparison", setting: int) -> object:
    """Which of several paired networks a setting has."""
    return dict(zip(compared.levels, compared.settings[setting], strict=True)).get("model")


def _missing(
    compared: "Comparison", used: Sequence[Sequence[object]], rows: Sequence[tuple]
) -> Iterator[str]:
    keys = [factor.rpartition(".")[2] for factor in compared.levels]
    for levels in itertools.product(*used):
        if levels not in rows:
            yield " ".join(f"{key}={level}" for key, level in zip(keys, levels, strict=True))


def _listed(names: Sequence[str]) -> str:
    more = [f"{len(names) - MOST} more"] if len(names) > MOST else []
    shown = [*names[:MOST], *more]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
