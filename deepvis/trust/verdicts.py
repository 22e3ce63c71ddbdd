"""Verdicts: `Evidence` -> for each unit, in words, whether its synthesized images can be believed.

Where the weights were made random, too, `with_random_weights` adds what that says of them.
"""

from collections.abc import Collection, Sequence

import numpy as np

from deepvis.metrics import trust_verdicts
from deepvis.metrics.trust_verdicts import BELIEVABLE as BELIEVABLE
from deepvis.trust.evidence import Evidence
from deepvis.trust.random_weights import NO, PICTURE, Randomized

UNCHANGED = "much the same with random weights"


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


def with_random_weights(said: Sequence[str], found: Randomized) -> Sequence[str]:
    """The same, and of each unit whose picture does not change where all weights are random, that.

    What such a picture shows does not come from what the network has learnt.

    Args:
      said: by `verdicts`, of the same units.
      found: how alike their pictures stay.
    """
    changes = found.changes(PICTURE)
    reasons = [[] if words == BELIEVABLE else [words] for words in said]
    return [
        ", ".join([*why, *([UNCHANGED] if word == NO else [])]) or BELIEVABLE
        for why, word in zip(reasons, changes, strict=True)
    ]
