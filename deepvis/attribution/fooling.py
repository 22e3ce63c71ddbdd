"""Fooling images: a photograph, changed little by little until a unit's score is another.

The family's members are rules of a step: (rate) -> (gradient [H, W, C]) -> what is added, [H, W, C].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepvis.config.knobs import REQUIRED, Function, Knob, declare

if TYPE_CHECKING:
    from deepvis.attribution.unit import Unit

Rule = Callable[[np.ndarray], np.ndarray]
STEPS = Knob(REQUIRED, "how many steps", low=1, high=10_000, kind=int)


def fooling(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a rule, with its options by their key under ``fooling``."""
    return declare("fooling", None, knobs | {"steps": STEPS})


@fooling(rate=Knob(REQUIRED, "of a step", above=0, high=255, unit="number of grey levels"))
def sign(rate: float) -> Rule:
    r"""All values by as much: :math:`x \leftarrow x + \epsilon \operatorname{sign}(g)`.

    Source: Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples".
    """
    return lambda gradient: rate * np.sign(gradient)


@fooling(rate=Knob(REQUIRED, "of a step, root mean square", above=0, high=255, unit="number of grey levels"))
def gradient(rate: float) -> Rule:
    r"""Along the gradient: :math:`x \leftarrow x + \epsilon \, g / \operatorname{rms}(g)`.

    Source: Szegedy et al. 2014, "Intriguing properties of neural networks".
    """

    def rule(gradient: np.ndarray) -> np.ndarray:
        size = float(np.sqrt(np.square(gradient, dtype=float).mean()))
        return rate * gradient / size if size > 0 else np.zeros_like(gradient)

    return rule


@dataclass(frozen=True)
class Fooled:
    """Images on their way."""

    images: np.ndarray  # float32 [n, H, W, C], grey levels from 0 to 255, after the last step
    scores: np.ndarray  # [steps + 1, n] of the unit
    confidence: np.ndarray  # [steps + 1, n] its activation behind the nonlinearity: a class' probability
    rms: np.ndarray  # [steps + 1, n] root mean square of the change, grey levels
    largest: np.ndarray  # [steps + 1, n] largest change of a value, grey levels


def fool(
    unit: Unit,
    behind: Unit,
    rule: Rule,
    images: np.ndarray,
    steps: int,
    on_step: Callable[[int], None] = lambda step: None,
) -> Fooled:
    """Raise a unit's score, step by step; pixels stay within 0 to 255.

    Args:
      unit: whose score is raised.
      behind: the same unit behind its nonlinearity.
      rule: of a step.
      images: ``[n, H, W, C]``, grey levels.
      steps: how many.
      on_step: is called with the number of each step, the last of which only measures.
    """
    mean = unit.mean
    centred: Sequence[np.ndarray] = list((images - mean).astype(np.float32))
    scores, confidence, rms, largest = [], [], [], []
    for step in range(steps + 1):
        found = list(unit.gradients(centred))
        change = np.stack(centred) + mean - images
        scores.append([float(score) for score, _ in found])
        confidence.append(behind.scores(centred))
        rms.append(np.sqrt(np.square(change, dtype=float).mean(axis=(1, 2, 3))))
        largest.append(np.abs(change).max(axis=(1, 2, 3)))
        if step < steps:
            moved = zip(centred, (rule(each) for _, each in found), strict=True)
            centred = [(np.clip(image + by + mean, 0, 255) - mean).astype(np.float32) for image, by in moved]
        on_step(step)
    return Fooled(np.stack(centred) + mean, *map(np.array, (scores, confidence, rms, largest)))
