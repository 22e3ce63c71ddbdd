"""Recommendations: (`Comparison`, its tested effects) -> which setting to take, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepvis.metrics import signed_rank
from deepvis.metrics.signed_rank import Effect
from deepvis.report import contrasts, effects, endings, front
from deepvis.report.comparison import Comparison
from deepvis.report.effects import TestedEffect
from deepvis.report.factors import Level
from deepvis.report.gaps import listed
from deepvis.report.scales import PAIRED

UP = {"score": "a high score", "robustness": "robust images"}
REASON = {"score": "higher score", "robustness": "more robust images"}
NOT_TAKEN = ("model", "sweep")  # factors of which no reader takes a level
NOTHING = "Nothing here says which setting to take: no difference in score or robustness is established."


def overall(compared: Comparison, tests: Sequence[TestedEffect]) -> str:
    """The setting to take, of most readers; by layer where layers need different ones."""
    if len(compared.settings) < 2:
        said = "One setting: there is nothing to choose from."
    else:
        own = [[test for test in tests if test.part == title] for title, _ in compared.each_part()]
        by_part = {
            title: _of_part(part, each) for (title, part), each in zip(compared.each_part(), own, strict=True)
        }
        is_one = len(set(by_part.values())) == 1
        said = (
            next(iter(by_part.values()))
            if is_one
            else " ".join(f"{part}: {text}" for part, text in by_part.items())
        )
    return " ".join(filter(None, [said, endings.diverged(compared)]))


def _of_part(own: Comparison, tests: Sequence[TestedEffect]) -> str:
    if len(own.settings) < 2:
        return "One setting: there is nothing to choose from."
    paired = [test for test in tests if test.measure in PAIRED]
    if not paired:
        return (
            f"No two of the {len(own.settings)} settings are tested against each other, for they are no grid "
            f"and more than {contrasts.PAIRS}: none is recommended. The medians are no more than a hint."
        )
    if not any(test.effect.n >= signed_rank.FEW for test in paired):
        most = max(test.effect.n for test in paired)
        can = "No filter" if most == 0 else "1 filter" if most == 1 else f"{most} filters"
        return (
            f"{can} can be compared, too few to say which setting to take: {signed_rank.FEW} are "
            "needed. The medians are no more than a hint."
        )
    mains = [t for t in tests if t.kind == "main effect" and t.contrast.factor not in NOT_TAKEN]
    is_fixed = any(factor in NOT_TAKEN for factor in own.levels)
    if is_fixed and not mains:
        return "Networks and sweeps are compared below; none is recommended."
    # Where combinations are missing, the best level of each factor may be a setting that nobody ran.
    has_pairs = any(test.kind == "pair" for test in tests)
    is_by_settings = has_pairs and not own.is_grid() and not is_fixed
    return _of_settings(own, tests) if is_by_settings else _of_factors(own, tests, mains)


def _of_factors(own: Comparison, tests: Sequence[TestedEffect], mains: Sequence[TestedEffect]) -> str:
    """Of each factor its best level."""
    taken: dict[str, Level] = {}
    reasons, tradeoffs, open_factors = [], [], []
    for factor in dict.fromkeys(test.contrast.factor for test in mains):
        of = [test for test in mains if test.contrast.factor == factor]
        best = {measure: _established([t for t in of if t.measure == measure]) for measure in PAIRED}
        levels = {measure: level for measure, level in best.items() if level is not None}
        if len(set(levels.values())) > 1:
            between = _between(levels, of)
            tradeoffs.append(_trade_off(factor, levels, between))
            if choice := _smaller_loss(between):
                taken[factor], why = choice
                reasons.append(f"{factor}={taken[factor]} ({why})")
        elif levels:
            taken[factor] = next(iter(levels.values()))
            why = " and ".join(REASON[measure] for measure in levels)
            reasons.append(f"{factor}={taken[factor]} ({why})")
        else:
            open_factors.append(factor)
    if not taken and not tradeoffs:
        return NOTHING
    text = [f"For most readers: {', '.join(reasons)}."] if taken else []
    places = [(list(own.levels).index(factor), level) for factor, level in taken.items()]
    if not any(all(setting[k] == level for k, level in places) for setting in own.settings):
        text.append("Together they were not run.")
    text += tradeoffs
    for factor, tested in contrasts.spaced(own.levels).items():
        if factor not in open_factors and len(tested) < (count := len(own.levels[factor])):
            text.append(f"Of the {count} levels of {factor} {len(tested)} were tested.")
    if open_factors:
        text.append(f"No difference is established between the levels of {listed(open_factors)}.")
    if _interact(tests):
        text.append("Factors interact in the score, so look at the settings one by one, too.")
    return " ".join(text)


def _between(levels: dict[str, Level], tests: Sequence[TestedEffect]) -> list[TestedEffect]:
    """The tests of the level that is best in one measure against the one that is best in the other."""
    return [
        test
        for test in tests
        if test.measure in PAIRED
        and {*test.contrast.levels} == {*levels.values()}
        and test.effect.n >= signed_rank.FEW
    ]


def _trade_off(factor: str, levels: dict[str, Level], between: Sequence[TestedEffect]) -> str:
    """``reg.blur is a trade-off: 3 for a high score or 5 for robust images (5 instead of 3: ...)``."""
    choices = " or ".join(f"{level} for {UP[measure]}" for measure, level in levels.items())
    if not between:
        return f"{factor} is a trade-off: {choices}."
    first, second = between[0].contrast.levels
    costs = ", ".join(
        f"{test.measure} {test.effect.estimate:+.3g}{f' {test.unit}' if test.unit else ''}"
        for test in between
    )
    return f"{factor} is a trade-off: {choices} ({first} instead of {second}: {costs})."


def _smaller_loss(between: Sequence[TestedEffect]) -> tuple[Level, str] | None:
    """Of two levels the one that gives up less than half of what the other does, in per cent, and why."""
    is_sure = all(test.unit == "%" and effects.is_established(test) for test in between)
    if len(between) != len(PAIRED) or not is_sure:
        return None
    small, large = sorted(between, key=_loss)
    if 2 * _loss(small) >= _loss(large):
        return None
    why = f"gives up {_loss(small):.2g} % of {small.measure}, not {_loss(large):.3g} % of {large.measure}"
    return winner(large), why


def _loss(test: TestedEffect) -> float:
    """What of its measure the other level than the winner gives up, per cent."""
    return -_turned(abs(test.effect.estimate), "%") if test.effect.estimate > 0 else -test.effect.estimate


def _established(tests: Sequence[TestedEffect]) -> Level | None:
    """The highest level of a factor, where it is established to be above another one."""
    testable = [test for test in tests if test.effect.n >= signed_rank.FEW]
    if not testable:
        return None
    best = highest(testable)
    return best if any(effects.is_established(test) and winner(test) == best for test in testable) else None


def _interact(tests: Sequence[TestedEffect]) -> bool:
    scales: dict[str, list[bool]] = {}
    for test in effects.of_kind(tests, "interaction", "score"):
        scales.setdefault(test.contrast.name, []).append(effects.is_established(test))
    return any(all(each) for each in scales.values())


def _of_settings(own: Comparison, tests: Sequence[TestedEffect]) -> str:
    """Of settings that are no grid."""
    known = front.pairs(tests, len(own.settings))
    better = known.better
    if not better.any():
        return NOTHING
    kinds = front.of(known)
    open_settings = [i for i, kind in enumerate(kinds) if kind != front.DOMINATED]
    wins = [int(better[:, i].sum()) for i in open_settings]
    best = open_settings[wins.index(max(wins))]
    others, said = len(own.settings) - 1, []
    for i, measure in enumerate(PAIRED):
        for word, count in (("above", better[i, best].sum()), ("below", better[i, :, best].sum())):
            said += [f"{measure} {word} {_of(int(count), others)}"] if count else []
    return f"For most readers: {own.name(best)}. Established: {'; '.join(said)}."


def by_measure(compared: Comparison, tests: Sequence[TestedEffect]) -> list[str]:
    """The settings with the highest median of score and of robustness, and how sure that is."""
    if len(compared.settings) < 2 or len(compared.parts) > 1:
        return []
    known = front.pairs(tests, len(compared.settings))
    better, tested = known.better, known.tested
    lines = []
    for i, measure in enumerate(PAIRED):
        medians = compared.medians(measure) if measure in compared.values else np.zeros(0)
        if not np.isfinite(medians).any():
            continue
        best = [int(k) for k in np.flatnonzero(medians == np.nanmax(medians))]
        value = f"{medians[best[0]]:.3g}"
        if len(best) > 1:
            names = listed([compared.name(k) for k in best])
            same = (
                f"{len(best)} settings ({names})" if len(best) < len(medians) else f"all {len(best)} settings"
            )
            lines.append(f"Highest median {measure}: {value}, the same in {same}.")
            continue
        beaten, others = int(better[i, best[0]].sum()), int(tested[i, best[0]].sum())
        sure = f"established above {_of(beaten, others)}" if others else "not tested against others"
        if 0 < others < len(medians) - 1:
            sure += f" that it was tested against, of {len(medians) - 1}"
        lines.append(f"Highest median {measure}: {compared.name(best[0])} ({value}), {sure}.")
    return lines


def _of(count: int, others: int) -> str:
    """``2 of 3 others``."""
    if others == 1:
        return "the other" if count else "no other"
    if others == 2 == count:
        return "both others"
    return f"all {others} others" if count == others else f"{count or 'none'} of {others} others"


def winner(test: TestedEffect) -> Level:
    """The level, or setting, that ends higher."""
    return test.contrast.levels[0 if test.effect.estimate > 0 else 1]


def loser(test: TestedEffect) -> Level:
    return test.contrast.levels[1 if test.effect.estimate > 0 else 0]


def other(test: TestedEffect, level: Level) -> Level:
    return test.contrast.levels[1] if test.contrast.levels[0] == level else test.contrast.levels[0]


def highest(tests: Sequence[TestedEffect]) -> Level:
    """The level that is the higher one in most comparisons; of several the one with the largest effects."""
    levels = list(dict.fromkeys(level for test in tests for level in test.contrast.levels[:2]))

    def rank(level: Level) -> tuple[int, float]:
        won = [
            abs(test.effect.estimate) for test in tests if test.effect.estimate != 0 and winner(test) == level
        ]
        return len(won), sum(won)

    return max(levels, key=rank)


def shown(test: TestedEffect, level: Level) -> str:
    """A level as it is written; of a pair the name of the setting."""
    if test.kind != "pair":
        return str(level)
    first, second = test.contrast.name.split(" against ")
    return first if test.contrast.levels[0] == level else second


def turned(test: TestedEffect) -> TestedEffect:
    """The comparison with the higher one first."""
    if test.effect.estimate >= 0:
        return test
    effect = test.effect
    estimate, low, high = (_turned(value, test.unit) for value in (effect.estimate, effect.high, effect.low))
    levels = (test.contrast.levels[1], test.contrast.levels[0])
    contrast = replace(test.contrast, levels=levels)
    own = Effect(effect.n, estimate, low, high, effect.down, effect.up, effect.changed, effect.p)
    return replace(test, effect=own, contrast=contrast)


def _turned(value: float, unit: str) -> float:
    """The opposite of a change: of -20 % it is +25 %."""
    if not unit:
        return -value
    return math.inf if value <= -100 else 100 * (1 / (1 + value / 100) - 1)
