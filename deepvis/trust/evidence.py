"""Evidence: units, their synthesized images and photographs -> what speaks for and against believing them.

Four things are measured of each unit: how strongly its synthesized image excites it beside the best
photograph; whether both excite it by the same way (`deepvis.metrics.path_similarity`); whether an observer
can tell by the images what excites it (`deepvis.metrics.forced_choice`); and whether photographs, and its
synthesized images from several seeds, excite it by one way or several (`deepvis.metrics.facets`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.core.counting import Tell, nobody
from deepvis.core.errors import ConfigError
from deepvis.data import Photographs
from deepvis.metrics import facets, forced_choice
from deepvis.metrics.path_similarity import cosines, path_similarity, rank_correlations
from deepvis.networks import Network
from deepvis.trust import contributions
from deepvis.trust.contributions import Paths
from deepvis.trust.natural_values import BATCH, NaturalValues, natural_values

BEST = 9  # photographs that are taken for what excites a unit
OTHERS = 8  # units whose photographs are compared with; they are drawn where fewer are asked of
LEAST = 8  # photographs, below which nothing can be measured
NEAREST = 2  # convolutions below a unit whose path counts, of those of which it sums several channels
TASKS = 10  # of a forced choice, at most


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured of some units; each array is ``[n]``, NaN where it could not be had."""

    filters: Sequence[int]
    photographs: int  # that could be read
    strength: np.ndarray  # the highest value of its synthesized images, over the highest of a photograph
    best: np.ndarray  # the highest value of a photograph
    path: np.ndarray  # similarity of contributions, the lower one of the two nearest convolutions below
    by_layer: Mapping[str, np.ndarray]  # of contributions, all convolutions below
    activations: Mapping[str, np.ndarray]  # of activations, as published
    choice_natural: np.ndarray  # share of tasks that are right with photographs as explanations
    choice_synthesized: np.ndarray  # with synthesized images
    facets: np.ndarray  # groups of contributions of photographs
    seed_facets: np.ndarray  # groups of contributions of its synthesized images, of 6 seeds or more
    examples: np.ndarray  # [n, k] the photographs that excite it most, as indices
    apart: Sequence[str] = ()  # yes, no: whether facets of photographs are apart; empty of one facet
    seed_apart: Sequence[str] = ()  # of `seed_facets`, likewise
    broken: Sequence[tuple[str, str]] = ()  # photographs that could not be read, and why
    grouped: np.ndarray | None = None  # [seeds, n, channels] contributions that `seed_facets` groups
    grouped_layer: str = ""  # whose they are; empty where no convolution below tells


@dataclass(frozen=True, eq=False)
class Natural:
    """What photographs do to some units, whichever images are compared with them."""

    filters: Sequence[int]
    found: NaturalValues
    observed: np.ndarray  # [photographs, features] what a machine sees in them
    paths: Paths  # of the photographs that excite each unit most, and some others, unit by unit
    units: np.ndarray  # whose each of these is
    best: int  # photographs of a unit among these
    below: Sequence[str]  # convolutions below
    read: Callable[[Iterable[np.ndarray], np.ndarray], Paths]
    centre: np.ndarray  # grey levels that 0 stands for


