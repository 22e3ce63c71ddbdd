"""Factors: results -> what was varied, by value: the keys that differ between the resolved configs.

Keys that vary in lockstep because one choice brought them are one factor: ``reg=yosinski_1`` and
``reg=yosinski_2`` differ in several knobs and are two levels of ``reg``. Equal values are one level, whatever
was typed.
"""

from collections.abc import Iterable, Sequence

from deepvis.config import params
from deepvis.results.result_folder import Result

Level = int | float | str
Factors = dict[str, list[Level]]  # by factor, the level of each job

CONFOUNDED = ("model", "steps", "size", "precision")  # left out where other factors fix their value
DESCENDING = ("reg.decay",)  # sorted from high to low: their highest value means off, and is the baseline
NOT_VARIED = ("seed", "layer", "layer.filters", "twins", "robustness")  # never a factor


def of_jobs(results: Sequence[Result]) -> Factors:
    """What was varied between jobs, at least one."""
    configs = [result.params for result in results]
    varied: Factors = {
        key: [_level(config.get(key, "none")) for config in configs]
        for key in params.varied(configs)
        if key not in NOT_VARIED
    }
    for group in dict.fromkeys(key.partition(".")[0] for key in varied):
        keys = [key for key in varied if key.partition(".")[0] == group]
        candidates = [varied[group]] if group in varied else []
        varied = _collapsed(varied, group, keys, [*candidates, *_choices(results, group)])
    varied = _collapsed(varied, "experiment", list(varied), _choices(results, "experiment"))
    for key in CONFOUNDED:
        others = [by_job for factor, by_job in varied.items() if factor != key]
        if key in varied and others and _is_determined(varied[key], list(zip(*others, strict=True))):
            del varied[key]
    return varied


def ordered(factor: str, levels: Iterable[Level]) -> list[Level]:
    """Each level once: numbers by size, anything else in the order of the jobs."""
    once = list(dict.fromkeys(levels))
    if all(isinstance(item, int | float) for item in once):
        return sorted(once, reverse=factor in DESCENDING)  # type: ignore[type-var]  # all are numbers
    return once


def _level(value: params.Value) -> Level:
    """A value as it is typed; a list has brackets, for levels are listed with commas between them."""
    level = params.written(value)
    return f"[{level}]" if isinstance(level, str) and "," in level else level


def _choices(results: Sequence[Result], group: str) -> list[list[Level]]:
    """The choice of a group that each job typed, where all of them did."""
    typed = [result.choices[group] for result in results if group in result.choices]
    return [list(typed)] if len(typed) == len(results) else []


def _collapsed(varied: Factors, name: str, keys: Sequence[str], candidates: Sequence[list[Level]]) -> Factors:
    """One factor in the place of those of the keys that its labels determine, if these are two or more.

    Its labels, one a job, are those of the candidates that determine most keys.
    """
    best: list[str] = []
    labels: list[Level] = []
    for candidate in candidates:
        determined = [key for key in keys if _is_determined(varied[key], candidate)]
        if len(determined) > len(best):
            best, labels = determined, candidate
    if len(best) < 2 or (name in varied and name not in best):
        return varied
    first: dict[tuple[Level, ...], Level] = {}  # equal values are one level: that of the first job
    values = zip(*(varied[key] for key in best), strict=True)
    levels = [first.setdefault(value, label) for value, label in zip(values, labels, strict=True)]
    collapsed: Factors = {}
    for key, by_job in varied.items():
        if key not in best:
            collapsed[key] = by_job
        elif name not in collapsed:
            collapsed[name] = levels
    return collapsed


def _is_determined(levels: Sequence[Level], by: Sequence[object]) -> bool:
    """Whether jobs that agree in one thing agree in these levels."""
    return len(set(zip(by, levels, strict=True))) == len(set(by))
