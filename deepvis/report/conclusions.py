"""Conclusions: (`Comparison`, its tested effects) -> sentences, whose numbers are those of the effects."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from deepvis.metrics import statistics
from deepvis.report.comparison import Comparison, Unit
from deepvis.report.effects import TestedEffect

ALPHA = 0.05  # of an adjusted p
PROBLEMS = ("stuck", "diverged")  # ends whose filters are listed
SECONDARY = {  # measures beside the score, and the words for a higher and a lower one
    "robustness": (
        "their images are more robust to small changes",
        "their images are less robust to small changes",
    ),
    "high_frequency": (
        "more of their power is of high frequency",
        "less of their power is of high frequency",
    ),
}
NONE = "no difference is established"
NO_FLOOR = (
    "The numerical noise floor was not measured, so some of these differences may be rounding errors that "
    "gradient ascent amplified. Run the sweep with twins=1 to measure it: each image is optimized once more "
    "from a start that differs in the last bit only."
)


def sentences(compared: Comparison, effects: Sequence[TestedEffect]) -> list[str]:
    """The conclusions of a comparison, most important first."""
    lines = [
        f"With {setting}, {_filters(tests)}" for setting, tests in _contrasts(compared, effects) if tests
    ]
    lines += _pareto_optimal(compared)
    lines += [
        f"{effect.comparison.partition(':')[0].replace(' x ', ' and ')} interact in {effect.measure} "
        f"({effect.comparison}, median {interval(effect)}): the effect of one depends on the other's level."
        for measure in ("score", *SECONDARY)
        for effect in _strongest(effects, measure)
    ]
    return [*lines, *_floor(effects)]


def _contrasts(
    compared: Comparison, effects: Sequence[TestedEffect]
) -> Iterator[tuple[str, dict[str, TestedEffect]]]:
    """Of each factor of a grid its last level and its first; else the highest and the lowest setting."""
    contrasts: list[tuple[str, str, str]] = []  # kind, comparison, words
    if compared.is_grid():
        for factor, levels in compared.levels.items():
            name = f"{factor}: {levels[-1]} against {levels[0]}"
            contrasts.append(("main effect", name, f"{factor}={levels[-1]} instead of {levels[0]}"))
    elif np.isfinite(scores := compared.medians("score")).any():
        first, last = sorted((int(np.nanargmin(scores)), int(np.nanargmax(scores))))
        names = compared.name(last), compared.name(first)
        contrasts = [("pair", " against ".join(names), " instead of ".join(names))]
    for kind, name, words in contrasts:
        own = (test for test in effects if (test.kind, test.comparison) == (kind, name))
        yield words, {test.measure: test for test in own}


def _filters(tests: Mapping[str, TestedEffect]) -> str:
    """Score, then robustness, then noise."""
    effect = tests["score"].effect
    if effect.n == 0:
        return "no filter can be compared."
    text = _direction(round(effect.up * effect.n), round(effect.down * effect.n), effect.n)
    if tests["score"].floor > 0:
        text += f", and {round(effect.moved * effect.n)} change beyond the noise floor"
    if effect.n < statistics.FEW:
        return f"{text}; {effect.n} are too few for an interval or a test."
    text += f" (score, median {interval(tests['score'])})"
    if not tests["score"].p < ALPHA:
        text += f": {NONE}"
    for measure, (more, less) in SECONDARY.items():
        if measure in tests:
            test = tests[measure]
            words = NONE if not test.p < ALPHA else more if test.effect.median > 0 else less
            count = f", {test.effect.n} filters" if test.effect.n != effect.n else ""
            if test.effect.n < statistics.FEW:
                text += f"; {test.effect.n} filters are too few to compare their {measure}"
                continue
            text += f"; {words} ({measure}{count}, median {interval(test)})"
    return f"{text}."


def _direction(up: int, down: int, n: int) -> str:
    """Which way most filters went, and how many did."""
    most, way = (up, "higher") if up >= down else (down, "lower")
    return f"all {n} filters end {way}" if most == n else f"{most} of {n} filters end {way}"


def interval(test: TestedEffect) -> str:
    """``+12 %, 95 % interval 7 to 18 %, p < 0.001``, in the effect's unit."""
    effect, unit = test.effect, _unit(test)
    p = "p < 0.001" if test.p < 0.001 else f"p {test.p:.2g}"
    return f"{effect.median:+.3g}{unit}, 95 % interval {effect.low:.3g} to {effect.high:.3g}{unit}, {p}"


def _unit(test: TestedEffect) -> str:
    return f" {test.unit}" if test.unit else ""


def _pareto_optimal(compared: Comparison) -> list[str]:
    """The settings that are Pareto-optimal in score and robustness, by their medians."""
    if len(compared.settings) < 3 or "robustness" not in compared.values:
        return []
    medians = [compared.medians(name) for name in ("score", "robustness")]
    best = np.flatnonzero(statistics.front(np.array(medians).T))
    if not len(best):
        return []
    shown = [f"{compared.name(i)} ({medians[0][i]:.3g}, {medians[1][i]:.3g})" for i in best[:6]]
    more = f" and {len(best) - 6} more" if len(best) > 6 else ""
    return [f"Pareto-optimal in median score and robustness: {', '.join(shown)}{more}."]


def _strongest(effects: Sequence[TestedEffect], measure: str) -> list[TestedEffect]:
    """The established interaction of a measure with the largest median, if there is one."""
    interactions = [test for test in effects if (test.kind, test.measure) == ("interaction", measure)]
    established = [test for test in interactions if test.p < ALPHA]
    return sorted(established, key=lambda test: -abs(test.effect.median))[:1]


def _floor(effects: Sequence[TestedEffect]) -> list[str]:
    score = next((test for test in effects if test.measure == "score"), None)
    if score is None:
        return []
    if np.isnan(score.floor):
        return [NO_FLOOR]
    if score.floor == 0:
        return ["The numerical noise floor is 0: a start changed by one ulp gives the same scores here."]
    return [
        "The numerical noise floor: a start changed by one ulp changes a filter's score by "
        f"{score.floor:.3g}{_unit(score)} in the median."
    ]


def problems(compared: Comparison, end: str) -> dict[str, list[str]]:
    """The filters that ended so, ``stuck`` or ``diverged``, by the name of their job."""
    filters: dict[str, list[str]] = {}
    for job in compared.jobs:
        for index, ended in zip(job.result.filters, job.result.ends, strict=True):
            if ended == end:
                filters.setdefault(job.result.name, []).append(
                    compared.label(Unit(job.network, job.result.layer, index))
                )
    return filters
