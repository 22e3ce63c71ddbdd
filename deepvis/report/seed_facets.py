"""Facets of seeds in a report: does a filter show one thing from several starts, or several things?

The images of a filter from the seeds of one setting are grouped (`deepvis.metrics.facets`) by what excites
the filter in them: the contributions of the channels of a convolution below, which a job with ``trust=true``
records. The means of the maps of its own layer, which every job has, do not tell a unit that sums two
channels of `tiny`: they depend on all that an image does to the layer.

`SEEDS` are the fewest: of three folds each has two images then, whose group is that of the nearest of two
centres that four others have placed. Of 4 or 5 a fold is a single image, most centres are, too, and a
silhouette of groups of one is 0. 6 are few: of 60 samples with two groups, of 8 features each, 51 are told
apart by 6 seeds, all by 12; of 60 without groups none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.metrics import facets
from deepvis.metrics.facets import Facets
from deepvis.report.comparison import Comparison, Unit
from deepvis.report.endings import PROBLEMS
from deepvis.results import trust

SEEDS = 2 * facets.FOLDS  # of a setting that have an image to be grouped
NAMED = 8  # filters of a sentence
MEANING = "filters whose seeds show several things that are apart, of those with seeds enough"

Place = tuple[int, int, int]  # part, setting, filter


@dataclass(frozen=True, eq=False)
class Decided:
    """What is said of a filter with a setting."""

    place: Place
    layer: str  # whose channels contribute
    seeds: int  # whose images were grouped
    found: Facets
    cosine: float  # mean, of images of different groups; NaN of one group

    @property
    def is_several(self) -> bool:
        """Whether there are groups, and they are apart."""
        return self.found.count > 1 and self.found.is_apart


@dataclass(frozen=True)
class Told:
    """What a report says of them; without a decision only why there is none."""

    sentences: Sequence[str]  # which filters show what
    beside: str  # on how many seeds it was decided, by which features
    shares: Sequence[str]  # by part and setting, as the medians are; empty where nothing was decided
    rows: Sequence[dict[str, Any]]  # of results.csv


def of(compared: Comparison) -> Told | None:
    """What the seeds of a comparison show; None where no job has ``trust=true``, or all have one seed."""
    images = _images(compared)
    if not images or len({job.seed for job in compared.jobs}) < 2:
        return None
    decided = [_decided(place, *own) for place, own in sorted(images.items()) if len(own[1]) >= SEEDS]
    if not decided:
        most = max(len(vectors) for _, vectors in images.values())
        said = (
            f"Whether a filter shows one thing or several is not told: it takes {SEEDS} seeds of one setting "
            f"whose pictures excite it, and no filter has more than {most}."
        )
        return Told([], said, [], [])
    return Told(
        [*_sentences(compared, decided)],
        _beside(compared, decided, len(images)),
        [*_shares(compared, decided)],
        [_row(compared, each) for each in decided],
    )


def _images(compared: Comparison) -> dict[Place, tuple[str, list[np.ndarray]]]:
    """Contributions, a vector a seed whose picture excites the filter; of the layer of which most are."""
    found: dict[Place, dict[str, list[np.ndarray]]] = {}
    taken: set[tuple[Place, object]] = set()
    for job in compared.jobs:
        if trust.CONTRIBUTIONS not in job.result.features:
            continue
        layer = job.result.tags[trust.CONTRIBUTIONS_OF]
        vectors = np.asarray(job.result.features[trust.CONTRIBUTIONS], float)
        for index, end, vector in zip(job.result.filters, job.result.ends, vectors, strict=True):
            place = (job.part, job.setting, index)
            own = found.setdefault(place, {}).setdefault(layer, [])
            if (place, job.seed) in taken:  # a repetition of a seed is no other seed
                continue
            taken.add((place, job.seed))
            if end not in PROBLEMS and np.isfinite(vector).all() and vector.any():
                own.append(vector)
    return {place: max(own.items(), key=lambda each: len(each[1])) for place, own in found.items()}


def _decided(place: Place, layer: str, vectors: Sequence[np.ndarray]) -> Decided:
    units = np.stack(vectors)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    found = facets.facets(units)
    others = found.groups[:, None] != found.groups[None]
    cosine = float((units @ units.T)[others].mean()) if others.any() else np.nan
    return Decided(place, layer, len(vectors), found, cosine)


def _sentences(compared: Comparison, decided: Sequence[Decided]) -> Iterator[str]:
    several = [each for each in decided if each.is_several]
    cut = [each for each in decided if each.found.count > 1 and not each.found.is_apart]
    ones = len(decided) - len(several) - len(cut)
    if several:
        yield f"Seeds show several things: {_named(compared, several, 'things')}."
    if cut:
        yield (
            "Seeds can be cut in groups that are not apart, and may be a row from one picture to another: "
            f"{_named(compared, cut, 'groups')}."
        )
    if ones:
        what = "filters with a setting" if compared.levels else "filters"
        which = "every filter" if ones == len(decided) else f"{ones} of {len(decided)} {what}"
        yield f"Seeds show one thing: {which}."


def _named(compared: Comparison, some: Sequence[Decided], what: str) -> str:
    names = [
        f"{_label(compared, each)} ({each.found.count} {what} in {each.seeds} seeds, silhouette "
        f"{each.found.silhouette:.2f}, cosine between them {each.cosine:.2f})"
        for each in some
    ]
    more = f" and {len(names) - NAMED} more, in results.csv" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _label(compared: Comparison, each: Decided) -> str:
    part, setting, index = each.place
    label = compared.label(Unit(*compared.parts[part], index))
    return f"{label} with {compared.name(setting)}" if compared.levels else label


def _beside(compared: Comparison, decided: Sequence[Decided], total: int) -> str:
    counts = sorted({each.seeds for each in decided})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    layers = {f"{each.layer} of {compared.parts[each.place[0]].network}" for each in decided}
    said = (
        f"One thing or several was decided for each filter and setting on {seeds} seeds, by what the "
        f"channels of {' or '.join(sorted(layers))} give to the filter's value: groups have a silhouette, "
        f"of pictures that were left out, of {facets.STRUCTURE:g} or more."
    )
    if total > len(decided):
        left = f"{total - len(decided)} of {total}"
        said += f" {left} have fewer than {SEEDS} seeds whose pictures excite them."
    return said


def _shares(compared: Comparison, decided: Sequence[Decided]) -> Iterator[str]:
    """How many filters of each setting show several things; a dash where that was not decided."""
    for part in range(len(compared.parts)):
        for setting in sorted({job.setting for job in compared.jobs if job.part == part}):
            own = [each for each in decided if each.place[:2] == (part, setting)]
            yield f"{sum(each.is_several for each in own)} of {len(own)}" if own else "–"


def _row(compared: Comparison, each: Decided) -> dict[str, Any]:
    apart = ("yes" if each.found.is_apart else "no") if each.found.count > 1 else ""
    return {
        "kind": "seeds", "measure": "facets", "comparison": _label(compared, each), "n": each.seeds,
        "facets": each.found.count, "facets_apart": apart, "facets_silhouette": each.found.silhouette,
        "facets_cosine": each.cosine,
    }  # fmt: skip
