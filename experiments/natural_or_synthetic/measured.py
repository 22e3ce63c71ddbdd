"""What is measured of units and images that are to explain them: photographs -> `Natural` -> a row a unit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.data import Photographs
from deepvis.metrics import facets, forced_choice
from deepvis.metrics.path_similarity import cosines, path_similarity
from deepvis.networks import Network
from deepvis.trust import contributions
from deepvis.trust.evidence import lowest
from deepvis.trust.natural_values import natural_values

K = 9  # photographs that explain each end of a unit
TASKS = {"choice": 20, "choice_scenes": 10}  # of a unit, with queries from all photographs, and from scenes
NEAREST = 2  # convolutions below a unit whose contributions are compared
OTHERS = 8  # units whose photographs are compared with
Row = dict[str, object]
Observer = Callable[[np.ndarray], np.ndarray]  # grey levels [n, H, W, 3] -> features [n, F]


@dataclass(frozen=True, eq=False)
class Natural:
    """What photographs do to some units, and what an observer sees in them."""

    units: np.ndarray  # [n] channels of a layer
    pictures: np.ndarray  # [photographs, H, W, 3] grey levels
    is_scene: np.ndarray  # [photographs] whole, not a cut-out on a fixed ground
    values: np.ndarray  # [photographs, n] at the strongest position
    seen: np.ndarray  # [photographs, F] standardized features
    observe: Observer  # standardized likewise
    tops: np.ndarray  # [n, K] the photographs that excite each unit most
    contributions: Mapping[str, np.ndarray]  # by layer below, [n, K, C]
    telling: Sequence[str]  # those of them in which a unit sums several channels
    read: Callable[[np.ndarray, np.ndarray], contributions.Paths]
    centre: np.ndarray


def natural(
    network: Network, layer: str, units: np.ndarray, photographs: Photographs, observe: Observer, size: int
) -> Natural:
    """Measure what all images of some units are compared with.

    Args:
      network: of the units.
      layer: of the units.
      units: its channels.
      photographs: cropped about their centre and scaled.
      observe: what another network sees in images.
      size: px.
    """
    found = natural_values(network, layer, photographs, (size, size))
    values = found.values[:, units]
    pictures = np.stack([photographs.image(int(k), (size, size)) for k in found.indices])
    seen = observe(pictures)
    middle, spread = seen.mean(axis=0), seen.std(axis=0) + 1e-9
    below = contributions.layers_below(network, layer)[-NEAREST:]
    read = contributions.reader(network, layer, below, (size, size))
    centre = np.float32(network.centre)
    tops = np.argsort(-values, axis=0, kind="stable")[:K].T
    owners = np.repeat(units, K)
    paths = read(pictures[tops.reshape(-1)] - centre, owners)
    is_scene = np.array([photographs.names[int(k)].startswith("scenes/") for k in found.indices])
    return Natural(
        units, pictures, is_scene, values,
        (seen - middle) / spread, lambda images: (observe(images) - middle) / spread, tops,
        {name: each.reshape(len(units), K, -1) for name, each in paths.contributions.items()},
        contributions.summed((paths, owners)), read, centre,
    )  # fmt: skip


def synthesized_rows(found: Natural, centred: np.ndarray, shown: np.ndarray) -> list[Row]:
    """A row a unit, of images that are to explain it.

    Args:
      found: of the photographs.
      centred: ``[n, H, W, 3]`` one image a unit, as it was optimized.
      shown: ``[n, H, W, 3]`` the same in grey levels, as a gallery shows it; the observer sees this.
    """
    made = found.read(centred, found.units)
    best = found.values.max(axis=0)
    strength = np.where(best > 0, made.values / np.where(best > 0, best, 1), np.nan)
    path = lowest([_paths(found, name, made.contributions[name]) for name in found.telling], len(best))
    chosen = choices(found, found.observe(shown)[:, None])
    return [
        {"unit": int(unit), "strength": float(strength[at]), "path": float(path[at])} | chosen[at]
        for at, unit in enumerate(found.units)
    ]


def natural_rows(found: Natural) -> dict[str, list[Row]]:
    """By kind of explanation, a row a unit: extreme photographs, the best one alone, extremes shuffled."""
    kinds = {
        "photographs": choices(found),
        "photographs, upper end": choices(found, found.seen[found.tops]),
        "one photograph": choices(found, found.seen[found.tops[:, :1]]),
        "photographs, shuffled": choices(found, shuffled=True),
    }
    groups = [facets.facets(each).count for each in found.contributions[found.telling[-1]]]
    return {
        kind: [{"unit": int(unit), "strength": np.nan, "path": np.nan} | rows[at] | {"facets": groups[at]}
               for at, unit in enumerate(found.units)]
        for kind, rows in kinds.items()
    }  # fmt: skip


def choices(found: Natural, features: np.ndarray | None = None, shuffled: bool = False) -> list[Row]:
    """The share of right answers of each unit, among all photographs and among scenes alone.

    Args:
      found: of the photographs, from which the queries are; no query is an explanation.
      features: of images that explain the upper end of each unit, ``[n, m, F]``; those of all other units
        explain its lower end. None: its extreme photographs explain both.
      shuffled: the photographs of both ends are dealt at random, anew for each task.
    """
    pools = {"choice": np.ones(len(found.values), bool), "choice_scenes": found.is_scene}
    rows: list[Row] = [{} for _ in found.units]
    for name, is_in in pools.items():
        seen, chance = found.seen[is_in], np.random.default_rng(0)
        for at in range(len(found.units)):
            values = found.values[is_in, at]
            if np.ptp(values) == 0 or len(values) < 2 * (TASKS[name] + K):
                rows[at][name] = np.nan
                continue
            asked = forced_choice.tasks(values, TASKS[name], K)
            high, low = seen[asked.high], seen[asked.low]
            if features is None:
                ends = seen[asked.most], seen[asked.least]
            else:
                ends = features[at], np.delete(features, at, axis=0).reshape(-1, features.shape[-1])
            if shuffled:
                each = [_decided(high[[t]], low[[t]], *_dealt(ends, chance)) for t in range(TASKS[name])]
                rows[at][name] = forced_choice.accuracy(np.concatenate(each))
            else:
                rows[at][name] = forced_choice.accuracy(_decided(high, low, *ends))
    return rows


def _dealt(ends: tuple[np.ndarray, np.ndarray], chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    both = chance.permutation(np.concatenate(ends))
    return both[: len(ends[0])], both[len(ends[0]) :]


def _decided(high: np.ndarray, low: np.ndarray, most: np.ndarray, least: np.ndarray) -> np.ndarray:
    return forced_choice.decisions(
        cosines(high, most), cosines(high, least), cosines(low, most), cosines(low, least)
    )


def _paths(found: Natural, layer: str, given: np.ndarray) -> np.ndarray:
    """The path similarity of each unit's image in one layer."""
    ours, rows = found.contributions[layer], []
    for at, image in enumerate(given):
        others = np.delete(ours, at, axis=0)[:OTHERS].reshape(-1, ours.shape[-1])
        rows.append(path_similarity(
            cosines(image[None], ours[at]), cosines(ours[at], ours[at]), cosines(ours[at], others)
        ))  # fmt: skip
    return np.array(rows)
