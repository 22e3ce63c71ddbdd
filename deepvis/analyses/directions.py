"""Directions of a layer by its values on photographs: (config, method, images) -> `Directions`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.analyses import direction_pictures, folders, layer_values
from deepvis.analyses.direction_pictures import DirectionPictures
from deepvis.analyses.layer_values import LayerValues
from deepvis.config import knobs
from deepvis.config.schema import Config, Target
from deepvis.core import direction_files, files
from deepvis.factorizations import Factors
from deepvis.report import direction_sheet, heat_pictures

FILE = "vectors.npz"  # what objective.vectors takes
SHOWN = 6  # photographs of the picture, at most
TOP = 5  # channels of a direction that are named


@dataclass(frozen=True, repr=False)
class Directions:
    """Directions, their heat maps over photographs, and their pictures. A notebook shows all of them."""

    model: str
    layer: str
    method: str
    options: Mapping[str, Any]  # of the method
    size: Sequence[int]  # of the photographs, px
    values: LayerValues  # the layer on the photographs
    positions: int  # that the directions are made of
    factors: Factors
    optimized: DirectionPictures  # of each direction; where it is signed, then of the opposites

    @property
    def directions(self) -> np.ndarray:
        """float64 [k, C], each of length 1."""
        return self.factors.directions

    def __repr__(self) -> str:
        return (
            f"<Directions: {len(self.directions)} by {self.method} of {self.layer} of {self.model}; together "
            f"{self.factors.explained:.1%} of the variance at {self.positions:,} positions>"
        )

    def maps(self, image: int = 0) -> np.ndarray:
        """How much of each direction is at each position of a photograph: float64 [k, h, w]."""
        maps = self.values.compute(image)
        found = self.factors.weights(maps.reshape(-1, maps.shape[-1]))
        return found.T.reshape(-1, *maps.shape[:2])

    def picture(self) -> np.ndarray:
        """The picture of each direction, and below it its heat map over each photograph: uint8 [H, W, 3].

        The colours of a direction have one scale over all photographs. At most 6 photographs are shown,
        those that have most of a direction.
        """
        maps = np.stack([self.maps(k) for k in range(len(self.values.read.names))], axis=1)
        chosen = direction_sheet.chosen(maps, SHOWN)
        names = [self.values.read.names[k] for k in chosen]
        captions = [f"{k}: {share:.1%}" for k, share in enumerate(self.factors.shares)]
        return direction_sheet.sheet(self.optimized.shown, self.values.read.images[chosen], maps[:, chosen],
                                     self.factors.signed, captions, names)  # fmt: skip

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By file name."""
        return {"directions": self.picture()}

    def write(self, folder: Path) -> None:
        """``vectors.npz`` and ``directions.csv``."""
        direction_files.write(
            folder / FILE, self.directions, self.made(), mean=self.factors.mean, shares=self.factors.shares
        )
        files.write_csv(folder / "directions.csv", self.rows())

    def made(self) -> Mapping[str, Any]:
        """How they were made, as the file says it."""
        return {
            "model": self.model, "layer": self.layer, "method": self.method, **self.options,
            "size": list(self.size), "photographs": len(self.values.read.names),
            "photographs_digest": self.values.read.digest, "sampled": self.positions,
            "explained": self.factors.explained,
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """A row a direction: its share, the score of its picture, and the channels that it is mostly of."""
        rows = []
        for k, (row, share) in enumerate(zip(self.directions, self.factors.shares, strict=True)):
            top = np.argsort(-np.abs(row), kind="stable")[:TOP]
            rows.append({
                "direction": k, "share": float(share), "score": float(self.optimized.scores[k]),
                "channels": " ".join(map(str, top)), "entries": " ".join(f"{row[c]:.4g}" for c in top),
            })  # fmt: skip
        return rows

    def save(self, folder: str | Path) -> Path:
        """Picture, file and table into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        return {"explained": self.factors.explained, "photographs": float(len(self.values.read.names)),
                "positions": float(self.positions)}  # fmt: skip

    def params(self) -> Mapping[str, Any]:
        """The method and its options."""
        return {"directions": {"_target_": f".{self.method}", **self.options}}

    def told(self) -> Sequence[str]:
        """How much they explain, and of how much."""
        n = len(self.values.read.names)
        said = [
            f"{len(self.directions)} directions of {self.layer} explain {self.factors.explained:.1%} of the "
            f"variance at {self.positions:,} positions of {n} photographs",
            f"objective=direction objective.vectors=.../{FILE} optimizes them",
        ]
        return said + ([self.factors.told] if self.factors.told else [])

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(self.picture())


def directions(cfg: Config, method: Target, values: LayerValues) -> Directions:
    """Directions of a layer.

    Args:
      cfg: of the network, the layer, and how pictures are optimized; its size is the photographs'.
      method: the settings of the group ``directions``.
      values: the layer on the photographs.

    Raises:
      ConfigError: the method cannot take the layer's values.
    """
    component = knobs.component("directions", method.target)
    options = {key: getattr(method, key) for key in component.knobs}
    sample = layer_values.sampled(values, options.get("positions", 0), options.get("seed", 0))
    taken = {key: value for key, value in options.items() if key in component.parameters()}
    factors = component.function(sample.values, **taken)
    rows = factors.directions
    if factors.signed:
        rows = np.concatenate([rows, -rows])
    optimized = direction_pictures.optimized(cfg, method.picture, rows, {"cosine_power": 0.0})
    return Directions(str(cfg.model.name), values.layer, component.name, options, cfg.sides, values,
                      len(sample.values), factors, optimized)  # fmt: skip
