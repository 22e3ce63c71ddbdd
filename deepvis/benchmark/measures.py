"""What is measured of a method's images: (benchmark's units and photographs) -> a row an image.

Diversity and reproducibility are of several seeds: the rows of all seeds of a unit have the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis import networks
from deepvis.benchmark.made_images import MadeImages
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.data import Photographs
from deepvis.metrics import across_seeds, robustness
from deepvis.metrics.spectral_distance import natural_spectrum, spectral_distance
from deepvis.trust import evidence
from deepvis.trust.image_scores import Judge, Means, layer_means
from deepvis.trust.observer import observer


@dataclass(frozen=True)
class Measure:
    """One of the measures."""

    name: str  # of its column
    better: int  # 1 where up is better, -1 where down is, 0 where neither
    said: str  # in a heading
    is_ratio: bool = False  # compared as logarithms and told as a ratio


MEASURES = (
    Measure("activation", 1, "activation", is_ratio=True),
    Measure("logit", 1, "logit"),  # of a class in the place of the activation: it may be below 0
    Measure("top1", 1, "top-1 share"),
    Measure("strength", 1, "strength beside photographs", is_ratio=True),
    Measure("robustness", 1, "robustness"),
    Measure("spectral_distance", -1, "log-spectral distance, dB"),
    Measure("path_similarity", 1, "path similarity"),
    Measure("choice", 1, "machine 2AFC"),
    Measure("transfer_rank", -1, "rank by other networks", is_ratio=True),
    Measure("transfer_logit", 1, "logit by other networks"),
    Measure("diversity", 0, "diversity"),
    Measure("reproducibility", 1, "reproducibility"),
)
ACROSS_SEEDS = ("diversity", "reproducibility")
Row = dict[str, float]


@dataclass(frozen=True, eq=False)
class Instruments:
    """What all methods are measured with."""

    filters: Sequence[int]
    are_classes: bool
    means: Means
    spectrum: np.ndarray  # of the photographs
    natural: evidence.Natural
    observe: Callable[[np.ndarray], np.ndarray]
    observer: str
    judges: Mapping[str, Judge]


def instruments(
    cfg: Config, filters: Sequence[int], photographs: Photographs, judges: Mapping[str, Judge]
) -> Instruments:
    """What all methods are measured with.

    Args:
      cfg: of the units.
      filters: channels of its layer.
      photographs: that the images are compared with.
      judges: networks of the same classes, where the units are classes.

    Raises:
      ConfigError: too few photographs.
    """
    plain = schema.plain(cfg.model)
    network = networks.network(plain)
    name, observe = observer(cfg)
    natural = evidence.natural(network, cfg.layer.name, filters, photographs, cfg.sides, observe)
    pictures = (photographs.image(int(k), cfg.sides, network.channels) for k in natural.found.indices)
    are_classes = bool(networks.class_names(plain, network.layer(cfg.layer.name)))
    return Instruments(
        filters, are_classes, layer_means(network, cfg.layer.name, cfg.sides), natural_spectrum(pictures),
        natural, observe, name, judges,
    )  # fmt: skip


def measured(using: Instruments, images: MadeImages) -> list[list[Row]]:
    """A row of each seed and unit, ``[seeds][n]``; after them those of the twins of the first seed."""
    rows, features = [], []
    for centred, shown in zip(images.centred, images.shown, strict=True):
        row, seen = _of_seed(using, centred, shown)
        rows.append(row)
        features.append(seen)
    stacked = np.stack(features)
    for name in ACROSS_SEEDS:
        for at, value in enumerate(getattr(across_seeds, name)(stacked)):
            for seed in rows:
                seed[at][name] = float(value)
    if images.twins is not None:
        twins, _ = _of_seed(using, images.twins, None)
        rows.append(twins)
    return rows


def _of_seed(
    using: Instruments, centred: np.ndarray, shown: np.ndarray | None
) -> tuple[list[Row], np.ndarray]:
    """The rows of a seed's images ``[n, H, W, C]``, and features ``[n, K]``; without pictures fewer."""
    before, features = using.means(centred)
    units, n = np.asarray(using.filters), len(centred)
    values = before if using.are_classes else features
    own = values[np.arange(n), units]
    rank = (values > own[:, None]).sum(axis=1)
    rows: list[Row] = [
        {
            "logit" if using.are_classes else "activation": float(own[at]),
            "top1": float(rank[at] == 0 and np.isfinite(own[at])),
            "spectral_distance": spectral_distance(centred[at], using.spectrum),
        }
        for at in range(n)
    ]
    for at, kept in enumerate(_robustness(using, centred, own)):
        rows[at]["robustness"] = kept
    if shown is None:
        return rows, features
    said = evidence.compared(using.natural, centred[None], using.observe, shown[None].astype(np.float32))
    for at, row in enumerate(rows):
        row |= {
            "strength": float(said.strength[at]), "path_similarity": float(said.path[at]),
            "choice": float(said.choice_synthesized[at]),
        }  # fmt: skip
    for name, judge in using.judges.items():
        logits = judge(shown)
        seen = logits[np.arange(n), units]
        ranks = 1 + (logits > seen[:, None]).sum(axis=1)
        for at, row in enumerate(rows):
            row |= {f"rank_{name}": float(ranks[at]), f"logit_{name}": float(seen[at])}
    for row in rows if using.judges else ():
        row["transfer_rank"] = float(np.exp(np.mean([np.log(row[f"rank_{name}"]) for name in using.judges])))
        row["transfer_logit"] = float(np.mean([row[f"logit_{name}"] for name in using.judges]))
    return rows, features


def _robustness(using: Instruments, centred: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The share of its activation that each image keeps under small changes, ``[n]``."""
    kept = []
    for at, index in enumerate(using.filters):
        changed = robustness.of(centred[at], index)
        seen = using.means(np.concatenate(list(changed.values())))[0 if using.are_classes else 1][:, index]
        ends = np.cumsum([len(each) for each in changed.values()])[:-1]
        scores = dict(zip(changed, np.split(seen[:, None], ends), strict=True))
        kept.append(float(robustness.retained(own[[at]], scores)["robustness"][0]))
    return np.array(kept)
