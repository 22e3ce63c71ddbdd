"""Trust in a result: what a job with ``trust=true`` has measured of its pictures -> verdicts and rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepvis.metrics import trust_verdicts
from deepvis.metrics.trust_verdicts import BELIEVE, Verdict

if TYPE_CHECKING:
    from deepvis.results.result_folder import Result

# Of a result's metrics, [filters] each; NaN where it could not be had.
MEASURES = (
    STRENGTH, BEST, PATH, CHOICE_NATURAL, CHOICE_SYNTHESIZED, FACETS,
) = (
    "trust_strength", "trust_best_photograph", "trust_path_similarity", "trust_choice_by_photographs",
    "trust_choice_by_pictures", "trust_facets",
)  # fmt: skip
PHOTOGRAPHS, OBSERVER = "trust.photographs", "trust.observer"  # tags: their digest, and who looked
COUNT = "trust/photographs"  # figures
# Of a result's features, [filters, channels]: what each channel of a layer below gives to a filter's value on
# its picture, zeros where that could not be had; and the tag with the layer.
CONTRIBUTIONS, CONTRIBUTIONS_OF = "contributions", "trust.contributions"
FILE = "trust.csv"


def is_there(result: Result) -> bool:
    """Whether trust was measured."""
    return STRENGTH in result.metrics


def verdicts(result: Result) -> Sequence[Verdict]:
    """What is said of each picture of a result of which trust was measured."""
    measured = (result.metrics[name] for name in (STRENGTH, PATH, FACETS))
    rms = result.history["image_rms"][-1]
    return [
        trust_verdicts.DIVERGED if end == "diverged"
        else trust_verdicts.verdict(*map(float, (*each, np.nan, size)))
        for end, size, *each in zip(result.ends, rms, *measured, strict=True)
    ]  # fmt: skip


def figures(result: Result) -> dict[str, float]:
    """The share of pictures that are believed, and medians."""
    found = {"trust/believable": float(np.mean([each.grade == BELIEVE for each in verdicts(result)]))}
    for name in MEASURES:
        values = result.metrics[name][np.isfinite(result.metrics[name])]
        if len(values):
            found[name.replace("_", "/", 1)] = float(np.median(values))
    return found


def rows(result: Result, captions: Sequence[str]) -> list[dict[str, Any]]:
    """A row a filter: what it is called, its verdict, and what that rests on."""
    return [
        {"filter": index, "name": captions[at], "verdict": said.words}
        | {name.removeprefix("trust_"): float(result.metrics[name][at]) for name in MEASURES}
        for at, (index, said) in enumerate(zip(result.filters, verdicts(result), strict=True))
    ]
