"""The family of directions: (values [n, C] of a layer's channels at many positions, options) -> `Factors`.

Each direction is a row of length 1. A NumPy array of values goes in; no image and no network is known here.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.config.knobs import REQUIRED, Function, Knob, declare
from deepvis.core.errors import ConfigError

SEED = Knob(REQUIRED, "of the positions that are drawn, and of the start", low=0, kind=int)
COUNT = Knob(REQUIRED, "how many directions", low=1, high=1000, kind=int)
PICTURE = Knob(REQUIRED, "side of the pictures of the directions", low=1, kind=int, unit="whole number of px")
POSITIONS = Knob(REQUIRED, "positions of each photograph, drawn at random; 0: all", low=0, kind=int)


@dataclass(frozen=True)
class Factors:
    """Directions in the space of a layer's channels, and how much they explain."""

    directions: np.ndarray  # float64 [k, C], each of length 1
    mean: np.ndarray  # [C]: what the directions start from; 0 for NMF
    shares: np.ndarray  # [k]: of the variance (PCA), or of the sum of what is rebuilt (NMF)
    explained: float  # share of the values' variance that all directions together rebuild
    signed: bool  # whether a direction's opposite is as much a direction
    weights: Callable[[np.ndarray], np.ndarray]  # values [n, C] -> of each direction how much, [n, k]
    told: str = ""  # what should be known of it


def directions(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as one of directions, with its options by their key under ``directions``."""
    return declare("directions", None, knobs)


@directions(
    k=COUNT,
    iterations=Knob(REQUIRED, "steps at most", low=1, kind=int),
    seed=SEED,
    positions=POSITIONS,
    picture=PICTURE,
)
def nmf(values: np.ndarray, *, k: int, iterations: int, seed: int) -> Factors:
    r"""Non-negative matrix factorization, of scikit-learn: groups of channels that are active together.

    .. math:: A \approx W H, \quad W, H \ge 0, \quad
              \text{explained} = 1 - \lVert A - W H \rVert^2 / \lVert A - \bar a \rVert^2

    with a position a row of :math:`A` and a direction a row of :math:`H`, here of length 1, the one of the
    largest sum first.

    Args:
      values: :math:`A`, none negative.
      k: rows of :math:`H`.
      iterations: of coordinate descent, at most.
      seed: of its start.

    Raises:
      ConfigError: a negative value, or fewer positions or channels than directions.

    Source: Lee and Seung 1999, "Learning the Parts of Objects by Non-negative Matrix Factorization"; of a
    layer, Olah et al. 2018, "The Building Blocks of Interpretability", section "What does this network see".
    """
    _check(values, k)
    if values.min() < 0:
        raise ConfigError(
            f"directions=nmf: got a value of {values.min():.4g} in the layer, expected none below 0, as "
            "behind a ReLU; take directions=pca, or a layer behind a ReLU"
        )
    from sklearn.decomposition import NMF

    fitted: Any = NMF  # of scikit-learn, whose types are inferred, and not its own
    model = fitted(k, init="nndsvd", max_iter=iterations, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped early is told below
        amounts = model.fit_transform(values)
    lengths = np.linalg.norm(model.components_, axis=1)
    sums = amounts.sum(axis=0) * model.components_.sum(axis=1)
    order = np.argsort(-sums, kind="stable")
    rows = model.components_[order] / np.where(lengths > 0, lengths, 1)[order, None]
    left = float(np.square(values - amounts @ model.components_).sum())

    def weights(given: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(model.transform(np.asarray(given, values.dtype)) * lengths)[:, order]

    told = "" if model.n_iter_ < iterations else (
        f"NMF had not converged after directions.iterations={iterations}: take more"
    )  # fmt: skip
    empty = int((lengths == 0).sum())
    if empty:
        told = f"{empty} of {k} directions are 0: the layer has fewer; take a smaller directions.k"
    return Factors(rows, np.zeros(values.shape[1]), sums[order] / sums.sum(), 1 - left / _scatter(values),
                   False, weights, told)  # fmt: skip


@directions(k=COUNT, seed=SEED, positions=POSITIONS, picture=PICTURE)
def pca(values: np.ndarray, *, k: int, seed: int) -> Factors:
    r"""Principal components, of scikit-learn: the directions in which positions differ most.

    .. math:: A - \bar a = U \Sigma V^\top, \quad
              \text{share}_i = \sigma_i^2 / \lVert A - \bar a \rVert^2

    with the first :math:`k` rows of :math:`V^\top` as directions, each signed so that its entry of largest
    magnitude is positive. Its opposite is as much a direction.

    Args:
      values: :math:`A`, ``[n, C]``.
      k: how many.
      seed: not used: the decomposition is exact.

    Raises:
      ConfigError: fewer positions or channels than directions.

    Source: Pearson 1901, "On Lines and Planes of Closest Fit to Systems of Points in Space".
    """
    del seed
    _check(values, k)
    from sklearn.decomposition import PCA

    fitted: Any = PCA
    model = fitted(k, svd_solver="full").fit(np.asarray(values, float))
    rows = model.components_
    rows = rows * np.sign(rows[np.arange(k), np.abs(rows).argmax(axis=1)])[:, None]
    mean, shares = model.mean_, model.explained_variance_ratio_

    def weights(given: np.ndarray) -> np.ndarray:
        return np.asarray((given - mean) @ rows.T)

    return Factors(rows, mean, shares, float(shares.sum()), True, weights)


def _scatter(values: np.ndarray) -> float:
    return float(np.square(values - values.mean(axis=0)).sum())


def _check(values: np.ndarray, k: int) -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as err:
        raise ConfigError(
            "directions: got no scikit-learn here, expected it; pip install 'deepvis[photos]'"
        ) from err
    n, channels = values.shape
    if k > min(n, channels):
        raise ConfigError(
            f"directions.k={k}: got {n} positions of {channels} channels, expected at least as many of both"
        )
    if not np.isfinite(values).all():
        raise ConfigError("layer.name: got NaN or infinity in the layer, expected finite activations")
    if not np.ptp(values, axis=0).any():
        raise ConfigError("layer.name: got the same values at all positions, expected a layer that differs")
