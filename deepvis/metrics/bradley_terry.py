"""Bradley and Terry's model: votes between two settings -> how strong each is, with intervals.

The chance that setting i wins against j is s_i / (s_i + s_j); a tie is half a win of either. Votes on the
pictures of one filter are not independent, so filters are the unit of repetition here as everywhere.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats
from scipy.sparse import csgraph

from deepvis.metrics.shares import FEW, LEVEL, Share, share


@dataclass(frozen=True)
class Votes:
    """Votes between settings, ``[votes]`` each."""

    first: np.ndarray  # index of a setting
    second: np.ndarray  # likewise
    outcome: np.ndarray  # 1: the first won, 0: the second, 0.5: a tie
    filters: np.ndarray  # index of the filter whose pictures they were


@dataclass(frozen=True)
class Strengths:
    """Log strengths, ``[settings]``, of mean 0; NaN of a setting that no votes connect with the others."""

    estimate: np.ndarray
    low: np.ndarray  # NaN where there are fewer than `FEW` filters
    high: np.ndarray
    votes: np.ndarray  # how many each took part in
    wins: np.ndarray  # of these; a tie is half a win


def strengths(votes: Votes, settings: int) -> Strengths:
    r"""Fit Bradley and Terry's model by penalized likelihood.

    .. math:: \sum_v y_v \log \sigma(d_v) + (1 - y_v) \log \sigma(-d_v) + \tfrac12 \log \det I(\theta),
              \quad d_v = \theta_{i_v} - \theta_{j_v}

    Jeffreys' penalty keeps a setting that won every vote finite (Firth 1993). The intervals are of the
    sandwich estimator with filters as clusters (Liang and Zeger 1986), by Student's t, and no narrower than
    those of the observed information, for which votes were independent.

    Args:
      votes: at least one.
      settings: how many there are.
    """
    took = np.bincount(votes.first, minlength=settings) + np.bincount(votes.second, minlength=settings)
    won = np.bincount(votes.first, votes.outcome, settings)
    won += np.bincount(votes.second, 1 - votes.outcome, settings)
    empty = np.full(settings, np.nan)
    members = _connected(votes, settings, took)
    inside = np.isin(votes.first, members)
    place = np.full(settings, -1)
    place[members] = np.arange(len(members))
    design = np.zeros((inside.sum(), len(members)))
    rows = np.arange(len(design))
    design[rows, place[votes.first[inside]]] = 1
    design[rows, place[votes.second[inside]]] = -1
    # The mean is 0: one number fewer than settings, in an orthogonal basis of what is left.
    basis = np.linalg.svd(np.ones((1, len(members))))[2][1:].T
    design, outcome = design @ basis, votes.outcome[inside]

    def information(beta: np.ndarray) -> np.ndarray:
        chance = special.expit(design @ beta)
        return design.T @ (design * (chance * (1 - chance))[:, None])

    def loss(beta: np.ndarray) -> float:
        d = design @ beta
        likelihood = outcome @ special.log_expit(d) + (1 - outcome) @ special.log_expit(-d)
        return -float(likelihood) - 0.5 * float(np.linalg.slogdet(information(beta))[1])

    beta = optimize.minimize(loss, np.zeros(basis.shape[1]), method="BFGS").x
    inverse = np.linalg.inv(information(beta))
    residuals = design * (outcome - special.expit(design @ beta))[:, None]
    names, cluster = np.unique(votes.filters[inside], return_inverse=True)
    scores = np.zeros((len(names), basis.shape[1]))
    np.add.at(scores, cluster, residuals)
    count = len(names)
    estimate, low, high = empty.copy(), empty.copy(), empty.copy()
    estimate[members] = basis @ beta
    if count >= FEW:
        covariance = basis @ inverse @ (scores.T @ scores) @ inverse @ basis.T * count / (count - 1)
        half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * np.sqrt(np.diag(covariance))
        # Of many settings and few filters the sandwich is too narrow; that of independent votes is the least.
        model = np.diag(basis @ inverse @ basis.T)
        half = np.maximum(half, stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(model))
        low[members], high[members] = estimate[members] - half, estimate[members] + half
    return Strengths(estimate, low, high, took, won)


def agreement(votes: Votes, values: np.ndarray) -> Share:
    """The share of votes that went to the setting with the higher value of a measure.

    Ties, and votes between equal or missing values, are left out. The interval is Wilson's, of as many
    independent votes as those of the filters are worth (Korn and Graubard 1998).

    Args:
      votes: between settings.
      values: of the measure, ``[settings, filters]``.
    """
    difference = values[votes.first, votes.filters] - values[votes.second, votes.filters]
    counted = np.isfinite(difference) & (difference != 0) & (votes.outcome != 0.5)
    agrees = ((difference > 0) == (votes.outcome == 1))[counted].astype(float)
    return share(agrees, votes.filters[counted])


def _connected(votes: Votes, settings: int, took: np.ndarray) -> np.ndarray:
    """The settings that votes connect; of several groups the one with the most votes."""
    met = np.zeros((settings, settings))
    met[votes.first, votes.second] = 1
    _, group = csgraph.connected_components(met, directed=False)
    return np.flatnonzero(group == np.argmax(np.bincount(group, took)))
