"""The Pareto front under uncertainty: pair tests -> which settings are on it, which are not, which may be.

A setting is dominated where another is established better in one measure and is not worse in the other, by
the unadjusted test of the two: a loss that is not established among all tests of a page is a loss all the
same. It is Pareto-optimal where it is established better than each other setting in one of the measures. The
rest is not told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.metrics import signed_rank
from deepvis.report import between_parts, effects
from deepvis.report.effects import TestedEffect
from deepvis.report.scales import PAIRED

OPTIMAL, DOMINATED, TIED = "Pareto-optimal", "dominated", "not told apart"
MEANING = {
    OPTIMAL: "Pareto-optimal: established better than each other setting in one of the two.",
    DOMINATED: "Dominated: another setting is established better in one and, tested, not worse in the other.",
    TIED: "Not told apart: neither is established.",
}


@dataclass(frozen=True)
class Pairs:
    """What is known of each setting against each other one, ``[measures, settings, settings]``."""

    better: np.ndarray  # the first is established to be better
    worse: np.ndarray  # the first may be worse: by the test of the two alone it is, or they were not tested
    tested: np.ndarray


def pairs(tests: Sequence[TestedEffect], settings: int) -> Pairs:
    """What the tests say of every two settings."""
    better, worse, tested = np.zeros((3, len(PAIRED), settings, settings), bool)
    for test in tests:
        if test.kind == between_parts.KIND:
            continue
        a, b, *rest = test.contrast.settings[0]
        if rest or len(test.contrast.settings) > 1 or test.measure not in PAIRED:
            continue
        measure = PAIRED.index(test.measure)
        is_tested = test.effect.n >= signed_rank.FEW
        tested[measure, [a, b], [b, a]] |= is_tested
        higher, lower = (a, b) if test.effect.estimate > 0 else (b, a)
        better[measure, higher, lower] |= effects.is_established(test)
        worse[measure, lower, higher] |= not is_tested or test.effect.p < signed_rank.LEVEL
        worse[measure, higher, lower] |= not is_tested
    return Pairs(better, worse, tested)


def of(known: Pairs) -> list[str]:
    """`OPTIMAL`, `DOMINATED` or `TIED` for each setting."""
    better, settings = known.better, known.better.shape[1]
    beats = np.zeros((settings, settings), bool)
    for one, other in ((0, 1), (1, 0)):
        beats |= better[one] & ~known.worse[other]
    reach = better.any(axis=0) | np.eye(settings, dtype=bool)
    found = []
    for setting in range(settings):
        if beats[:, setting].any():
            found.append(DOMINATED)
        else:
            found.append(OPTIMAL if reach[setting].all() else TIED)
    return found
