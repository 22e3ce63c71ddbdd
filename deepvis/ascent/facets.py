"""Facets: starts that are mean images of groups of photographs that excite a unit (multifaceted start).

    facets(size, seed, index, mean, values, options) -> image [*size, C], centred pixels, float32

What photographs do to the units of a layer is computed once in a process, whatever is started from them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepvis import networks
from deepvis.ascent.objectives import means
from deepvis.config import schema
from deepvis.config.knobs import DISPLAY, REQUIRED, Knob, declare
from deepvis.config.schema import Config, Settings
from deepvis.core.errors import ConfigError
from deepvis.data import Photographs, batches, photographs
from deepvis.metrics import facets as groups
from deepvis.networks.backend import tf
from deepvis.networks.base import Size

BATCH = 16


@dataclass(frozen=True, eq=False)
class PhotographValues:
    """What photographs do to a layer; those that could be read, n of them."""

    scores: np.ndarray  # [n, units]: mean of each map, as the objective takes it
    codes: np.ndarray  # [n, features]: mean of each map behind its nonlinearity, of the layer for groups
    image: Callable[[int], np.ndarray]  # number of a photograph -> [*size, C], grey levels


def _count(help: str) -> Knob:
    return Knob(REQUIRED, help, low=1, high=100_000, kind=int, static=True)


@declare(
    "start",
    None,
    {
        "facet": Knob(
            REQUIRED,
            "which group, from 0, whose photographs excite the unit most",
            low=0,
            kind=int,
            static=True,
        ),
        "facets": _count("groups of photographs"),
        "strongest": _count("photographs that are grouped, those that excite the unit most"),
        "nearest": _count("photographs whose mean is taken, those nearest to their group's centre"),
        "codes": Knob(None, "layer whose maps group photographs; none: the job's", kind=str, static=True),
        "display": DISPLAY,
    },
    photographs=True,
)
def facets(
    size: Size,
    seed: int,
    index: int,
    mean: np.ndarray,
    *,
    values: PhotographValues,
    facet: int,
    facets: int,
    strongest: int,
    nearest: int,
    codes: str | None = None,
) -> np.ndarray:
    r"""The mean image of a group of photographs that excite the unit: one facet of what it responds to.

    .. math:: x = \frac{1}{|N_g|} \sum_{n \in N_g} y_n - \mu

    The ``strongest`` photographs of the unit are grouped by k-means of the angles between their codes;
    :math:`N_g` are the ``nearest`` of group :math:`g` to its centre. Groups are numbered by the mean score of
    their photographs, the highest first. The seed chooses the first centres.

    Args:
      size: height and width, px.
      seed: of the job.
      index: the unit.
      mean: :math:`\mu`.
      values: of the photographs :math:`y_n`.
      facet: :math:`g`.
      facets: k.
      strongest: photographs; fewer where there are no more.
      nearest: photographs; fewer where a group has no more.
      codes: the layer of the codes, which are in ``values``.

    Raises:
      ConfigError: the photographs fall into fewer groups.

    Source: Nguyen et al. 2016, "Multifaceted Feature Visualization", arXiv:1602.03616, section
    "Mean image initialization": codes of fc7, means of the 15 photographs nearest to each of 10 centres. They
    bring the codes to two dimensions by PCA and t-SNE before k-means; here they are grouped as they are, for
    few photographs make no map.
    """
    order = np.argsort(-values.scores[:, index], kind="stable")[:strongest]
    units = np.asarray(values.codes[order], float)
    units /= np.maximum(np.sqrt(np.einsum("nf,nf->n", units, units)), 1e-30)[:, None]
    if len(order) < facets:
        raise ConfigError(
            f"start.facets={facets}: got {len(order)} photographs, expected at least as many as facets"
        )
    group, centres = groups.grouped(units, facets, seed)
    found = []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        closest = members[np.argsort(-(units[members] @ centres[number]), kind="stable")]
        found.append((values.scores[order[members], index].mean(), order[closest]))
    found.sort(key=lambda each: -each[0])
    if facet >= len(found):
        raise ConfigError(
            f"start.facet={facet}: the photographs of unit {index} fall into {len(found)} groups, expected "
            f"0 to {len(found) - 1}"
        )
    images = [values.image(int(number)) for number in found[facet][1][:nearest]]
    return np.asarray(np.mean(images, axis=0) - mean, np.float32)


@functools.lru_cache(maxsize=4)
def of_settings(data: Settings) -> Photographs:
    """The photographs of a config, looked for once in a process."""
    return photographs(schema.plain(data))


def values_of(cfg: Config) -> PhotographValues:
    """What the photographs of a config do to its layer; of an objective of a channel."""
    network = networks.network(schema.plain(cfg.model))
    codes = cfg.start.codes or cfg.layer.name
    pre = bool(cfg.objective.pre_activation)
    return _values(cfg.model, network.fingerprint(), cfg.layer.name, codes, pre, cfg.sides, cfg.data)


@functools.lru_cache(maxsize=4)
def _values(
    model: Settings, read: object, layer: str, codes: str, pre_activation: bool, size: Size, data: Settings
) -> PhotographValues:
    del read  # a file may have been written anew since
    found, network = of_settings(data), networks.network(schema.plain(model))
    built = network.build(sorted({layer, codes}), size, "float32")

    @tf.function(autograph=False)
    def measured(images):
        maps = built.activations(images - tf.constant(built.mean, tf.float32), sorted({layer, codes}))
        return means(maps[layer].maps(pre_activation)), means(maps[codes].post)

    scores, vectors, indices = [], [], []
    for batch in batches(found, size, BATCH, network.channels):
        there = batch.indices >= 0
        score, vector = (each.numpy()[there] for each in measured(batch.images))
        if not (np.isfinite(score).all() and np.isfinite(vector).all()):
            raise ConfigError(f"start=facets: got NaN or infinity in {layer} on {found.place}")
        indices.append(batch.indices[there])
        scores.append(score)
        vectors.append(vector)
    numbers = np.concatenate(indices)
    return PhotographValues(
        np.concatenate(scores),
        np.concatenate(vectors),
        lambda number: np.asarray(found.image(int(numbers[number]), size, network.channels), np.float32),
    )


def check(cfg: Config) -> None:
    """Refuse a start from photographs that there are not, or of what is no unit.

    Raises:
      ConfigError: with one line.
    """
    start = cfg.start
    name = schema.component("objective", cfg.objective).name
    if name != "channel":
        raise ConfigError(
            f"start=facets: photographs are ranked by the mean of a channel, got objective={name}; take "
            "objective=channel"
        )
    if start.facet >= start.facets:
        raise ConfigError(
            f"start.facet={start.facet}: expected 0 to {start.facets - 1}, for start.facets={start.facets}"
        )
    network = networks.network(schema.plain(cfg.model))
    if network.channels not in (1, 3):
        raise ConfigError(
            f"start=facets: a photograph has 1 or 3 channels, this network's image {network.channels}"
        )
    if start.codes is not None:
        network.map_size(network.layer(start.codes, "start.codes").name, cfg.sides)
    count = min(len(of_settings(cfg.data)), start.strongest)
    if count < start.facets:
        raise ConfigError(
            f"start.facets={start.facets}: got {count} photographs, expected as many as facets; take "
            "data=folder data.path=..."
        )
