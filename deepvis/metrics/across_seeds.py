"""Across seeds: features of each filter's final images ``[seeds, filters, channels]`` -> one number a filter.

Features are the means of the layer's maps behind their ReLU: images with equal features are the same to the
layer, however their pixels differ. Only directions count: a step size sets an image's contrast as it likes.
"""

import itertools

import numpy as np


def diversity(features: np.ndarray) -> np.ndarray:
    r"""How far apart the images of one filter are: the mean cosine distance of two seeds.

    .. math:: \overline{1 - \cos(\phi_s, \phi_t)}, \quad s < t

    Args:
      features: none below 0.

    Returns:
      ``[filters]`` in [0, 1]: 0 where all seeds excite the layer alike, 1 where no two of them excite one
      channel in common; NaN of one seed.
      Source: Olah et al. 2017, "Diversity", with channels in the place of their Gram matrix.
    """
    units = _normalized(features)
    if len(units) < 2:
        return np.full(units.shape[1], np.nan)
    pairs = itertools.combinations(units, 2)
    return np.mean([1 - np.einsum("fc,fc->f", one, other) for one, other in pairs], axis=0)


def reproducibility(features: np.ndarray) -> np.ndarray:
    r"""Share of pairs of seeds in which the nearest image of the other seed is of the same filter.

    .. math:: \overline{[\,\operatorname{argmax}_g \cos(\phi_{s,f}, \phi_{t,g}) = f\,]}, \quad s \ne t

    Returns:
      ``[filters]`` in [0, 1], up is better; :math:`1 / \mathrm{filters}` by chance, NaN of one seed or one
      filter. A tie counts as a miss. The more filters, the harder.
      Source: identification accuracy, as Kay et al. 2008 name natural images from brain activity.
    """
    units = _normalized(features)
    seeds, filters = units.shape[:2]
    if seeds < 2 or filters < 2:
        return np.full(filters, np.nan)
    hits = []
    for one, other in itertools.permutations(units, 2):
        cosines = one @ other.T
        matching = cosines.diagonal().copy()
        np.fill_diagonal(cosines, -np.inf)
        is_hit = matching > np.nanmax(cosines, axis=1, initial=-np.inf)
        hits.append(np.where(np.isfinite(matching), is_hit, np.nan))
    return np.mean(hits, axis=0)


def _normalized(features: np.ndarray) -> np.ndarray:
    """Of length 1; NaN where an image excites nothing, or is not finite."""
    features = np.asarray(features, float)
    length = np.sqrt(np.einsum("sfc,sfc->sf", features, features))[..., None]
    return features / np.where((length > 0) & np.isfinite(length), length, np.nan)
