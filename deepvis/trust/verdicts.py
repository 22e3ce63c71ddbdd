"""Verdicts: `Evidence` -> for each unit, in words, whether its synthesized images can be believed."""

from collections.abc import Sequence

import numpy as np

from deepvis.trust.evidence import Evidence

PATH = 0.35  # similarity of contributions, below which another way excites the unit (experiments/fooling)
STRENGTH = 1.0  # below, a photograph excites the unit more than its synthesized image does
BELIEVABLE = "believable"


def verdicts(evidence: Evidence) -> Sequence[str]:
    """What is said of each unit: ``believable``, or why not, the gravest reason first."""
    return [_verdict(evidence, at) for at in range(len(evidence.filters))]


def _verdict(evidence: Evidence, at: int) -> str:
    strength, path = evidence.strength[at], evidence.path[at]
    if np.isinf(strength):
        return "no photograph excites it"
    if not np.isfinite(strength):
        return "nothing excites it"
    reasons = []
    if path < PATH:
        reasons.append("excited by another way than photographs")
    if strength < STRENGTH:
        reasons.append("weaker than a photograph")
    if evidence.facets[at] > 1:
        reasons.append(f"{evidence.facets[at]:.0f} facets")
    if np.isnan(path):
        reasons.append("its way could not be compared")
    return ", ".join(reasons) or BELIEVABLE
