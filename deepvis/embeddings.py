"""The family of embeddings: (codes [n, C], options) -> places in a plane [n, 2]; and grids of such places."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from deepvis.config.knobs import REQUIRED, Function, Knob, declare
from deepvis.core.errors import ConfigError

SEED = Knob(REQUIRED, "of the start", low=0, kind=int)
GRID = 2500  # photographs that a grid is made of, at most: the assignment takes n^3


def embedding(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as an embedding, with its options by their key under ``embedding``."""
    return declare("embedding", None, knobs)


@embedding(
    perplexity=Knob(REQUIRED, "how many neighbours a photograph has, about", above=0, high=1000),
    seed=SEED,
)
def tsne(codes: np.ndarray, *, perplexity: float, seed: int) -> np.ndarray:
    """t-SNE, of scikit-learn.

    Args:
      codes: ``[n, C]``.
      perplexity: at most a third of the photographs; of fewer it is that.
      seed: of its start.

    Source: van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"; of codes, Karpathy 2014.
    """
    _check(codes)
    try:
        from sklearn.manifold import TSNE
    except ImportError as err:
        raise _missing("embedding=tsne", "scikit-learn", "photos", err) from err
    fitting = min(perplexity, most(len(codes))["perplexity"])
    found = TSNE(perplexity=fitting, random_state=seed, init="random", method=_method(codes)).fit_transform(
        codes
    )
    return np.asarray(found, float)


@embedding(
    neighbours=Knob(REQUIRED, "how many neighbours a photograph has", low=2, high=1000, kind=int),
    min_distance=Knob(REQUIRED, "how near photographs may come", low=0, high=1),
    seed=SEED,
)
def umap(codes: np.ndarray, *, neighbours: int, min_distance: float, seed: int) -> np.ndarray:
    """UMAP, of umap-learn.

    Args:
      codes: ``[n, C]``.
      neighbours: at most the others there are.
      min_distance: in units of the plane.
      seed: of its start.

    Source: McInnes et al. 2018, "UMAP: Uniform Manifold Approximation and Projection".
    """
    _check(codes)
    try:
        from umap import UMAP  # pyright: ignore[reportMissingImports]
    except ImportError as err:
        raise _missing("embedding=umap", "umap-learn", "umap", err) from err
    few = min(neighbours, most(len(codes))["neighbours"])
    # One thread: of several the places differ from run to run, and UMAP warns that it takes one.
    places = UMAP(n_neighbors=few, min_dist=min_distance, random_state=seed, n_jobs=1).fit_transform(codes)
    return np.asarray(places, float)


def most(photographs: int) -> dict[str, Any]:
    """What options are at most, of so many photographs: those above it are taken as that."""
    return {"perplexity": (photographs - 1) / 3, "neighbours": photographs - 1}


def grid(places: np.ndarray) -> np.ndarray:
    """A cell of its own for each place, [n, 2] rows and columns: the sum of squared distances is least.

    Raises:
      ConfigError: more than `GRID` places.
    """
    n = len(places)
    if n > GRID:
        raise ConfigError(f"data: got {n:,} photographs, expected at most {GRID:,} for a grid; take fewer")
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    cells = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).reshape(-1, 2)
    low, high = places.min(axis=0), places.max(axis=0)
    scaled = (places - low) / np.where(high > low, high - low, 1)
    targets = np.stack([(1 - scaled[:, 1]) * (rows - 1), scaled[:, 0] * (columns - 1)], axis=1)  # y goes up
    _, chosen = linear_sum_assignment(cdist(targets, cells, "sqeuclidean"))
    return np.asarray(cells[chosen])


def neighbours_kept(codes: np.ndarray, places: np.ndarray) -> float:
    """Share of photographs whose nearest neighbour by the codes is the nearest one in the plane, too."""

    def nearest(points: np.ndarray) -> np.ndarray:
        distances = cdist(points, points)
        np.fill_diagonal(distances, np.inf)
        return np.asarray(distances.argmin(axis=1))

    return float(np.mean(nearest(codes) == nearest(places)))


def _method(codes: np.ndarray) -> str:
    return "exact" if len(codes) < 500 else "barnes_hut"


def _missing(key: str, package: str, extra: str, err: ImportError) -> ConfigError:
    """Its own words are told: a package may be there and not what it needs."""
    said = " ".join(str(err).split())
    return ConfigError(f"{key}: expected {package}, got {said}; pip install 'deepvis[{extra}]'")


def _check(codes: np.ndarray) -> None:
    if len(codes) < 4:
        raise ConfigError(f"data: got {len(codes)} photographs, expected 4 or more for an embedding")
    if not np.ptp(codes, axis=0).any():
        raise ConfigError(
            "layer.name: got the same code for all photographs, expected a layer that tells them apart"
        )
