"""The Pareto front under uncertainty: pair tests -> which settings are on it, which are not, which may be.

A setting is dominated where another is established better in one measure and is not established worse in the
other. It is Pareto-optimal where it is established better than each other setting in one of the measures. The
rest is not told apart.
"""

from collections.abc import Sequence

import numpy as np

from deepvis.metrics import signed_rank
from deepvis.report import between_parts, effects
from deepvis.report.effects import TestedEffect
from deepvis.report.scales import PAIRED

OPTIMAL, DOMINATED, TIED = "Pareto-optimal", "dominated", "not told apart"
MEANING = {
    OPTIMAL: "Pareto-optimal: established better than each other setting in one of the two.",
    DOMINATED: "Dominated: another setting is established better in one and not worse in the other.",
    TIED: "Not told apart: neither is established.",
}


def pairs(tests: Sequence[TestedEffect], settings: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether a setting is established to be better than another, and whether they were tested.

    Both are ``[measures, settings, settings]``.
    """
    found, tested = np.zeros((2, len(PAIRED), settings, settings), bool)
    for test in tests:
        if test.kind == between_parts.KIND:
            continue
        a, b, *rest = test.contrast.settings[0]
        if rest or len(test.contrast.settings) > 1 or test.measure not in PAIRED:
            continue
        measure = PAIRED.index(test.measure)
        tested[measure, [a, b], [b, a]] |= test.effect.n >= signed_rank.FEW
        if effects.is_established(test):
            higher, lower = (a, b) if test.effect.estimate > 0 else (b, a)
            found[measure, higher, lower] = True
    return found, tested


def of(better: np.ndarray) -> list[str]:
    """`OPTIMAL`, `DOMINATED` or `TIED` for each setting."""
    settings = better.shape[1]
    beats = np.zeros((settings, settings), bool)
    for one, other in ((0, 1), (1, 0)):
        beats |= better[one] & ~better[other].T
    reach = better.any(axis=0) | np.eye(settings, dtype=bool)
    found = []
    for setting in range(settings):
        if beats[:, setting].any():
            found.append(DOMINATED)
        else:
            found.append(OPTIMAL if reach[setting].all() else TIED)
    return found
