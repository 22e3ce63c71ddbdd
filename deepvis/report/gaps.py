"""Gaps: a `Comparison` -> what was not run or is not tested in it, in sentences."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deepvis.report import contrasts, factors

if TYPE_CHECKING:
    from deepvis.report.comparison import Comparison

MOST = 6  # that are named


def unfinished(names: Sequence[str], finished: int) -> Iterator[str]:
    """The jobs without a result."""
    if names:
        have = "has" if len(names) == 1 else "have"
        yield f"{len(names)} of {len(names) + finished} jobs {have} no result: {listed(names)}."


def of(compared: "Comparison") -> Iterator[str]:
    """Settings, combinations of levels and seeds that are not there, part by part."""
    for number, (title, own) in enumerate(compared.each_part()):
        of = f"{title}: " if title else ""
        present = {job.setting for job in compared.jobs if job.part == number}
        models = {_model(compared, k) for k in present}  # those of other networks are no part of it
        lacking = [k for k in range(len(compared.settings))
                   if k not in present and _model(compared, k) in models]  # fmt: skip
        if lacking:
            names = listed([compared.name(k) for k in lacking])
            have = "has" if len(lacking) == 1 else "have"
            yield f"{of}{len(lacking)} of {len(compared.settings)} settings {have} no job: {names}."
        yield from (f"{of}{text}" for text in (*_combinations(own), *_levels(own)))
        yield from (f"{of}{text}" for text in _seeds(own))


def _seeds(own: "Comparison") -> Iterator[str]:
    """Settings that lack a filter, or a seed of one."""
    rows: dict[int, dict[int, set[int]]] = {}  # by setting and filter
    units = {unit.index for unit in own.units}
    for job in own.jobs:
        for index in units.intersection(job.result.filters):
            rows.setdefault(job.setting, {}).setdefault(index, set()).add(job.row)
    if len(rows) > 1 and units and not set.intersection(*map(set, rows.values())):
        yield "No filter is in every setting."
    some = []
    for setting, has in rows.items():
        missing = Counter(
            row
            for index, found in has.items()
            for row in set.union(*(each.get(index, set()) for each in rows.values())) - found
        )
        for row, count in sorted(missing.items()):
            of = f" of {count} filters" if count < len(has) else ""
            some.append(f"{own.name(setting)} has no seed {own.seeds[row]}{of}")
    if some:
        yield f"Not every setting has every seed, so means are over different ones: {listed(some)}."


def _combinations(own: "Comparison") -> Iterator[str]:
    """Combinations of the levels of a part that are none of its settings, and what is tested without them."""
    rows, count = own.settings, math.prod(map(len, own.levels.values()))
    if count == len(rows):
        return
    if 2 * (count - len(rows)) <= len(rows):
        holes = listed(list(_missing(own)))
        yield f"The grid has holes, {count - len(rows)} of {count} settings: {holes}. {_tested(own)}"
    else:
        crossed = f"{listed(list(own.levels))} are not crossed, {len(rows)} of {count} combinations were run."
        yield f"{crossed} {_tested(own)}"


def _tested(own: "Comparison") -> str:
    alone = _varied_alone(own)
    with_effects, without = (
        [f for f in own.levels if (f in alone) == is_alone] for is_alone in (True, False)
    )
    said = []
    if with_effects:
        said.append(
            f"The effect of {listed(with_effects)} is that between settings that agree in everything else."
        )
    if without:
        differ = ", or ".join(f"in {factor} alone" for factor in without)
        said.append(f"No two settings differ {differ}: no such effect is tested.")
    if len(own.settings) > contrasts.PAIRS:
        said.append(f"Of more than {contrasts.PAIRS} settings no two are tested against each other.")
    else:
        said.append("Every two settings are tested against each other.")
    return " ".join(said)


def _varied_alone(own: "Comparison") -> set[str]:
    """Factors in which alone some settings differ."""
    return {
        factor
        for k, factor in enumerate(own.levels)
        if len({(*each[:k], *each[k + 1 :]) for each in own.settings}) < len(own.settings)
    }


def _levels(own: "Comparison") -> Iterator[str]:
    """Factors of which not every level is tested."""
    alone = _varied_alone(own)
    for factor, levels in contrasts.spaced(own.levels).items():
        if factor in alone and len(levels) < len(own.levels[factor]):
            yield (
                f"{len(levels)} of the {len(own.levels[factor])} levels of {factor}, at equal distances in "
                "their order, are tested; of the others there are medians only."
            )


def _model(compared: "Comparison", setting: int) -> object:
    """Which of several paired networks a setting has."""
    return dict(zip(compared.levels, compared.settings[setting], strict=True)).get("model")


def _missing(own: "Comparison") -> Iterator[str]:
    keys = factors.short(list(own.levels))
    rows = set(own.settings)
    for levels in itertools.product(*own.levels.values()):
        if levels not in rows:
            yield " ".join(f"{key}={level}" for key, level in zip(keys, levels, strict=True))


def listed(names: Sequence[str]) -> str:
    """``a, b and c``, of many the first."""
    more = [f"{len(names) - MOST} more"] if len(names) > MOST else []
    shown = [*names[:MOST], *more]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
