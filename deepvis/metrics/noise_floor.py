"""The numerical noise floor: perturbed replicas -> how far rounding alone moves a filter.

A replica starts one ulp away from its image, so the two differ by rounding that ascent amplified: a
difference of two draws of that noise, as the difference of two settings is where the settings do nothing.
"""

import numpy as np

QUANTILE = 0.95
DRAWS = 20_000


def typical(differences: np.ndarray) -> float:
    """The median distance of a replica from its image, over images; it does not shrink with seeds."""
    distances = np.abs(differences[np.isfinite(differences)])
    return float(np.median(distances)) if len(distances) else np.nan


def threshold(differences: np.ndarray, replicates: int, terms: int = 2) -> np.ndarray:
    r"""What a filter's change stays below in 95 of 100 cases where rounding is all that acts.

    .. math:: t_f = s_f \, Q_{.95}\left( \left| \overline{\pm n_{gd} / s_{g \setminus d}} \right| \right)
              \sqrt{terms / 2}

    The quantile is taken over the replicas of all filters, each in the scale of the other replicas of its
    filter (:math:`s`, root mean square, with that of all filters as one draw more); the mean is over as many
    of them as the change is averaged over.

    Args:
      differences: replica minus image, ``[filters, draws]``, NaN where there is none; at least two draws.
      replicates: number of differences that a change is averaged over.
      terms: images in each of these: 2 of a difference, 4 of a difference of differences.

    Returns:
      ``[filters]``; NaN of a filter without replicas.
    """
    finite = np.isfinite(differences)
    squares, counts = np.where(finite, differences, 0.0) ** 2, finite.sum(axis=1)
    if not counts.any():
        return np.full(len(differences), np.nan)
    overall = squares.sum() / counts.sum()
    if overall == 0:
        return np.where(counts > 0, 0.0, np.nan)
    totals = squares.sum(axis=1)
    others = np.sqrt((totals[:, None] - squares + overall) / np.maximum(counts, 1)[:, None])
    ratios = np.where(finite, differences, 0.0) / others
    pool = np.concatenate([ratios[finite], -ratios[finite]])
    drawn = (
        np.random.default_rng(0).choice(pool, (DRAWS, replicates)).mean(axis=1) if replicates > 1 else pool
    )
    scale = np.sqrt((totals + overall) / (counts + 1))
    return np.where(counts > 0, scale * np.quantile(np.abs(drawn), QUANTILE) * np.sqrt(terms / 2), np.nan)


def changed(change: np.ndarray, limit: np.ndarray) -> float:
    """Share of the filters that changed by more than their threshold; NaN where no filter has both."""
    known = ~np.isnan(change) & ~np.isnan(limit)
    return float(np.mean(np.abs(change[known]) > limit[known])) if known.any() else np.nan
