"""Factors: results -> what was varied, by value: the keys that differ between the resolved configs.

Keys that vary in lockstep because one choice brought them are one factor: ``reg=yosinski_1`` and
``reg=yosinski_2`` differ in several knobs and are two levels of ``reg``. Equal values are one level, whatever
was typed. Whatever else differs is said: nothing that may explain a result is left out in silence.
"""

from collections.abc import Iterable, Mapping, Sequence

from deepvis.config import params
from deepvis.results.result_folder import Result

Level = int | float | str
Factors = dict[str, list[Level]]  # by factor, the level of each job

CONFOUNDED = ("model", "steps", "size", "precision")  # no factors where others fix their value, but said
DESCENDING = ("reg.decay",)  # sorted from high to low: their highest value means off, and is the baseline
NOT_VARIED = ("seed", "layer", "layer.filters", "twins", "robustness", "animation")  # never a factor
MEASURED = ("twins", "robustness")  # of these, what changes the measurements, which is said
# Of a model: where its weights are, which are compared by content, and what does not change them.
NOT_OF_WEIGHTS = ("model.path", "model.weights.path", "model.weights.verify", "model.paired_with",
                  "model.allow_code", "model.labels")  # fmt: skip
MOST = 6  # values that are said


def of_jobs(
    results: Sequence[Result],
    parts: Sequence[int],
    models: Sequence[str],
    versions: Sequence[Mapping[str, str | None]],
) -> tuple[Factors, list[str]]:
    """What was varied between jobs, at least one.

    Args:
      results: of the jobs.
      parts: of each, the units that it has; what differs between parts only is no factor.
      models: of each, what its network is called.
      versions: of each, those of packages.

    Returns:
      The factors; and what else differs, in sentences.
    """
    configs = [{**each.params, "model": model} for each, model in zip(results, models, strict=True)]
    differing: Factors = {
        key: levels
        for key in params.varied(configs)
        if len(set(levels := [_level(config.get(key, "none")) for config in configs])) > 1
        and key not in NOT_OF_WEIGHTS
    }
    varied = {
        key: levels
        for key, levels in differing.items()
        if key not in NOT_VARIED and not _is_determined(levels, parts)
    }
    others = {
        key: levels
        for key, levels in differing.items()
        if not (key in varied or key in NOT_VARIED or key.startswith("model"))
    }
    for group in dict.fromkeys(key.partition(".")[0] for key in varied):
        keys = [key for key in varied if key.partition(".")[0] == group]
        candidates = [varied[group]] if group in varied else []
        varied = _collapsed(varied, group, keys, [*candidates, *_choices(results, group)])
    varied = _collapsed(varied, "experiment", list(varied), _choices(results, "experiment"))
    for key in CONFOUNDED:
        by_others = [by_job for factor, by_job in varied.items() if factor != key]
        if (
            key in varied
            and by_others
            and _is_determined(varied[key], list(zip(parts, *by_others, strict=True)))
        ):
            others[key] = varied.pop(key)
    others["device"] = [str(each.tags.get("device", each.params.get("device", ""))) for each in results]
    for package in dict.fromkeys(package for each in versions for package in each):
        others[package] = [str(each.get(package) or "none") for each in versions]
    said = []
    if told := _told(others):
        said.append(f"Besides the factors these also differ: {told}. An effect may be due to them.")
    if told := _told({key: levels for key, levels in differing.items() if key in MEASURED}):
        said.append(f"Jobs differ in what is measured, which changes no image: {told}.")
    return varied, said


def sweep_names(sweeps: Sequence[str]) -> list[Level]:
    """The end of each sweep's id, or the whole of it where two end alike."""
    ends = {sweep: sweep.rpartition("-")[2] for sweep in sweeps}
    return [ends[sweep] if len(set(ends.values())) == len(ends) else sweep for sweep in sweeps]


def _told(others: Factors) -> str:
    """What differs, and how."""
    return "; ".join(f"{key} {_values(levels)}" for key, levels in others.items() if len(set(levels)) > 1)


def _values(levels: Sequence[Level]) -> str:
    once = list(dict.fromkeys(levels))
    more = [f"{len(once) - MOST} more"] if len(once) > MOST else []
    return " / ".join([*map(str, once[:MOST]), *more])


def short(names: Sequence[str]) -> list[str]:
    """Factors as settings are named by them: the end of each, or the whole of it where two end alike."""
    ends = [name.rpartition(".")[2] for name in names]
    return [end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)]


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
