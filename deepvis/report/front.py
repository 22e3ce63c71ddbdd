"""The Pareto front under uncertainty: pair tests -> which settings are on it, which are not, which may be.

A setting is dominated where another is established better in one measure and is not established worse in the
other. It is Pareto-optimal where it is established better than each other setting in one of the measures. The
rest is not told apart.
"""

from collections.abc import Sequence

import numpy as np

from deepvis.report import effects
from deepvis.report.effects import PAIRED, TestedEffect

OPTIMAL, DOMINATED, TIED = "Pareto-optimal", "dominated", "not told apart"


def better(tests: Sequence[TestedEffect], settings: int) -> np.ndarray:
    """Whether a setting is established to be better than another: ``[measures, settings, settings]``."""
    found = np.zeros((len(PAIRED), settings, settings), bool)
    for test in tests:
        a, b, *rest = test.contrast.settings[0]
        if test.measure in PAIRED and not rest and len(test.contrast.settings) == 1:
            if effects.is_established(test):
                higher, lower = (a, b) if test.effect.estimate > 0 else (b, a)
                found[PAIRED.index(test.measure), higher, lower] = True
    return found


def of(better: np.ndarray) -> list[str]:
    """`OPTIMAL`, `DOMINATED` or `TIED` for each setting."""
    settings = better.shape[1]
    beats = np.zeros((settings, settings), bool)
    for one, other in (better, better[::-1]):
        beats |= one & ~other.T
    is_optimal = (better.any(axis=0) | np.eye(settings, dtype=bool)).all(axis=1)
    found = []
    for setting in range(settings):
        if beats[:, setting].any():
            found.append(DOMINATED)
        else:
            found.append(OPTIMAL if is_optimal[setting] else TIED)
    return found
