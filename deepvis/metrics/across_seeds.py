"""Across seeds: the features of one filter's images [seeds, ..., channels] -> one number a filter.

Features are the means of the layer's maps behind their ReLU, by the last image of each seed. Two images with
the same features are the same to the layer, however their pixels differ. Lengths do not count, only
directions: a step size sets an image's contrast as it likes.
"""

import itertools

import numpy as np


def diversity(features: np.ndarray) -> np.ndarray:
    r"""How far apart the images of one filter are: the mean cosine distance of two seeds.

    .. math:: \overline{1 - \cos(\phi_s, \phi_t)}, \quad s < t

    Args:
      features: ``[seeds, filters, channels]``, none below 0.

    Returns:
      ``[filters]`` in [0, 1]: 0 where all seeds excite the layer alike, 1 where no two of them excite one
      channel in common; NaN of one seed. Up: the filter has several faces.
      Source: Olah et al. 2017, "Diversity", with channels in the place of their Gram matrix.

    Example:
      >>> diversity(np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).tolist()
      [1.0]
    """
    along = _directions(features)
    pairs = list(itertools.combinations(range(len(along)), 2))
    if not pairs:
        return np.full(along.shape[1], np.nan)
    return np.mean([1 - np.einsum("fc,fc->f", along[s], along[t]) for s, t in pairs], axis=0)


def reproducibility(features: np.ndarray) -> np.ndarray:
    r"""How surely an image tells its filter: in how many pairs of seeds the nearest in features, of all the
    images from the other seed, is the filter's own.

    .. math:: \overline{[\,\operatorname{argmax}_g \cos(\phi_{s,f}, \phi_{t,g}) = f\,]}, \quad s \ne t

    Args:
      features: ``[seeds, filters, channels]``.

    Returns:
      ``[filters]`` in [0, 1], up is better; :math:`1 / \mathrm{filters}` by chance, NaN of one seed or one
      filter. A tie counts as a miss. The more filters, the harder.
      Source: identification accuracy, as Kay et al. 2008 name natural images from brain activity.

    Example:
      >>> reproducibility(np.stack([np.eye(3), np.eye(3)])).tolist()
      [1.0, 1.0, 1.0]
    """
    along = _directions(features)
    seeds, filters = along.shape[:2]
    if seeds < 2 or filters < 2:
        return np.full(filters, np.nan)
    hits = []
    for s, t in itertools.permutations(range(seeds), 2):
        likeness = along[s] @ along[t].T
        matching = likeness.diagonal().copy()
        np.fill_diagonal(likeness, -np.inf)
        is_hit = matching > np.nanmax(likeness, axis=1, initial=-np.inf)
        hits.append(np.where(np.isfinite(matching), is_hit, np.nan))
    return np.mean(hits, axis=0)


def _directions(features: np.ndarray) -> np.ndarray:
    """Of length 1; NaN where an image excites nothing, or is not finite."""
    features = np.asarray(features, float)
    length = np.sqrt(np.einsum("sfc,sfc->sf", features, features))[..., None]
    return features / np.where((length > 0) & np.isfinite(length), length, np.nan)