def natural(
    network: Network,
    layer: str,
    filters: Sequence[int],
    photographs: Photographs,
    size: tuple[int, int],
    observe: Callable[[np.ndarray], np.ndarray],
    tell: Tell = nobody,
) -> Natural:
    """What photographs do to some units; see `evidence`.

    Args:
      network, layer, filters, photographs, observe: see there.
      size: of the images, height and width, px.
      tell: is called with the photographs that were passed since, each twice, and with those that are done.

    Raises:
      ConfigError: fewer photographs than `LEAST`.
    """
    found = natural_values(network, layer, photographs, size, tell)
    count = len(found.indices)
    if count < LEAST:
        noun = "photograph" if count == 1 else "photographs"
        raise ConfigError(f"data: got {count} {noun} that can be read, expected {LEAST} or more")

    def pictures(which: np.ndarray) -> Iterator[np.ndarray]:  # one by one: all may fill the memory
        return (photographs.image(int(index), size, network.channels) for index in which)

    k = min(BEST, count // 4)
    units = _units_compared(np.asarray(filters), found.values)
    below = contributions.layers_below(network, layer)
    read = contributions.reader(network, layer, below, size)
    tops = np.argsort(-found.values[:, units], axis=0, kind="stable")[:k].T  # [units, k]
    centre = np.asarray(network.centre, np.float32)
    owners = np.repeat(units, k)
    paths = read((each - centre for each in pictures(found.indices[tops.reshape(-1)])), owners)
    tell(len(found.broken), len(found.broken))
    observed = []
    for part in np.array_split(found.indices, range(BATCH, count, BATCH)):
        observed.append(observe(np.stack([*pictures(part)])))
        tell(len(part), len(part))
    return Natural(filters, found, np.concatenate(observed), paths, owners, k, below, read, centre)


def evidence(
    network: Network,
    layer: str,
    filters: Sequence[int],
    synthesized: np.ndarray,
    photographs: Photographs,
    observe: Callable[[np.ndarray], np.ndarray],
    shown: np.ndarray | None = None,
    tell: Tell = nobody,
) -> Evidence:
    """What speaks for and against believing the synthesized images of some units.

    Args:
      network: of the units.
      layer: of the units.
      filters: its channels.
      synthesized: ``[seeds, n, H, W, C]`` centred images, of each filter one or more.
      photographs: cropped and scaled to the size of the images.
      observe: what a machine sees in images, (grey levels ``[n, H, W, C]``) -> ``[n, features]``.
      shown: see `compared`.
      tell: see `natural`.

    Raises:
      ConfigError: fewer photographs than `LEAST`.
    """
    size = (synthesized.shape[2], synthesized.shape[3])
    found = natural(network, layer, filters, photographs, size, observe, tell)
    return compared(found, synthesized, observe, shown)


def compared(
    photographs: Natural,
    synthesized: np.ndarray,
    observe: Callable[[np.ndarray], np.ndarray],
    shown: np.ndarray | None = None,
) -> Evidence:
    """Synthesized images beside what photographs do; see `evidence`.

    Args:
      photographs: what they do.
      synthesized: ``[seeds, n, H, W, C]`` centred images.
      observe: what a machine sees in images.
      shown: ``[seeds, n, H, W, 3]`` the same as pictures that people see, in grey levels: what the machine
        sees. None: the pixels themselves.
    """
    seeds, n = synthesized.shape[:2]
    images = synthesized.reshape(-1, *synthesized.shape[2:])
    units, found, k = np.asarray(photographs.filters), photographs.found, photographs.best
    below, paths = photographs.below, photographs.paths
    made = photographs.read(images, np.tile(units, seeds))
    by_layer = {name: _paths(paths, made, name, k, n, cosines, "contributions") for name in below}
    activations = {name: _paths(paths, made, name, k, n, rank_correlations, "means") for name in below}
    values = found.values[:, units]
    telling = contributions.summed((paths, photographs.units), (made, np.tile(units, seeds)))
    best, nearest = values.max(axis=0), [by_layer[name] for name in telling[-NEAREST:]]
    seen = images + photographs.centre if shown is None else shown.reshape(-1, *shown.shape[2:])
    choice = _choices(values, photographs.observed, observe(seen[..., : images.shape[-1]]), seeds)
    tops = np.argsort(-values, axis=0, kind="stable")[:k].T
    groups = [_facets(paths, telling, slice(at * k, at * k + k)) for at in range(n)]
    of_seeds = [_facets(made, telling, slice(at, None, n)) for at in range(n)]
    layer = telling[-1] if telling else ""
    return Evidence(
        photographs.filters, len(found.indices),
        _ratio(made.values.reshape(seeds, n).max(axis=0), best), best,
        lowest(nearest, n), by_layer, activations, *choice,
        np.array([each for each, _ in groups]),
        np.array([each for each, _ in of_seeds]),
        found.indices[tops], [word for _, word in groups], [word for _, word in of_seeds], found.broken,
        made.contributions[layer].reshape(seeds, n, -1) if telling else None, layer,
    )  # fmt: skip


def lowest(values: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The lowest of some ``[n]`` that are numbers, NaN where none is."""
    return np.fmin.reduce([np.full(n, np.nan), *values])


def _units_compared(units: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The units, and others after them where they are few."""
    rest = np.setdiff1d(np.flatnonzero(values.max(axis=0) > 0), units)
    drawn = np.random.default_rng(0).permutation(rest)[: max(OTHERS - len(units) + 1, 0)]
    return np.concatenate([units, drawn])


def _ratio(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Infinite where no photograph excites a unit and its synthesized image does."""
    silent = np.where(values > 0, np.inf, np.nan)
    return np.where(best > 0, values / np.where(best > 0, best, 1), silent)


def _paths(
    natural: Paths,
    made: Paths,
    layer: str,
    k: int,
    n: int,
    similarity: Callable[[np.ndarray, np.ndarray], np.ndarray],
    what: str,
) -> np.ndarray:
    """The path similarity of each unit in a layer."""
    ours = getattr(natural, what)[layer]
    ours, theirs = ours.reshape(-1, k, ours.shape[-1]), getattr(made, what)[layer]
    theirs = theirs.reshape(-1, n, theirs.shape[-1])
    found = []
    for at in range(n):
        others = np.delete(ours, at, axis=0)[:OTHERS].reshape(-1, ours.shape[-1])
        found.append(
            path_similarity(
                similarity(theirs[:, at], ours[at]),
                similarity(ours[at], ours[at]),
                similarity(ours[at], others),
            )
        )
    return np.array(found)


def _choices(
    values: np.ndarray, natural: np.ndarray, made: np.ndarray, seeds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shares of right answers with photographs and with synthesized images as explanations.

    Of synthesized images the lower end are those of the other units.
    """
    middle, spread = natural.mean(axis=0), natural.std(axis=0) + 1e-9
    natural, made = (natural - middle) / spread, (made - middle) / spread
    n, made = values.shape[1], made.reshape(seeds, -1, made.shape[-1])
    found = np.full((2, n), np.nan)
    explanations = min(BEST, len(natural) // 4)
    count = min(TASKS, len(natural) // 2 - explanations)
    for at in range(n):
        if count < 1 or np.ptp(values[:, at]) == 0:
            continue
        asked = forced_choice.tasks(values[:, at], count, explanations)
        high, low = natural[asked.high], natural[asked.low]
        most, least = natural[asked.most], natural[asked.least]
        found[0, at] = forced_choice.accuracy(_decided(high, low, most, least))
        if n > 1:
            others = np.delete(made, at, axis=1).reshape(-1, made.shape[-1])
            found[1, at] = forced_choice.accuracy(_decided(high, low, made[:, at], others))
    return found[0], found[1]


def _decided(high: np.ndarray, low: np.ndarray, most: np.ndarray, least: np.ndarray) -> np.ndarray:
    return forced_choice.decisions(
        cosines(high, most), cosines(high, least), cosines(low, most), cosines(low, least)
    )


def _facets(read: Paths, telling: Sequence[str], rows: slice) -> tuple[float, str]:
    """Groups of contributions of a unit's images, in the nearest convolution that tells; are they apart?"""
    if not telling:
        return np.nan, ""
    found = facets.facets(read.contributions[telling[-1]][rows])
    word = ("yes" if found.is_apart else "no") if found.count > 1 else ""
    return (float(found.count) if np.isfinite(found.silhouette) else np.nan), word
