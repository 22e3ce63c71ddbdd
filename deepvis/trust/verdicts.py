"""Verdicts: `Evidence` -> for each unit, in words, whether its synthesized images can be believed."""

from collections.abc import Collection, Sequence

import numpy as np

from deepvis.metrics import trust_verdicts
from deepvis.metrics.trust_verdicts import BELIEVABLE as BELIEVABLE
from deepvis.trust.evidence import Evidence


def verdicts(
    evidence: Evidence, rms: np.ndarray | None = None, diverged: Collection[int] = ()
) -> Sequence[str]:
    """What is said of each unit: ``believable``, or why not, the gravest reason first.

    Args:
      evidence: of the units.
      rms: ``[n]`` of their synthesized images, the largest of each unit, grey levels.
      diverged: which units have an image that diverged.
    """
    rms = np.full(len(evidence.filters), np.nan) if rms is None else rms
    measured = zip(evidence.strength, evidence.path, evidence.facets, evidence.seed_facets, rms, strict=True)
    return [
        (trust_verdicts.DIVERGED if at in diverged else trust_verdicts.verdict(*map(float, each))).words
        for at, each in enumerate(measured)
    ]
