"""Conclusions: (`Comparison`, its tested effects) -> what the page says first; its numbers are the effects'.

A difference is said where its interval and its p over the whole page agree; else it is not established.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.metrics import signed_rank
from deepvis.report import between_parts, caveats, effects, front, recommendations
from deepvis.report.comparison import Comparison
from deepvis.report.effects import TestedEffect
from deepvis.report.gaps import listed
from deepvis.report.scales import SAID

WORDS = {"score": "score", "robustness": "robustness", "high_frequency": "share of high-frequency power"}


@dataclass(frozen=True)
class Interval:
    """An effect as it is drawn."""

    estimate: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Finding:
    """A sentence, and the effect in it."""

    text: str
    effect: Interval | None
    is_established: bool


@dataclass(frozen=True)
class Conclusions:
    """What the page says, in its order."""

    overall: str  # which setting to take
    by_measure: Sequence[str]
    findings: Sequence[Finding]  # what is established comes first
    notes: Sequence[str]
    front: Sequence[tuple[int, str]]  # settings, and what they are in score and robustness


def of(compared: Comparison, tests: Sequence[TestedEffect]) -> Conclusions:
    """The conclusions of a comparison."""
    findings = [
        finding
        for title, part in compared.each_part()
        for finding in _findings(part, [t for t in tests if t.part == title and t.kind != between_parts.KIND])
    ]
    known = front.pairs(tests, len(compared.settings))
    is_told = len(compared.parts) == 1 and known.tested.any(axis=(1, 2)).all()
    return Conclusions(
        overall=recommendations.overall(compared, tests),
        by_measure=recommendations.by_measure(compared, tests),
        findings=sorted([*findings, *_between(tests)], key=lambda finding: not finding.is_established),
        notes=[*caveats.notes(compared, tests)],
        front=list(enumerate(front.of(known))) if is_told else [],
    )


def sentences(found: Conclusions) -> list[str]:
    """All of it as lines of text."""
    return [found.overall, *found.by_measure, *(finding.text for finding in found.findings), *found.notes]


def _findings(part: Comparison, tests: Sequence[TestedEffect]) -> Iterator[Finding]:
    """Of one part."""
    count, has_sizes = len(part.units), caveats.has_sizes(part)
    kind = "main effect" if any(test.kind == "main effect" for test in tests) else "pair"
    for measure in SAID:
        own = [*effects.of_kind(tests, kind, measure)]
        if measure != SAID[0] and not any(test.effect.n >= signed_rank.FEW for test in own):
            continue  # that nothing is tested is said of the score
        for factor in dict.fromkeys(test.contrast.factor for test in own):
            if measure == "high_frequency" and has_sizes and ("size" not in part.levels or factor == "size"):
                continue  # it depends on the size in pixels
            family = [test for test in own if test.contrast.factor == factor]
            yield _of_two(family[0], count) if len(family) == 1 else _of_several(family)
    for measure in SAID:
        own = [*effects.of_kind(tests, "interaction", measure)]
        for factors in dict.fromkeys(test.contrast.factor for test in own):
            yield from _interaction([test for test in own if test.contrast.factor == factors])


def _of_two(test: TestedEffect, count: int) -> Finding:
    """A factor of two levels, or two settings, of so many filters."""
    subject = f"{_prefix(test)}With {_named(test, 0)} instead of {_named(test, 1, bare=True)}"
    if test.effect.n == 0:
        return Finding(f"{subject}: no filter has a {WORDS[test.measure]} in both.", None, False)
    filters = "filters" if test.effect.n == count else "filters with a value in both"
    if test.effect.up == test.effect.down == 0:
        text = f"{subject}: {WORDS[test.measure]} is the same for {_all(test.effect.n, filters)}."
        return Finding(text, None, False)
    if test.effect.n < signed_rank.FEW:
        text = f"{subject}, {_direction(test, filters)} in {WORDS[test.measure]}; {_too_few(test.effect.n)}."
        return Finding(text, None, False)
    if not effects.is_established(test):
        return Finding(
            f"{subject}: no difference in {WORDS[test.measure]} is established ({_doubt(test)}).",
            _drawn(test),
            False,
        )
    text = f"{subject}, {_direction(test, filters)}: {WORDS[test.measure]} {interval(test)}."
    return Finding(text, _drawn(test), True)


def _of_several(family: Sequence[TestedEffect]) -> Finding:
    """A factor of three levels or more: its best level, and the levels below it."""
    measure, first = WORDS[family[0].measure], family[0]
    subject = (
        f"{_prefix(first)}{first.contrast.factor}" if first.contrast.factor else f"{_prefix(first)}Settings"
    )
    testable = [test for test in family if test.effect.n >= signed_rank.FEW]
    if not testable:
        few = _too_few(max(test.effect.n for test in family))
        return Finding(f"{subject}: differences in {measure} are not tested; {few}.", None, False)
    if all(test.effect.up == test.effect.down == 0 for test in family):
        return Finding(f"{subject}: {measure} is the same with all of {_count(family)}.", None, False)
    if not any(map(effects.is_established, testable)):
        strongest = min(testable, key=lambda test: (test.said, -abs(test.effect.estimate)))
        text = f"{subject}: no difference in {measure} is established between any two of {_count(family)}"
        return Finding(
            f"{text} (largest: {_against(strongest)}, {_doubt(strongest)}).", _drawn(strongest), False
        )
    best = recommendations.highest(testable)
    names = {
        level: recommendations.shown(test, level) for test in family for level in test.contrast.levels[:2]
    }
    below = [
        test for test in testable if effects.is_established(test) and recommendations.winner(test) == best
    ]
    if not below:  # the highest is not established above any, others are
        below = sorted(filter(effects.is_established, testable), key=lambda test: test.said)[:1]
        best = recommendations.winner(below[0])
    said = "; ".join(
        f"above {names[recommendations.loser(test)]} by {interval(recommendations.turned(test))}"
        for test in below[:3]
    )
    more = f"; and above {len(below) - 3} more" if len(below) > 3 else ""
    tied = [
        names[recommendations.other(test, best)]
        for test in testable
        if best in test.contrast.levels[:2] and not effects.is_established(test)
    ]
    rest = f"; not told apart from {listed(tied)}" if tied else ""
    beside = {recommendations.other(test, best) for test in family if best in test.contrast.levels[:2]}
    apart = [name for level, name in names.items() if level not in {best, *beside}]
    if apart:
        rest += f"; not compared with {listed(apart)}, for no settings differ in that alone"
    if untested := len(family) - len(testable):
        rest += f"; {untested} of {len(family)} comparisons have too few filters for a test"
    widest = recommendations.turned(max(below, key=lambda test: abs(test.effect.estimate)))
    return Finding(
        f"{subject}: {measure} is {'higher' if apart else 'highest'} with {names[best]}, {said}{more}{rest}.",
        _drawn(widest),
        True,
    )


def _interaction(tests: Sequence[TestedEffect]) -> Iterator[Finding]:
    """The strongest interaction of two factors that is established in per cent as well as in units."""
    by_name: dict[str, list[TestedEffect]] = {}
    for test in tests:
        by_name.setdefault(test.contrast.name, []).append(test)
    found = [
        each
        for each in by_name.values()
        if all(map(effects.is_established, each)) and len({test.effect.estimate > 0 for test in each}) == 1
    ]
    if found:
        strongest = min(found, key=lambda each: max(test.said for test in each))
        test, scale = strongest[0], "in per cent as well as in units" if len(strongest) > 1 else "in units"
        pair = test.contrast.factor.replace(" x ", " and ")
        one, other = test.contrast.factor.split(" x ")
        high, low, right, left = test.contrast.levels
        than = "relative to that" if test.unit else "minus that"
        text = (
            f"{_prefix(test)}{pair} interact in {WORDS[test.measure]}, {scale}. The effect of {one}={high} "
            f"instead of {low} with {other}={right}, {than} with {other}={left}: {interval(test)}."
        )
        yield Finding(text, _drawn(test), True)


def _between(tests: Sequence[TestedEffect]) -> Iterator[Finding]:
    """What a factor does to one layer, against what it does to another; the strongest of each measure."""
    for measure in SAID:
        own = effects.of_kind(tests, between_parts.KIND, measure)
        found = [test for test in own if test.contrast.factor and effects.is_established(test)]
        for test in sorted(found, key=lambda test: (test.said, -abs(test.effect.estimate)))[:1]:
            pair, _, comparison = test.contrast.name.partition(": ")
            one, other = pair.split(" against ")
            factor, _, levels = comparison.partition(": ")
            change = f"{factor}={levels.replace(' against ', ' instead of ')}"
            what, than = ("ratio", "relative to") if test.unit else ("difference", "minus")
            text = (
                f"With {change} the {WORDS[measure]} changes differently in {one} and in {other}: the {what} "
                f"of the two values in {one}, {than} that in {other}, {interval(test)}."
            )
            yield Finding(text, _drawn(test), True)


def _too_few(n: int) -> str:
    what = "1 filter is" if n == 1 else f"{n} filters are"
    return f"{what} too few for an interval or a test: {signed_rank.FEW} are needed"


def _all(n: int, filters: str) -> str:
    return f"all {n} {filters}" if n > 1 else filters.replace("filters", "the one filter")


def _prefix(test: TestedEffect) -> str:
    return f"{test.part}: " if test.part else ""


def _named(test: TestedEffect, place: int, bare: bool = False) -> str:
    """``reg.decay=0.9``, or the name of a setting."""
    if test.kind == "pair":
        return test.contrast.name.split(" against ")[place]
    level = test.contrast.levels[place]
    return str(level) if bare else f"{test.contrast.factor}={level}"


def _against(test: TestedEffect) -> str:
    return test.contrast.name.partition(": ")[2] or test.contrast.name


def _count(family: Sequence[TestedEffect]) -> str:
    what = "levels" if family[0].contrast.factor else "settings"
    return f"{len({level for test in family for level in test.contrast.levels[:2]})} {what}"


def _direction(test: TestedEffect, filters: str) -> str:
    """Which way the filters went, and how many of them did."""
    effect, n = test.effect, test.effect.n
    is_up = effect.estimate > 0
    way, share, others = ("higher", effect.up, effect.down) if is_up else ("lower", effect.down, effect.up)
    count = round(share * n)
    which = _all(n, filters) if count == n else f"{count} of {n} {filters}"
    text = f"{which} {'ends' if n == 1 else 'end'} {way}"
    if share < others:
        text += f", by more than the others {'fall' if is_up else 'rise'}"
    if math.isfinite(effect.changed):
        text += f", {round(effect.changed * n)} beyond the noise floor"
    return text


def interval(test: TestedEffect) -> str:
    """``+12 %, 95 % interval 7 to 18 %, p < 0.001``, in the effect's unit."""
    p = "p < 0.001" if test.said < 0.001 else f"p {test.said:.2g}"
    return f"{_amount(test)}, {p}"


def _amount(test: TestedEffect) -> str:
    effect, unit = test.effect, f" {test.unit}" if test.unit else ""
    # A share of a value that is at 0 or below has no bound.
    amount = f"{effect.estimate:+.3g}{unit}" if math.isfinite(effect.estimate) else "up from 0"
    if math.isfinite(effect.high):
        return f"{amount}, 95 % interval {effect.low:.3g} to {effect.high:.3g}{unit}"
    return f"{amount}, 95 % interval above {effect.low:.3g}{unit}" if math.isfinite(effect.low) else amount


def _doubt(test: TestedEffect) -> str:
    """The interval where it says the same; else the p that decides."""
    if test.effect.low <= 0 <= test.effect.high:
        return _amount(test)
    return f"p {test.said:.2g} over all that this page says"


def _drawn(test: TestedEffect) -> Interval | None:
    effect = test.effect
    if not np.isfinite([effect.estimate, effect.low, effect.high]).all():
        return None
    return Interval(effect.estimate, effect.low, effect.high, test.unit)
