"""Whether pictures of units can be believed: (config, filters, photographs) -> `Trusted`.

Each filter is optimized from several starts, and compared with photographs; see `deepvis.trust`.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepvis import networks
from deepvis.ascent import specs
from deepvis.ascent.optimize import counted, optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.config import schema
from deepvis.config.knobs import Knob
from deepvis.config.schema import Config
from deepvis.core import files, images, saved_folder
from deepvis.core.counting import Counting, uncounted
from deepvis.data import Photographs
from deepvis.metrics.convergence import ends
from deepvis.metrics.path_similarity import path_table
from deepvis.results import result_folder
from deepvis.trust.evidence import Evidence, evidence
from deepvis.trust.observer import check as check
from deepvis.trust.observer import observer
from deepvis.trust.random_weights import Randomized
from deepvis.trust.verdicts import BELIEVABLE, verdicts, with_random_weights

SEEDS = Knob(3, "starts of each filter", low=1, high=1000, switch=False)
SHOWN_SEEDS = 6  # starts of a filter in a picture
SHOWN = 6  # photographs of a filter in a picture


@dataclass(frozen=True, repr=False)
class Trusted:
    """What speaks for and against believing the pictures of some filters."""

    filters: Sequence[int]
    captions: Sequence[str]
    verdicts: Sequence[str]  # of each filter
    evidence: Evidence
    observer: str  # who looks at the pictures in a forced choice
    images: np.ndarray  # uint8 [seeds, n, H, W, 3], synthesized
    photographs: np.ndarray  # uint8 [n, k, H, W, 3], that excite each filter most
    randomized: Randomized | None = None  # how alike pictures and maps stay where the weights are random

    def __repr__(self) -> str:
        believed = sum(each == "believable" for each in self.verdicts)
        return (
            f"<Trusted: {believed} of {len(self.filters)} filters are believable, beside "
            f"{self.evidence.photographs} photographs>"
        )

    def beside(self, randomized: Randomized) -> "Trusted":
        """With how alike its pictures stay where the weights are random, which verdicts then name."""
        return replace(self, randomized=randomized, verdicts=with_random_weights(self.verdicts, randomized))

    def rows(self) -> list[dict[str, Any]]:
        """A row a filter: its verdict, and what it rests on."""
        found, rows = self.evidence, []
        for at, index in enumerate(self.filters):
            rows.append({
                "filter": index, "name": self.captions[at], "verdict": self.verdicts[at],
                "strength": float(found.strength[at]), "best_photograph": float(found.best[at]),
                "path_similarity": float(found.path[at]),
                "choice_by_photographs": float(found.choice_natural[at]),
                "choice_by_pictures": float(found.choice_synthesized[at]), "facets": float(found.facets[at]),
                "facets_apart": found.apart[at],
                "seed_facets": float(found.seed_facets[at]), "seed_facets_apart": found.seed_apart[at],
            })  # fmt: skip
        return rows

    def path_rows(self) -> list[dict[str, Any]]:
        """A row a filter and convolution below it: path similarity of contributions and of activations."""
        return path_table(self.filters, self.evidence.by_layer, self.evidence.activations)

    def sheet(self) -> np.ndarray:
        """A row a filter: its pictures, then the photographs that excite it most; uint8 [H, W, 3]."""
        seeds = min(len(self.images), SHOWN_SEEDS)
        rows = [[*self.images[:seeds, at], *self.photographs[at, :SHOWN]] for at in range(len(self.filters))]
        names = [f"{self.captions[at]}: {self.verdicts[at]}" for at in range(len(self.filters))]
        columns = [*(f"start {k}" for k in range(seeds)),
                   *(f"photograph {k + 1}" for k in range(len(rows[0]) - seeds))]  # fmt: skip
        return images.contact_sheet(rows, names, columns, fits_words=True)

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By file name."""
        random = {} if self.randomized is None else {"randomized": self.randomized.sheet()}
        return {"trust": self.sheet(), **random}

    def write(self, folder: Path) -> None:
        """``trust.csv``, ``paths.csv`` and, of random weights, ``randomized.csv``."""
        files.write_csv(folder / "trust.csv", self.rows())
        files.write_csv(folder / "paths.csv", self.path_rows())
        if self.randomized is not None:
            files.write_csv(folder / "randomized.csv", self.randomized.rows())

    def save(self, folder: str | Path) -> Path:
        """Pictures and tables into a folder: see `saved_folder.save`."""
        return saved_folder.save(folder, self.write, self.pictures())

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by: the share that is believed, and medians."""
        believed = float(np.mean([each == BELIEVABLE for each in self.verdicts]))
        metrics = {"believable": believed, "photographs": float(self.evidence.photographs)}
        for name in ("strength", "path", "choice_natural", "choice_synthesized"):
            values = getattr(self.evidence, name)
            if np.isfinite(values).any():
                metrics[f"{name}/median"] = float(np.median(values[np.isfinite(values)]))
        return metrics | ({} if self.randomized is None else self.randomized.metrics())

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        Image.fromarray(self.sheet()).save(file, "png")
        return file.getvalue()


def assess(
    cfg: Config,
    filters: Sequence[int],
    classes: Sequence[str],
    photographs: Photographs,
    seeds: int,
    counting: Counting = uncounted,
) -> Trusted:
    """Optimize some filters, and compare their pictures with photographs.

    Args:
      cfg: of a job, checked, with its device and batch size.
      filters: channels of its layer.
      classes: what they are called, or nothing.
      photographs: cropped and scaled to its size.
      seeds: from how many starts each filter is optimized.
      counting: shows how far that is.
    """
    network = networks.network(schema.plain(cfg.model))
    starts = [replace(cfg, seed=cfg.seed + k, robustness=False, twins=0) for k in range(seeds)]
    asked = [ImageSpec(each, index) for each in starts for index in filters]
    count, width = len(asked), min(cfg.batch_size, len(asked))
    with counting("optimizing", count, cfg.steps) as tell:
        found = optimize(asked, width=width, on_step=counted(count, width, cfg.steps, tell))
    shape = (seeds, len(filters), *found.final.shape[1:])
    ended = np.array(ends(found.history)).reshape(seeds, -1)
    rms = found.history["image_rms"][-1].reshape(seeds, -1).max(axis=0)
    displayed = [images.displayed(each, specs.display(cfg), cfg.model.mean) for each in found.final]
    shown = np.stack(displayed).reshape(*shape[:-1], 3)
    name, observe = observer(cfg)
    with counting("comparing", len(photographs), 2) as tell:
        said = evidence(network, cfg.layer.name, filters, found.final.reshape(shape), photographs, observe,
                        shown.astype(np.float32), tell)  # fmt: skip
    pictures = [
        [images.natural(photographs.image(int(k), cfg.sides, network.channels), [0.0] * network.channels)
         for k in row]
        for row in said.examples
    ]  # fmt: skip
    return Trusted(
        filters, result_folder.captions_for(filters, classes, str),
        verdicts(said, rms, np.flatnonzero((ended == "diverged").any(axis=0)).tolist()), said, name,
        shown, np.array(pictures, np.uint8),
    )  # fmt: skip
