"""Verdicts: what was measured of a unit's picture beside photographs -> in words, whether to believe it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deepvis.metrics.advice import SATURATED

PATH = 0.35  # similarity of contributions, below which another way excites the unit (experiments/fooling)
STRENGTH = 1.0  # below, a photograph excites the unit more than its synthesized image does
FEW = 1000  # photographs, below which they may lack what excites a unit
BELIEVABLE = "believable"
BELIEVE, DOUBT, DISBELIEVE = "believe", "doubt", "do not believe"
GRADES: tuple[str, ...] = (BELIEVE, DOUBT, DISBELIEVE)  # the gravest last
MEANING = {
    BELIEVE: "photographs excite the unit by the same way, and less than its picture",
    DOUBT: "a photograph excites it more, photographs of several kinds do, no photograph could have such "
    "pixels, or its way could not be compared",
    DISBELIEVE: "its picture excites it by another way than photographs, or one of both does not excite it",
}
FEW_PHOTOGRAPHS = "so few photographs may lack what excites a filter: what is said holds for them"


class Reason(NamedTuple):
    """Why a picture is not simply believed."""

    grade: str
    words: str
    figure: str  # the number that it rests on, and its threshold; empty where the words say all


@dataclass(frozen=True)
class Verdict:
    """What is said of one picture."""

    grade: str  # one of `GRADES`
    reasons: Sequence[Reason]  # the gravest first

    @property
    def words(self) -> str:
        """``believable``, or why not."""
        return ", ".join(each.words for each in self.reasons) or BELIEVABLE

    @property
    def figures(self) -> str:
        """The same with the numbers."""
        return "; ".join(each.figure or each.words for each in self.reasons) or BELIEVABLE


def verdict(
    strength: float, path: float, facets: float, seed_facets: float = math.nan, rms: float = math.nan
) -> Verdict:
    """What is said of one picture.

    Args:
      strength: its unit's value, over the highest of a photograph; infinite where no photograph excites it.
      path: its path similarity; NaN where it could not be compared.
      facets: groups that the photographs of the unit fall into; NaN where they are not known.
      seed_facets: groups that its pictures from several seeds fall into; NaN of fewer than 6.
      rms: of the picture about the mean of the training set, grey levels; NaN where it is not known.

    Example:
      >>> verdict(2.0, 0.9, 1).words, verdict(0.9, 0.2, 1).figures
      ('believable', 'path similarity 0.2, below 0.35; strength 0.9, below 1')
    """
    if math.isinf(strength):
        return Verdict(DISBELIEVE, [Reason(DISBELIEVE, "no photograph excites it", "")])
    if math.isnan(strength):
        return Verdict(DISBELIEVE, [Reason(DISBELIEVE, "nothing excites it", "")])
    found = []
    if path < PATH:
        figure = f"path similarity {path:.3g}, below {PATH:g}"
        found.append(Reason(DISBELIEVE, "excited by another way than photographs", figure))
    if strength <= 0:
        found.append(Reason(DISBELIEVE, "its picture does not excite it", ""))
    elif strength < STRENGTH:
        figure = f"strength {strength:.3g}, below {STRENGTH:g}"
        found.append(Reason(DOUBT, "weaker than a photograph", figure))
    if rms > SATURATED:
        figure = f"root mean square {rms:.3g} grey levels, above {SATURATED}"
        found.append(Reason(DOUBT, "beyond the range of pixels", figure))
    if facets > 1:
        found.append(Reason(DOUBT, f"{facets:.0f} facets", ""))
    if seed_facets > 1:
        found.append(Reason(DOUBT, f"{seed_facets:.0f} facets among its seeds", ""))
    if math.isnan(path):
        found.append(Reason(DOUBT, "its way could not be compared", ""))
    return Verdict(found[0].grade if found else BELIEVE, found)


DIVERGED = Verdict(DISBELIEVE, [Reason(DISBELIEVE, "diverged", "")])
