"""Endings: a `Comparison` -> how its images ended, and what that makes of the numbers, in sentences."""

from collections.abc import Iterator

from deepvis.report.comparison import Comparison, Unit
from deepvis.report.gaps import listed

PROBLEMS = ("stuck", "diverged")  # ends whose filters are listed


def diverged(compared: Comparison) -> str:
    """What has no score; empty where everything has one."""
    told = _counts(compared, "diverged")
    return f"{told}: these have no score and are left out, so look for the reason first." if told else ""


def notes(compared: Comparison) -> Iterator[str]:
    """What was not done when it ended."""
    if told := _counts(compared, "rising", "still improving"):
        yield f"{told}: with more steps the differences may be others."
    if told := _counts(compared, "stuck", "without a gradient at any step"):
        yield f"{told}: their score is that of the start."


def problems(compared: Comparison, end: str) -> dict[str, list[str]]:
    """The filters that ended so, ``stuck`` or ``diverged``, by the name of their job."""
    filters: dict[str, list[str]] = {}
    for job in compared.jobs:
        for index, ended in zip(job.result.filters, job.result.ends, strict=True):
            if ended == end:
                unit = Unit(job.network, job.result.layer, index)
                filters.setdefault(job.result.name, []).append(compared.label(unit))
    return filters


def _counts(compared: Comparison, end: str, words: str = "") -> str:
    """``5 of 64 images diverged (decay=0.8: 4 of 16, ...)``."""
    found: dict[int, int] = {}
    images: dict[int, int] = {}
    for job in compared.jobs:
        if not job.repeats:
            images[job.setting] = images.get(job.setting, 0) + len(job.result.ends)
            found[job.setting] = found.get(job.setting, 0) + job.result.ends.count(end)
    count, total = sum(found.values()), sum(images.values())
    if not count:
        return ""
    what = f"{count} of {total} images {f'were {words}' if words else end}"
    names = [f"{compared.name(k)}: {found[k]} of {images[k]}" for k in sorted(found) if found[k]]
    return f"{what} ({listed(names)})" if len(images) > 1 else what
