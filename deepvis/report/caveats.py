"""Caveats: (`Comparison`, its tested effects) -> what a reader should know before believing its numbers."""

import math
from collections.abc import Iterator, Sequence

from deepvis.report import endings
from deepvis.report.comparison import Comparison
from deepvis.report.effects import TestedEffect
from deepvis.report.scales import SAID

NO_FLOOR = (
    "The numerical noise floor was not measured, so how much of a single filter's difference is rounding "
    "error, which gradient ascent amplifies, is not known. Run the sweep with twins=1 to measure it: each "
    "image is optimized once more from a start that differs in the last bit only."
)
ONE_SEED = "One seed: how far these numbers depend on it is not known; seed=0,1,2 measures it."
LOWER = (
    "Most regularizers lower the score, since they change the image after each step, and may make it clearer "
    "all the same: look at the images, too."
)
SIZES = (
    "Images differ in size: total variation and high frequency, and the moves by 4 px in robustness, depend "
    "on the size in pixels and do not compare images of different sizes."
)


def notes(compared: Comparison, tests: Sequence[TestedEffect]) -> Iterator[str]:
    """A sentence each."""
    yield from filter(None, [compared.unpaired])
    yield from compared.others
    if any(factor.partition(".")[0] in ("reg", "experiment") for factor in compared.levels):
        yield LOWER
    if has_sizes(compared):
        yield SIZES
    yield from endings.notes(compared)
    if len(compared.seeds) == 1 and len(compared.settings) > 1:
        yield ONE_SEED
    yield from _floor(tests)


def has_sizes(compared: Comparison) -> bool:
    """Whether images of several sizes are compared."""
    return len({job.result.params.get("size") for job in compared.jobs}) > 1


def _floor(tests: Sequence[TestedEffect]) -> Iterator[str]:
    """How far rounding moves a score, of each layer."""
    score = [t for t in tests if t.measure == SAID[0] and t.kind in ("main effect", "pair")]
    if score and all(math.isnan(test.floor) for test in score):
        yield NO_FLOOR
        return
    said = [(test.part, test.floor, test.unit) for test in score if not math.isnan(test.floor)]
    for part, floor, unit in dict.fromkeys(said):
        of, amount = f"{part}: " if part else "", f"{floor:.3g}{f' {unit}' if unit else ''}"
        told = (
            "is 0: a start changed by one ulp leaves the score of at least half of the images as it is."
            if floor == 0
            else f"is {amount}: a start changed by one ulp changes the score of an image by so much in the "
            "median; this does not shrink with seeds."
        )
        yield f"{of}The numerical noise floor {told}"
