"""Recommendations: (`Comparison`, its tested effects) -> which setting to take, and how sure that is."""

import math
from collections.abc import Sequence
from dataclasses import replace

from deepvis.metrics import signed_rank
from deepvis.metrics.signed_rank import Effect
from deepvis.report import between_parts, effects, front
from deepvis.report.comparison import Comparison
from deepvis.report.effects import TestedEffect
from deepvis.report.factors import Level
from deepvis.report.scales import PAIRED

UP = {"score": "a high score", "robustness": "robust images"}
NOT_TAKEN = ("model", "sweep")  # factors of which no reader takes a level
NOTHING = "Nothing here says which setting to take: no difference in score or robustness is established."


def overall(compared: Comparison, tests: Sequence[TestedEffect]) -> str:
    """The setting to take, of most readers; by layer where layers need different ones."""
    if len(compared.settings) < 2:
        return "One setting: there is nothing to choose from."
    if not any(test.effect.n >= signed_rank.FEW for test in tests if test.measure in PAIRED):
        most = max((test.effect.n for test in tests if test.measure in PAIRED), default=0)
        return (
            f"{most} filters can be compared, too few to say which setting to take: {signed_rank.FEW} are "
            "needed. The medians are no more than a hint."
        )
    parts = list(dict.fromkeys(test.part for test in tests if test.kind != between_parts.KIND))
    said = {part: _of_part(compared, [test for test in tests if test.part == part]) for part in parts}
    if len(set(said.values())) == 1:
        return said[parts[0]]
    return " ".join(f"{part}: {text}" for part, text in said.items())


def _of_part(compared: Comparison, tests: Sequence[TestedEffect]) -> str:
    mains = [test for test in tests if test.kind == "main effect" and test.contrast.factor not in NOT_TAKEN]
    if not mains and any(test.kind == "main effect" for test in tests):
        return "Networks and sweeps are compared below; none is recommended."
    if not mains:
        return _of_settings(compared, tests)
    taken, tradeoffs, open_factors = [], [], []
    for factor in dict.fromkeys(test.contrast.factor for test in mains):
        own = [test for test in mains if test.contrast.factor == factor]
        best = {measure: _established([t for t in own if t.measure == measure]) for measure in PAIRED}
        levels = {measure: level for measure, level in best.items() if level is not None}
        if len(set(levels.values())) > 1:
            choices = " or ".join(f"{level} for {UP[measure]}" for measure, level in levels.items())
            tradeoffs.append(f"{factor} is a trade-off: {choices}.")
        elif levels:
            taken.append(f"{factor}={next(iter(levels.values()))} ({' and '.join(levels)})")
        else:
            open_factors.append(factor)
    if not taken and not tradeoffs:
        return NOTHING
    text = [f"For most readers: {', '.join(taken)}."] if taken else []
    text += tradeoffs
    if open_factors:
        text.append(f"No difference is established between the levels of {', '.join(open_factors)}.")
    if _interact(tests):
        text.append("Factors interact in the score, so look at the settings one by one, too.")
    return " ".join(text)


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


def _of_settings(compared: Comparison, tests: Sequence[TestedEffect]) -> str:
    """Of settings that are no grid."""
    better, _ = front.pairs(tests, len(compared.settings))
    if not better.any():
        return NOTHING
    kinds = front.of(better)
    open_settings = [i for i, kind in enumerate(kinds) if kind != front.DOMINATED]
    wins = [int(better[:, i].sum()) for i in open_settings]
    best = open_settings[wins.index(max(wins))]
    return f"For most readers: {compared.name(best)}. {_wins(better, best)}."


def _wins(better, setting: int) -> str:
    others = better.shape[1] - 1
    words = [f"in {measure} than {int(better[i, setting].sum())}" for i, measure in enumerate(PAIRED)]
    return f"It is established better {' and '.join(words)} of {others} others"


def by_measure(compared: Comparison, tests: Sequence[TestedEffect]) -> list[str]:
    """The setting with the highest median of score and of robustness, and how sure that is."""
    if len(compared.settings) < 2 or len(compared.parts) > 1:
        return []
    better, tested = front.pairs(tests, len(compared.settings))
    lines = []
    for i, measure in enumerate(PAIRED):
        if measure not in compared.values:
            continue
        medians = compared.medians(measure)
        finite = [k for k in range(len(medians)) if math.isfinite(medians[k])]
        if not finite:
            continue
        best = max(finite, key=lambda k: medians[k])
        beaten, others = int(better[i, best].sum()), int(tested[i, best].sum())
        sure = (
            f"established above {beaten or 'none'} of {others} others"
            if others
            else "not tested against others"
        )
        lines.append(f"Highest median {measure}: {compared.name(best)} ({medians[best]:.3g}), {sure}.")
    return lines


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
