"""Photographs in a plane by their codes in a layer: (config, method, images) -> `Embedding`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import embeddings, networks
from deepvis.analyses import folders
from deepvis.analyses.photographs import Read
from deepvis.attribution import layer_maps
from deepvis.config import knobs, schema
from deepvis.config.schema import Config, Target
from deepvis.core import files
from deepvis.core.counting import Tell, nobody
from deepvis.report import heat_pictures, thumbnail_map


@dataclass(frozen=True, repr=False)
class Embedding:
    """Places of images in a plane. A notebook shows them on a grid."""

    model: str
    layer: str
    method: str
    options: Mapping[str, Any]  # of the method
    read: Read  # the images and their names
    codes: np.ndarray  # float64 [n, C]: the mean of each map of the layer behind its nonlinearity
    places: np.ndarray  # float64 [n, 2]: x to the right, y up
    cells: np.ndarray  # int [n, 2]: row and column on a grid, each cell once

    def __repr__(self) -> str:
        return (f"<Embedding: {len(self.codes)} images by {self.method} of {self.layer} of {self.model}; "
                f"{self.neighbours_kept:.0%} of the nearest neighbours are kept>")  # fmt: skip

    @property
    def neighbours_kept(self) -> float:
        """Share of images whose nearest neighbour by the codes is the nearest in the plane, too."""
        return embeddings.neighbours_kept(self.codes, self.places)

    def picture(self) -> np.ndarray:
        """Thumbnails on the grid, none over another: uint8 [H, W, 3]."""
        return thumbnail_map.picture(self.read.images, self.cells)

    def page(self) -> str:
        """An HTML page with the thumbnails at their places, to zoom; one file."""
        title = f"{self.layer} of {self.model}"
        return thumbnail_map.page(self.read.images, self.places, self.read.names, title)

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By file name."""
        return {"embedding": self.picture()}

    def write(self, folder: Path) -> None:
        """``embedding.csv``, ``embedding.html`` and ``codes.npy``."""
        rows = [
            {"photograph": name, "x": float(x), "y": float(y), "row": int(i), "column": int(j)}
            for name, (x, y), (i, j) in zip(self.read.names, self.places, self.cells, strict=True)
        ]
        files.write_csv(folder / "embedding.csv", rows)
        np.save(folder / "codes.npy", self.codes)
        files.write_text(folder / "embedding.html", self.page())

    def save(self, folder: str | Path) -> Path:
        """Picture, page, table and codes into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        return {"photographs": float(len(self.codes)), "neighbours_kept": self.neighbours_kept}

    def params(self) -> Mapping[str, Any]:
        """The method and its options."""
        return {"embedding": {"_target_": f".{self.method}", **self.options}}

    def told(self) -> Sequence[str]:
        """How much of the codes' neighbourhood is left, and which option was too large."""
        n, kept = len(self.codes), f"{self.neighbours_kept:.0%}"
        said = [f"{kept} of {n} photographs have the same nearest neighbour in the plane as by their codes"]
        return said + [
            f"{key} {most:.3g} was taken instead of {self.options[key]:g}: the most of {n} photographs"
            for key, most in embeddings.most(n).items()
            if self.options.get(key, 0) > most
        ]

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(self.picture())


def codes_of(cfg: Config, read: Read, tell: Tell = nobody) -> np.ndarray:
    """The mean of each map of a layer behind its nonlinearity, of each image: float64 [n, C].

    Args:
      cfg: of the network, the layer and the size.
      read: the images.
      tell: is called with the codes that were computed since, twice.
    """
    layer = networks.network(schema.plain(cfg.model)).layer(cfg.layer.name).name
    built = networks.network(schema.plain(cfg.model)).build([layer], cfg.sides, "float32")
    compute, codes = layer_maps.compiled(built, [layer], cfg.device), []
    for image in read.images:
        codes.append(compute(image)[layer].mean(axis=(0, 1), dtype=float))
        tell(1, 1)
    return np.stack(codes)


def embedding(cfg: Config, method: Target, read: Read, codes: np.ndarray) -> Embedding:
    """Images in a plane.

    Args:
      cfg: of the network, the layer and the size.
      method: the settings of the group ``embedding``.
      read: the images.
      codes: of them, ``[n, C]``.

    Raises:
      ConfigError: too few images, or the same code for all.
    """
    layer = networks.network(schema.plain(cfg.model)).layer(cfg.layer.name).name
    component = knobs.component("embedding", method.target)
    options = {key: getattr(method, key) for key in component.knobs}
    places = component.function(codes, **options)
    return Embedding(str(cfg.model.name), layer, component.name, options, read, codes, places,
                     embeddings.grid(places))  # fmt: skip
