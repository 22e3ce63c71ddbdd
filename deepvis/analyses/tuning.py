"""The score of units by attributes of images: (config, units, images) -> `TuningCurves`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.analyses import folders, unit_networks
from deepvis.analyses.photographs import Read
from deepvis.ascent import units
from deepvis.attribution.tuning import ATTRIBUTES, changed
from deepvis.attribution.unit import Unit, compiled
from deepvis.config.schema import Config
from deepvis.core import files
from deepvis.core.counting import Tell, nobody
from deepvis.report import heat_pictures, tuning_curves


@dataclass(frozen=True, repr=False)
class TuningCurves:
    """Scores of some units on images that are changed, attribute by attribute. A notebook shows them."""

    layer: str
    filters: Sequence[int]  # the units: entries of ``layer.filters``
    captions: Sequence[str]  # of the units
    read: Read  # the images as they are, and their names
    levels: Mapping[str, Sequence[float]]  # by attribute: what it is set to
    neutral: Mapping[str, float]  # by attribute: the level at which an image is itself
    curves: Mapping[str, np.ndarray]  # by attribute: [units, levels, n]

    def __repr__(self) -> str:
        return (f"<TuningCurves: {len(self.filters)} units of {self.layer} by {', '.join(self.levels)} of "
                f"{len(self.read.names)} images>")  # fmt: skip

    def sheet(self, unit: int) -> np.ndarray:
        """A panel an attribute of one unit, by its place among `filters`: uint8 [H, W, 3]."""
        words = {name: each.unit for name, each in ATTRIBUTES.items()}
        shown = {name: each[unit] for name, each in self.curves.items()}
        title = f"{self.captions[unit]} of {self.layer}"
        return tuning_curves.sheet(shown, self.levels, words, self.read.names, title)

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By unit."""
        return {name: self.sheet(k) for k, name in enumerate(folders.file_names(self.captions))}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each unit, attribute, level and image."""
        return [
            {"unit": unit, "photograph": photograph, "attribute": name, "level": level,
             "score": float(self.curves[name][u, at, k])}
            for u, unit in enumerate(self.captions)
            for name, levels in self.levels.items()
            for at, level in enumerate(levels)
            for k, photograph in enumerate(self.read.names)
        ]  # fmt: skip

    def write(self, folder: Path) -> None:
        """``curves.csv``."""
        files.write_csv(folder / "curves.csv", self.rows())

    def save(self, folder: str | Path) -> Path:
        """Pictures and curves into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by: the score of the images as they are."""
        name = next(iter(self.levels))
        plain = self.curves[name][:, list(self.levels[name]).index(self.neutral[name])]
        return {"score/mean": float(plain.mean()), "photographs": float(len(self.read.names))}

    def params(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def told(self) -> Sequence[str]:
        """Nothing."""
        return []

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(np.concatenate([self.sheet(k) for k in range(len(self.filters))]))


def check(cfg: Config) -> None:
    """Refuse an objective that is no unit's.

    Raises:
      ConfigError: in one line.
    """
    units.check(cfg)
    unit_networks.check_precision(cfg)


def tuning(
    cfg: Config, filters: Sequence[int], captions: Sequence[str], read: Read, tell: Tell = nobody
) -> TuningCurves:
    """The scores of some units.

    Args:
      cfg: checked, with its device and batch size.
      filters: the units: entries of ``layer.filters``.
      captions: of the units.
      read: the images.
      tell: is called after each attribute with its images, and with those that are done.
    """
    network, layers = unit_networks.built(cfg)
    program, mean = compiled(network, layers, units.score(cfg)), np.array(network.mean, np.float32)
    curves: dict[str, list[np.ndarray]] = {name: [] for name in ATTRIBUTES}
    *_, last = ATTRIBUTES
    for index in filters:
        unit = Unit(program, units.numbers(cfg, index), cfg.batch_size, cfg.device)
        for name, each in ATTRIBUTES.items():
            shown = (x - mean for image in read.images for x in changed(each, image, network.mean))
            curves[name].append(unit.scores(shown).reshape(len(read.names), -1).T)
            tell(len(read.names), len(read.names) * (name == last))
    return TuningCurves(
        cfg.layer.name, tuple(filters), tuple(captions), read,
        {name: each.levels for name, each in ATTRIBUTES.items()},
        {name: each.neutral for name, each in ATTRIBUTES.items()},
        {name: np.stack(each) for name, each in curves.items()},
    )  # fmt: skip
