"""Scales: a `Comparison` -> the differences that are tested, in per cent or in the unit of the measure."""

from dataclasses import dataclass

import numpy as np

from deepvis.metrics import signed_rank
from deepvis.report import contrasts
from deepvis.report.comparison import Comparison
from deepvis.report.contrasts import Contrast

SAID = ("score", "robustness", "high_frequency")  # measures of which the page has sentences, the first first
PAIRED = ("score", "robustness")  # measures by which every two settings are compared
DIFFERENCES = ("margin", "diversity", "reproducibility", "spectral_slope")  # are compared in their own unit
MOSTLY = 0.9  # of a measure's values are above 0 where it is compared as a ratio


@dataclass(frozen=True)
class Differences:
    """What one test compares."""

    part: int
    contrast: Contrast
    measure: str
    unit: str
    values: np.ndarray  # [units of the part, replicates]
    sums: np.ndarray  # signed-rank sums of all units of the comparison; 0 of other parts

    def is_testable(self) -> bool:
        return int((~np.isnan(self.values)).any(axis=1).sum()) >= signed_rank.FEW


def differences(compared: Comparison) -> list[Differences]:
    """What is compared, test by test; parts, measures and contrasts in their order."""
    found = []
    for part in range(len(compared.parts)):
        own = compared.of_part(part)
        columns = np.flatnonzero(compared.part_of == part)
        names = [own.name(setting) for setting in range(len(own.settings))]
        every = contrasts.of(own.levels, own.settings, names)
        for measure in compared.values:
            if measure not in own.values:
                continue
            values = own.by_seed.get(measure, own.values[measure][:, None])
            ratio = is_ratio(compared, measure)
            for contrast in every:
                if contrast.kind == "pair" and measure not in PAIRED and len(every) > 1:
                    continue
                for unit in (
                    ("%", "") if ratio and contrast.kind == "interaction" else ("%" if ratio else "",)
                ):
                    d = contrasts.differences(contrast, logarithms(values) if unit else values)
                    if unit and contrast.kind != "interaction":
                        d = _both_at_zero(d, contrasts.differences(contrast, values))
                    sums = np.zeros(len(compared.units))
                    sums[columns] = signed_rank.rank_sums(d)
                    found.append(Differences(part, contrast, measure, unit, d, sums))
    return found


def is_ratio(compared: Comparison, measure: str) -> bool:
    """Whether a measure is compared in per cent; one filter more or less does not decide it."""
    values = compared.values[measure]
    finite = values[np.isfinite(values)]
    return measure not in DIFFERENCES and len(finite) > 0 and float(np.mean(finite > 0)) >= MOSTLY


def logarithms(values: np.ndarray) -> np.ndarray:
    """-inf at 0 and below."""
    return np.log(np.maximum(values, 0.0), out=np.where(np.isnan(values), np.nan, -np.inf), where=values > 0)


def _both_at_zero(logarithms: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Where both values are at 0 or below, what is higher is still higher."""
    return np.where((logarithms == 0) & (plain != 0), np.copysign(np.inf, plain), logarithms)
