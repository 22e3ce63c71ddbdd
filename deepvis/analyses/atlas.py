"""Activation atlases: (config, methods, the layer on photographs) -> `Atlas`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import atlas_cells
from deepvis.analyses import direction_pictures, folders, layer_values
from deepvis.analyses.direction_pictures import DirectionPictures
from deepvis.analyses.layer_values import LayerValues, Sampled
from deepvis.atlas_cells import Cells
from deepvis.config import knobs
from deepvis.config.schema import Config, Target
from deepvis.core import direction_files, files
from deepvis.report import heat_pictures, thumbnail_map

FEW = 1000  # photographs: an atlas of fewer is no map of what a layer can represent
NAMED = 5  # photographs of a cell that its tooltip names


@dataclass(frozen=True, repr=False)
class Atlas:
    """Icons of cells of like activations. A notebook shows the grid."""

    model: str
    options: Mapping[str, Any]  # of the atlas
    embedding: Mapping[str, Any]  # the method that places activations, and its options
    size: Sequence[int]  # of the photographs, px
    values: LayerValues  # the layer on the photographs
    sample: Sampled  # the positions
    places: np.ndarray  # float64 [n, 2]: of each position, x to the right, y up
    cells: Cells
    directions: np.ndarray  # float64 [c, C]: whitened means, which the icons are of
    optimized: DirectionPictures  # the icons

    def __repr__(self) -> str:
        return f"<Atlas: {len(self.cells.means)} cells of {self.values.layer} of {self.model}; {self.basis}>"

    @property
    def basis(self) -> str:
        """On how much it rests."""
        return f"{len(self.sample.values):,} positions of {len(self.values.read.names)} photographs"

    @property
    def cosines(self) -> np.ndarray:
        """[icons, cells]: of each icon's mean activation and each cell's whitened mean."""
        icons, cells = self.optimized.features.astype(float), self.directions
        lengths = np.linalg.norm(icons, axis=1)[:, None] * np.linalg.norm(cells, axis=1)
        return np.asarray(icons @ cells.T / np.maximum(lengths, 1e-30))

    @property
    def nearest_own(self) -> float:
        """Share of icons whose activation is nearer to their own cell than to any other, by the cosine."""
        return float(np.mean(self.cosines.argmax(axis=1) == np.arange(len(self.directions))))

    def picture(self) -> np.ndarray:
        """The icons on the grid, cells without one white: uint8 [H, W, 3]."""
        at = np.stack([self.cells.rows, self.cells.columns], axis=1)
        return thumbnail_map.picture(np.stack(self.optimized.shown), at - at.min(axis=0))

    def page(self) -> str:
        """An HTML page with the icons on their grid, to zoom; one file. It says on how much it rests."""
        at = np.stack([self.cells.columns, -self.cells.rows], axis=1).astype(float)
        title = f"Activation atlas of {self.values.layer} of {self.model}: {self.basis}"
        return thumbnail_map.page(np.stack(self.optimized.shown), at, self.names(), title, tiled=True)

    def names(self) -> list[str]:
        """What is in each cell, in words."""
        found = []
        for members in self.cells.members:
            of = [self.values.read.names[int(k)] for k in np.unique(self.sample.images[members])]
            more = f" and {len(of) - NAMED} more" if len(of) > NAMED else ""
            found.append(f"{len(members)} positions of {', '.join(of[:NAMED])}{more}")
        return found

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By file name."""
        return {"atlas": self.picture()}

    def write(self, folder: Path) -> None:
        """``atlas.html``, ``cells.csv``, ``positions.csv``, and ``vectors.npz``, which a direction takes."""
        files.write_text(folder / "atlas.html", self.page())
        own = np.diagonal(self.cosines)
        rows = [
            {
                "cell": k,
                "row": int(row),
                "column": int(column),
                "positions": len(members),
                "cosine": float(own[k]),
            }
            for k, (row, column, members) in enumerate(
                zip(self.cells.rows, self.cells.columns, self.cells.members, strict=True)
            )
        ]
        files.write_csv(folder / "cells.csv", rows)
        names = self.values.read.names
        files.write_csv(folder / "positions.csv", [
            {"photograph": names[k], "row": int(i), "column": int(j), "x": float(x), "y": float(y)}
            for k, (i, j), (x, y) in zip(self.sample.images, self.sample.places, self.places, strict=True)
        ])  # fmt: skip
        made = {
            "model": self.model, "layer": self.values.layer, "size": list(self.size),
            "atlas": dict(self.options), "embedding": dict(self.embedding),
            "photographs_digest": self.values.read.digest,
        }  # fmt: skip
        direction_files.write(folder / "vectors.npz", self.directions, made, means=self.cells.means)

    def save(self, folder: str | Path) -> Path:
        """Picture, page, arrays and tables into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        return {
            "cells": float(len(self.cells.means)), "positions": float(len(self.sample.values)),
            "photographs": float(len(self.values.read.names)), "nearest_own": self.nearest_own,
        }  # fmt: skip

    def params(self) -> Mapping[str, Any]:
        """The options of the atlas and of the embedding."""
        return {"atlas": {"_target_": ".carter_2019", **self.options}, "embedding": self.embedding}

    def told(self) -> Sequence[str]:
        """On how much it rests, and whether its icons are of their cells."""
        n, inside = len(self.values.read.names), sum(map(len, self.cells.members))
        said = [
            f"{len(self.cells.means)} cells with {inside:,} of {self.basis}",
            f"{self.nearest_own:.0%} of the icons are nearer to their own cell than to any other, by angle",
        ]
        if n < FEW:
            said.append(
                f"{n} photographs are few (the paper has a million): cells are about these photographs"
            )
        return said

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(self.picture())


def atlas(cfg: Config, method: Target, embedding: Target, values: LayerValues) -> Atlas:
    """An activation atlas of a layer.

    Args:
      cfg: of the network, the layer, and how icons are optimized; its size is the photographs'.
      method: the settings of the group ``atlas``.
      embedding: the settings of the group ``embedding``, which places the activations.
      values: the layer on the photographs.

    Raises:
      ConfigError: too few positions, or no cell has enough of them.
    """
    component, placing = (
        knobs.component(family, each.target) for family, each in (("atlas", method), ("embedding", embedding))
    )
    options = {key: getattr(method, key) for key in component.knobs}
    sample = layer_values.sampled(values, method.positions, method.seed, edge=1)
    lengths = np.linalg.norm(sample.values, axis=1, keepdims=True)
    # Of length 1 the nearest by distance are the nearest by angle, as the paper has it.
    units = sample.values / np.where(lengths > 0, lengths, 1)
    settings = {key: getattr(embedding, key) for key in placing.knobs}
    places = placing.function(units, **settings)
    taken = {key: value for key, value in options.items() if key in component.parameters()}
    cells = component.function(sample.values, places, **taken)
    directions = cells.means @ atlas_cells.whitening(layer_values.second_moment(values), method.shrinkage)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-30)
    optimized = direction_pictures.optimized(
        cfg, method.picture, directions, {"cosine_power": method.cosine_power}
    )
    named = {"_target_": f".{placing.name}", **settings}
    return Atlas(str(cfg.model.name), options, named, cfg.sides, values, sample, places, cells, directions,
                 optimized)  # fmt: skip
