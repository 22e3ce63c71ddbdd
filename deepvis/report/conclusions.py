"""Verdicts: (`Comparison`, its findings) -> sentences, whose numbers are those of the findings."""

from collections.abc import Mapping, Sequence

import numpy as np

from deepvis.metrics import statistics
from deepvis.report.comparison import Comparison
from deepvis.report.effects import Finding

ALPHA = 0.05  # of an adjusted p
RESISTING = ("stuck", "diverged")  # ends that are told by name
BESIDE = {  # what is said beside the height, of more and of less
    "robustness": (
        "their images hold up better under small changes",
        "their images hold up worse under small changes",
    ),
    "high_frequency": (
        "more of their power is of high frequency",
        "less of their power is of high frequency",
    ),
}
NONE = "no difference is established"
FLOORLESS = (
    "The noise floor was not measured: what one rounding of the start alone would do to these filters is not "
    "known. With twins=1 it is."
)


def sentences(compared: Comparison, found: Sequence[Finding]) -> list[str]:
    """What a reader may take home, most important first.

    Args:
      compared: what was compared.
      found: in it.
    """
    told = [f"With {setting}, {_filters(own)}" for setting, own in _contrasts(compared, found) if own]
    told += _front(compared)
    told += [
        f"{each.comparison.partition(':')[0].replace(' x ', ' and ')} do not simply add up in {each.measure} "
        f"({each.comparison}, median {interval(each)}): see each level by itself."
        for measure in ("score", *BESIDE)
        for each in _strongest(found, measure)
    ]
    return [*told, *_floor(found)]


def _contrasts(compared: Comparison, found: Sequence[Finding]) -> list[tuple[str, dict[str, Finding]]]:
    """Of each factor of a grid its last level and its first; else the highest and the lowest setting."""
    if compared.is_grid():
        asked = [
            (
                "main effect",
                f"{factor}: {levels[-1]} - {levels[0]}",
                f"{factor}={levels[-1]} instead of {levels[0]}",
            )
            for factor, levels in compared.levels.items()
        ]
    else:
        heights = compared.medians("score")
        if not np.isfinite(heights).any():
            return []
        first, last = sorted((int(np.nanargmin(heights)), int(np.nanargmax(heights))))
        names = compared.name(last), compared.name(first)
        asked = [("pair", " - ".join(names), " instead of ".join(names))]
    return [
        (said, {each.measure: each for each in found if (each.kind, each.comparison) == (kind, name)})
        for kind, name, said in asked
    ]


def _filters(own: Mapping[str, Finding]) -> str:
    """Height, then what the images keep under small changes, then their noise."""
    effect = own["score"].effect
    if effect.n == 0:
        return "no filter can be compared."
    text = f"{round(effect.up * effect.n)} of {effect.n} filters end higher"
    if own["score"].floor > 0:
        text += f", and {round(effect.moved * effect.n)} have moved farther than the noise floor"
    if effect.n < statistics.FEW:
        return f"{text}; {effect.n} are too few for an interval or a test."
    text += f" (score, median {interval(own['score'])})"
    if not own["score"].p < ALPHA:
        text += f": {NONE}"
    for measure, (more, less) in BESIDE.items():
        if measure in own:
            each = own[measure]
            said = NONE if not each.p < ALPHA else more if each.effect.median > 0 else less
            few = f", {each.effect.n} filters" if each.effect.n != effect.n else ""
            text += f"; {said} ({measure}{few}, median {interval(each)})"
    return f"{text}."


def interval(finding: Finding) -> str:
    """``+12 %, 95 % interval 7 to 18 %, p < 0.001``, in the finding's unit."""
    effect, unit = finding.effect, _unit(finding)
    p = "p < 0.001" if finding.p < 0.001 else f"p {finding.p:.2g}"
    return f"{effect.median:+.3g}{unit}, 95 % interval {effect.low:.3g} to {effect.high:.3g}{unit}, {p}"


def _unit(finding: Finding) -> str:
    return f" {finding.unit}" if finding.unit else ""


def _front(compared: Comparison) -> list[str]:
    """Which settings no other one beats in both score and robustness, by their medians."""
    if len(compared.settings) < 3 or "robustness" not in compared.values:
        return []
    medians = [compared.medians(name) for name in ("score", "robustness")]
    best = np.flatnonzero(statistics.front(np.array(medians).T))
    if not len(best):
        return []
    shown = [f"{compared.name(i)} ({medians[0][i]:.3g}, {medians[1][i]:.3g})" for i in best[:6]]
    more = f" and {len(best) - 6} more" if len(best) > 6 else ""
    return [f"Beaten by none in both median score and robustness: {', '.join(shown)}{more}."]


def _strongest(found: Sequence[Finding], measure: str) -> list[Finding]:
    """Of a measure's interactions the one with the largest median among those that are called, if any is."""
    called = [f for f in found if f.kind == "interaction" and f.measure == measure and f.p < ALPHA]
    return sorted(called, key=lambda each: -abs(each.effect.median))[:1]


def _floor(found: Sequence[Finding]) -> list[str]:
    score = next((each for each in found if each.measure == "score"), None)
    if score is None:
        return []
    if np.isnan(score.floor):
        return [FLOORLESS]
    if score.floor == 0:
        return ["The noise floor is 0: here a rounding of the start does nothing. Deeper networks differ."]
    amount = f"{score.floor:.3g}{_unit(score)}"
    return [f"The noise floor: one rounding of the start moves a filter's score by {amount} in the median."]


def resisting(compared: Comparison, end: str) -> dict[str, list[str]]:
    """The filters that ended so, ``stuck`` or ``diverged``, by the name of their job."""
    found: dict[str, list[str]] = {}
    for member in compared.members:
        for index, own in zip(member.result.filters, member.result.ends, strict=True):
            if own == end:
                label = compared.label((member.result.layer, index))
                found.setdefault(member.result.name, []).append(label)
    return found
