"""A choice of jobs: the UI shows the images of few runs, and these are to cover what was varied."""

from collections.abc import Iterable, Mapping

from deepvis.config import params
from deepvis.results.result_folder import Result

MOST = 10  # runs whose images the UI shows: of more, it takes those that started last
FIGURE = "final/score"  # the best job has the highest
DESCENDING = ("reg.decay",)  # its highest value means off

Levels = frozenset[tuple[str, params.Value]]  # value by varied key, those that a job does not have left out


def of_jobs(results: Mapping[str, Result]) -> list[str]:
    """At most `MOST` jobs of a sweep, in the order of the jobs; all where they are not more.

    The one with the most factors at their baseline and the best; then, one after the other, the job that
    shows the most values that are not shown yet. Where all are shown, each counts by how seldom it is.

    Args:
      results: by the name of the job's folder, in order, at least one.
    """
    if len(results) <= MOST:
        return list(results)
    levels = _levels(results)
    off = _baseline(levels.values())
    baseline = max(results, key=lambda job: len(levels[job] & off))
    best = max(results, key=lambda job: results[job].figures.get(FIGURE, float("-inf")))
    shown = list(dict.fromkeys([baseline, best]))
    times: dict[tuple[str, params.Value], int] = {}
    for job in shown:
        _count(times, levels[job])
    while len(shown) < MOST:
        left = [job for job in results if job not in shown]
        job = max(left, key=lambda each: sum(1 / (1 + times.get(level, 0)) ** 4 for level in levels[each]))
        _count(times, levels[job])
        shown.append(job)
    return [job for job in results if job in shown]


def _levels(results: Mapping[str, Result]) -> dict[str, Levels]:
    varied = params.varied([result.params for result in results.values()])
    return {
        job: frozenset((key, result.params[key]) for key in varied if key in result.params)
        for job, result in results.items()
    }


def _baseline(levels: Iterable[Levels]) -> Levels:
    """Of each factor the value that a report compares with: the lowest number, or the first other value."""
    by_key: dict[str, dict[params.Value, None]] = {}
    for key, value in (level for job in levels for level in sorted(job, key=lambda pair: pair[0])):
        by_key.setdefault(key, {})[value] = None
    off: list[tuple[str, params.Value]] = []
    for key, values in by_key.items():
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) < len(values):
            off.append((key, next(iter(values))))
        else:
            off.append((key, max(numbers) if key in DESCENDING else min(numbers)))
    return frozenset(off)


def _count(times: dict[tuple[str, params.Value], int], levels: Levels) -> None:
    for level in levels:
        times[level] = times.get(level, 0) + 1
