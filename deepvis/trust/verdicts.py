"""Verdicts: `Evidence` -> for each unit, in words, whether its synthesized images can be believed."""

from collections.abc import Sequence

from deepvis.metrics import trust_verdicts
from deepvis.metrics.trust_verdicts import BELIEVABLE as BELIEVABLE
from deepvis.trust.evidence import Evidence


def verdicts(evidence: Evidence) -> Sequence[str]:
    """What is said of each unit: ``believable``, or why not, the gravest reason first."""
    measured = zip(evidence.strength, evidence.path, evidence.facets, evidence.seed_facets, strict=True)
    return [trust_verdicts.verdict(*map(float, each)).words for each in measured]
