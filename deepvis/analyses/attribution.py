"""What units respond to in some images: (config, method, images) -> `Attributed`, a map for each of them.

The units are those of a job's config: the objective says what of the layer is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.analyses import folders, unit_networks
from deepvis.analyses.photographs import Read
from deepvis.ascent import units
from deepvis.attribution import activation_maps
from deepvis.attribution.family import Attribution, joined
from deepvis.attribution.unit import Unit, compiled
from deepvis.config import knobs, schema
from deepvis.config.schema import Config, Target
from deepvis.core import files
from deepvis.core.counting import Tell, nobody
from deepvis.report import heat_pictures

OVERVIEW = 400  # pictures of an overview, at most


@dataclass(frozen=True, repr=False)
class Attributed:
    """Maps of some units on some images, by one method."""

    method: str
    options: Mapping[str, Any]  # of the method
    signed: bool  # whether what is below zero lowers the score
    filters: Sequence[int]  # the units: entries of ``layer.filters``
    captions: Sequence[str]  # of the units
    names: Sequence[str]  # of the images
    images: np.ndarray  # float32 [n, H, W, C], grey levels from 0 to 255
    found: Sequence[Attribution]  # by unit; each of all images

    @property
    def maps(self) -> np.ndarray:
        """float32 [units, n, H, W]."""
        return np.stack([each.maps for each in self.found])

    @property
    def scores(self) -> np.ndarray:
        """float32 [units, n]: of each unit on each image."""
        return np.stack([each.scores for each in self.found])

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        return (f"<Attributed: {self.method} of {len(self.filters)} units on {len(self.names)} images of "
                f"{height} x {width} px>")  # fmt: skip

    def sheet(self, unit: int) -> np.ndarray:
        """A picture of one unit: a row an image, uint8 [H, W, 3]; ``unit`` is its place among `filters`."""
        found = self.found[unit]
        lines = [f"{name}: score {score:.4g}" for name, score in zip(self.names, found.scores, strict=True)]
        return heat_pictures.sheet(self.images, found.maps, self.signed, lines)

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(np.concatenate([self.sheet(k) for k in range(len(self.filters))]))

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By unit; and all units beside one another, where there are several and the picture is not huge."""
        found = {name: self.sheet(k) for k, name in enumerate(folders.file_names(self.captions))}
        if len(self.filters) > 1 and len(self.filters) * len(self.names) <= OVERVIEW:
            found["overview"] = heat_pictures.overview(
                self.images, self.maps, self.signed, self.names, self.captions
            )
        return found

    def write(self, folder: Path) -> None:
        """``table.csv``, and by unit ``maps`` [n, H, W], ``gradients`` [n, H, W, C], ``coarse`` [n, h, w]."""
        for file, each in zip(folders.file_names(self.captions), self.found, strict=True):
            for name, array in (("maps", each.maps), ("gradients", each.gradients), ("coarse", each.coarse)):
                if array is not None:
                    (folder / name).mkdir(exist_ok=True)
                    np.save(folder / name / f"{file}.npy", array)
        files.write_csv(folder / "table.csv", self.rows())

    def save(self, folder: str | Path) -> Path:
        """Pictures, arrays and table into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        errors = [row["completeness_error"] for row in self.rows() if "completeness_error" in row]
        metrics = {"score/mean": float(self.scores.mean()), "photographs": float(len(self.names))}
        return metrics | ({"completeness_error/max": max(errors)} if errors else {})

    def params(self) -> Mapping[str, Any]:
        """The method and its options."""
        return {"attribution": {"_target_": f".{self.method}", **self.options}}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each unit and image: score, range and sum of its map, and what the method tells."""
        rows: list[dict[str, Any]] = []
        for caption, found in zip(self.captions, self.found, strict=True):
            for k, name in enumerate(self.names):
                row = {"unit": caption, "image": name, "score": float(found.scores[k])}
                row |= {"lowest": float(found.maps[k].min()), "highest": float(found.maps[k].max()),
                        "sum": float(found.maps[k].sum(dtype=float))}  # fmt: skip
                rows.append(row | {key: value[k].item() for key, value in found.measured.items()})
        return rows

    def told(self) -> list[str]:
        """What should be known before the maps are believed, a line each."""
        lines = []
        empty = sum(not each.any() for found in self.found for each in found.maps)
        if empty:
            lines.append(
                f"{empty} of {len(self.found) * len(self.names)} maps are 0 everywhere: the score does not "
                "depend on the image there, as behind a ReLU that is off"
            )
        errors = [each.measured["completeness_error"] for each in self.found if each.measured]
        if errors:
            worst, allowed = float(np.max(errors)), self.options["tolerance"]
            more = "" if worst <= allowed else f", more than attribution.tolerance={allowed:g}"
            lines.append(
                f"each map adds up to the change of the score, but for {worst:.2g} of it at most{more}"
            )
        return lines


def check(cfg: Config, method: Target) -> str | None:
    """Refuse what cannot be attributed; the layer whose maps a method adds up, None where it adds up none.

    Raises:
      ConfigError: in one line.
    """
    units.check(cfg)
    component = knobs.component("attribution", method.target)
    unit_networks.check_precision(cfg)
    network = networks.network(schema.plain(cfg.model))
    given = {key: getattr(method, key) for key in component.knobs}
    if "stride" in given and given["stride"] > given["patch"]:
        component.function(None, **given)  # says it
    if "layer" not in component.knobs:
        return None
    if method.layer is not None:
        return network.layer(method.layer, "attribution.layer").name
    return activation_maps.layer_below(network, network.layer(cfg.layer.name).name, cfg.sides)


def attribute(
    cfg: Config,
    method: Target,
    filters: Sequence[int],
    captions: Sequence[str],
    read: Read,
    tell: Tell = nobody,
) -> Attributed:
    """The maps of some units on some images.

    Args:
      cfg: checked, with its device and batch size.
      method: the settings of the group ``attribution``.
      filters: entries of ``layer.filters``.
      captions: of them.
      read: the images.
      tell: is called with the maps that were made since, twice.
    """
    component, layer = knobs.component("attribution", method.target), check(cfg, method)
    options = {key: getattr(method, key) for key in component.knobs} | ({"layer": layer} if layer else {})
    built, layers = unit_networks.built(cfg, [layer] if layer else [])
    program = compiled(built, layers, units.score(cfg))
    centred = read.images - np.array(built.mean, np.float32)
    found, traits = [], component.traits
    for index in filters:
        unit = Unit(program, units.numbers(cfg, index), cfg.batch_size, cfg.device)
        method_of, parts = component.function(unit, **options), []
        for some in [*centred[:, None]] if traits.get("one_by_one") else [centred]:
            parts.append(method_of(some))
            tell(len(some), len(some))
        found.append(joined(parts))
    return Attributed(component.name, options, bool(traits.get("signed", True)), filters, captions,
                      read.names, read.images, found)  # fmt: skip
