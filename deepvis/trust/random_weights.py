"""Random weights: how alike a unit's pictures and maps stay where a network's weights are random.

What stays alike does not come from what the network has learnt (Adebayo et al. 2018, arXiv:1810.03292).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.config.knobs import Knob
from deepvis.core import images

STAGES = Knob(0, "stages of random weights", low=0, high=100)
PICTURE = "picture"
SAME = 0.5  # rank correlation, from which a picture or map has not changed
YES, NO, UNKNOWN = "yes", "no", "nothing to change"


def changed(similarity: float) -> str:
    """Whether something of that rank correlation with the original has changed."""
    return UNKNOWN if np.isnan(similarity) else NO if similarity >= SAME else YES


@dataclass(frozen=True)
class Randomized:
    """How alike pictures and maps stay, by what they are, ``[stages, filters]``.

    NaN where there is nothing that could change: a picture that did not leave its start, a map that is 0.
    """

    filters: Sequence[int]
    captions: Sequence[str]
    stages: Sequence[Sequence[str]]  # the layers that are random in each, from the unit's downwards
    similarity: Mapping[str, np.ndarray]  # rank correlations with what the network itself gives
    images: np.ndarray  # uint8 [1 + stages, filters, H, W, 3]
    left_out: Mapping[str, str]  # methods that do not take the network, and why

    def changes(self, what: str) -> np.ndarray:
        """Of each filter whether it changes where all weights are random, ``[filters]``: see `changed`."""
        return np.array([changed(each) for each in self.similarity[what][-1]])

    def rows(self) -> list[dict[str, Any]]:
        """A row for each filter, stage, and picture or method."""
        return [
            {"filter": index, "name": self.captions[at], "what": what, "random_layers": len(layers),
             "down_to": layers[0], "rank_correlation": float(values[stage, at]),
             "changes": changed(values[stage, at])}
            for at, index in enumerate(self.filters)
            for what, values in self.similarity.items()
            for stage, layers in enumerate(self.stages)
        ]  # fmt: skip

    def metrics(self) -> dict[str, float]:
        """Of pictures and of each method the share of filters, of those that could, that change."""
        told = {what: self.changes(what) for what in self.similarity}
        could = {what: words[words != UNKNOWN] for what, words in told.items()}
        return {f"randomized/{what}/changed": float((words == YES).mean())
                for what, words in could.items() if len(words)}  # fmt: skip

    def sheet(self) -> np.ndarray:
        """A row a filter: its picture, then that of each stage; uint8 [H, W, 3]."""
        rows = [list(self.images[:, at]) for at in range(len(self.filters))]
        names = [
            f"{caption}: changes when the weights are random: {word}"
            for caption, word in zip(self.captions, self.changes(PICTURE), strict=True)
        ]
        columns = ["as it is", *(f"random down to {layers[0]}" for layers in self.stages)]
        return images.contact_sheet(rows, names, columns, fits_words=True)

    def told(self) -> list[str]:
        """What is said of it, a line for pictures and for each method."""
        lines = []
        for what, values in self.similarity.items():
            told, last = self.changes(what), values[-1][np.isfinite(values[-1])]
            subject = "the picture" if what == PICTURE else f"the map of {what}"
            count, rest = (told == YES).sum(), (told == UNKNOWN).sum()
            if not len(last):
                lines.append(f"{subject}: of no filter is there anything that could change")
                continue
            word = YES if count == len(last) else NO if not count else "of some"
            lines.append(
                f"{subject} changes when the weights are random: {word}, {count} of {len(last)} "
                f"filters (median rank correlation {np.median(last):.2g})"
                + (f"; of {rest} there is nothing that could change" if rest else "")
            )
        return lines + [f"the map of {name} is left out: {why}" for name, why in self.left_out.items()]
