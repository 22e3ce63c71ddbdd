r"""Path similarity: is a synthesized image processed like the natural images that excite the same unit?

With :math:`\rho` the mean similarity of two images' vectors in one layer, compared is

.. math:: \frac{\rho(\text{synthesized}, \text{same}) - \rho(\text{same}, \text{others})}
               {\rho(\text{same}, \text{same}) - \rho(\text{same}, \text{others})}

1: as alike as two natural images that excite the unit; 0: no more than a natural image of another unit.

Source: Geirhos et al. 2024, "Don't trust your eyes" (arXiv:2306.04719), section 4: rank correlations of a
layer's activations. Of contributions (see `deepvis.trust.contributions`) the angle is compared, for which
channels give nothing to a unit is what counts.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy

LEAST = 0.02  # by which natural images of one unit must be more alike than those of two: below, no value


def rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of ``[n, features]`` with each of ``[m, features]``: ``[n, m]``."""
    return _products(scipy.stats.rankdata(one, axis=1), scipy.stats.rankdata(other, axis=1), centred=True)


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The cosine of each row of ``[n, features]`` with each of ``[m, features]``: ``[n, m]``."""
    return _products(one, other, centred=False)


def path_similarity(synthesized: np.ndarray, same: np.ndarray, others: np.ndarray) -> float:
    """The normalized similarity of one unit in one layer.

    Args:
      synthesized: ``[n, m]`` similarities of its synthesized images with its natural ones.
      same: ``[m, m]`` of its natural ones with one another; the diagonal is left out.
      others: ``[m, k]`` of its natural ones with those of other units.

    Returns:
      NaN where natural images of one unit are not more alike than those of two.

    Example:
      >>> same = np.array([[1, 0.8], [0.8, 1]])
      >>> round(path_similarity(np.array([[0.5, 0.5]]), same, np.array([[0.2], [0.2]])), 3)
      0.5
    """
    pairs = same[np.triu_indices(len(same), 1)]
    if not (np.isfinite(pairs).any() and np.isfinite(others).any() and np.isfinite(synthesized).any()):
        return np.nan
    most, least = np.nanmean(pairs), np.nanmean(others)
    if most - least < LEAST:
        return np.nan
    return float((np.nanmean(synthesized) - least) / (most - least))


def _products(one: np.ndarray, other: np.ndarray, centred: bool) -> np.ndarray:
    units = []
    for each in (one, other):
        rows = np.asarray(each, float)
        rows = rows - rows.mean(axis=1, keepdims=True) if centred else rows
        length = np.sqrt(np.einsum("nf,nf->n", rows, rows))[:, None]
        units.append(rows / np.where((length > 0) & np.isfinite(length), length, np.nan))
    return units[0] @ units[1].T


def path_table(
    filters: Sequence[int], contributions: Mapping[str, np.ndarray], activations: Mapping[str, np.ndarray]
) -> list[dict[str, float | str]]:
    """A row a filter and layer; each mapping is by layer, ``[filters]``."""
    return [
        {"filter": index, "layer": layer, "contributions": float(contributions[layer][at]),
         "activations": float(activations[layer][at])}
        for at, index in enumerate(filters)
        for layer in contributions
    ]  # fmt: skip
