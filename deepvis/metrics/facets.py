"""Facets of a unit: do vectors of its images ``[n, features]`` fall into several groups?

Vectors of length 1 are grouped by k-means of angles, with 2, 3, 4 groups; the number is that with the highest
mean silhouette, which is computed for images that were not used to place the centres: pairs of images that
happen to be close make groups in any small sample, but not in the images that are left out.

A row of images that change little by little can be cut in two with a high silhouette, too. Groups are *apart*
where they are further from one another than those of images without any: drawn uniformly along the principal
axes, with the spread of the unit's own along each. Of k groups k - 1 axes are compared, which hold their
centres. Few images seldom tell that: of nine photographs of each of eight units that are sums of two channels
all have several groups, and those of three units are apart (experiments/fooling).

Source: silhouette: Rousseeuw 1987; uniform reference along principal axes: Tibshirani et al. 2001,
"Estimating the number of clusters in a data set via the gap statistic", reference b; spherical k-means:
Dhillon and Modha 2001; several facets of one unit: Nguyen et al. 2016 (arXiv:1602.03616).
"""

from dataclasses import dataclass

import numpy as np

MOST = 4  # groups
STRUCTURE = 0.5  # mean silhouette from which groups are told apart (Kaufman and Rousseeuw 1990: reasonable)
STARTS, ROUNDS, FOLDS = 8, 50, 3
REFERENCES = 39  # samples without groups, all of which must have a lower silhouette: 1 in 40 by chance


@dataclass(frozen=True, eq=False)
class Facets:
    """Groups of a unit's images."""

    count: int  # 1 where no groups are told apart
    silhouette: float  # mean, of images left out, of the best number of groups; NaN of too few images
    groups: np.ndarray  # [n] the group of each image
    is_apart: bool = False  # whether a row of images that change little by little would not give as many


def facets(vectors: np.ndarray, seed: int = 0) -> Facets:
    """The groups that images of one unit fall into.

    Args:
      vectors: ``[n, features]``, of 6 images or more; rows of length 0 or NaN are one group: nothing is said.
      seed: of the folds and the first centres.
    """
    vectors = np.asarray(vectors, float)
    n = len(vectors)
    length = np.sqrt(np.einsum("nf,nf->n", vectors, vectors))
    one = Facets(1, np.nan, np.zeros(n, int))
    if n < 2 * FOLDS or not (np.isfinite(length) & (length > 0)).all():
        return one
    units = vectors / length[:, None]
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(n), FOLDS)
    scores = {k: _held_out(units, k, folds, rng) for k in range(2, min(MOST, n // FOLDS) + 1)}
    best = max(scores, key=lambda k: scores[k])
    if scores[best] < STRUCTURE:
        return Facets(1, scores[best], np.zeros(n, int))
    groups = _nearest(units, _centres(units, best, rng))
    return Facets(best, scores[best], groups, _is_apart(units, best, folds, rng))


def grouped(units: np.ndarray, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 in a given number of groups.

    Args:
      units: ``[n, features]``, at least as many as groups.
      count: of the groups.
      seed: of the first centres.

    Returns:
      The group of each, ``[n]``, and the centres, ``[count, features]``, of length 1; a group may be empty.
    """
    centres = _centres(units, count, np.random.default_rng(seed))
    return _nearest(units, centres), centres


def silhouettes(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The silhouette of each row by the distance 1 - cosine, ``[n]``; 0 of a group of one."""
    distances = 1 - vectors @ vectors.T
    is_same = groups[:, None] == groups[None]
    sizes = is_same.sum(axis=1)
    inner = np.where(is_same, distances, 0).sum(axis=1) / np.maximum(sizes - 1, 1)
    outer = np.full(len(groups), np.inf)
    for group in np.unique(groups):
        members = groups == group
        mean = distances[:, members].mean(axis=1)
        outer = np.where(members, outer, np.minimum(outer, mean))
    larger, is_told = np.maximum(inner, outer), (sizes > 1) & np.isfinite(outer)  # one group has no other
    return np.divide(outer - inner, larger, out=np.zeros(len(groups)), where=is_told & (larger > 0))


def _is_apart(units: np.ndarray, k: int, folds: list[np.ndarray], rng: np.random.Generator) -> bool:
    """Whether groups are further apart than those of vectors that are spread alike, but evenly."""
    left, sizes, _ = np.linalg.svd(units - units.mean(axis=0), full_matrices=False)
    places = (left * sizes)[:, : k - 1]
    sides = np.sqrt(3) * places.std(axis=0)  # of a uniform distribution with that standard deviation
    far = 10 * np.linalg.norm(sides)  # seen from there, angles are distances

    def score(along: np.ndarray) -> float:
        vectors = np.column_stack([along, np.full(len(along), far)])
        return _held_out(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), k, folds, rng)

    found = score(places)
    return all(score(rng.uniform(-sides, sides, places.shape)) < found for _ in range(REFERENCES))


def _held_out(units: np.ndarray, k: int, folds: list[np.ndarray], rng: np.random.Generator) -> float:
    """Mean silhouette of images whose group is that of the nearest centre, found without them."""
    groups = np.zeros(len(units), int)
    reference: np.ndarray | None = None
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(units)), fold)
        centres = _centres(units[rest], k, rng)
        if reference is None:
            reference = centres
        else:  # the same group has the same number in each fold
            centres = _matched(centres, reference)
        groups[fold] = _nearest(units[fold], centres)
    return float(silhouettes(units, groups).mean())


def _matched(centres: np.ndarray, reference: np.ndarray) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    _, order = linear_sum_assignment(-(reference @ centres.T))
    return centres[order]


def _nearest(units: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.argmax(units @ centres.T, axis=1)


def _centres(units: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Of the best of some runs of spherical k-means, ``[k, features]``."""
    best, most = units[:k], -np.inf
    for _ in range(STARTS):
        centres = units[rng.choice(len(units), k, replace=False)]
        for _ in range(ROUNDS):
            groups = _nearest(units, centres)
            sums = np.stack(
                [units[groups == g].sum(axis=0) if (groups == g).any() else centres[g] for g in range(k)]
            )
            length = np.sqrt(np.einsum("kf,kf->k", sums, sums))[:, None]
            moved = sums / np.where(length > 0, length, 1)
            if np.array_equal(moved, centres):
                break
            centres = moved
        total = float((units @ centres.T).max(axis=1).sum())
        if total > most:
            best, most = centres, total
    return best
