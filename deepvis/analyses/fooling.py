"""Images changed little by little for some units: (config, method, units, images) -> `FoolingImages`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.analyses import folders, unit_networks
from deepvis.analyses.photographs import Read
from deepvis.ascent import units
from deepvis.attribution import fooling as rules
from deepvis.attribution.fooling import Fooled
from deepvis.attribution.unit import Unit, compiled
from deepvis.config import knobs
from deepvis.config.schema import Config, Target
from deepvis.core import files
from deepvis.core.counting import Tell, nobody
from deepvis.core.errors import ConfigError
from deepvis.report import fooling_pictures, heat_pictures


@dataclass(frozen=True, repr=False)
class FoolingImages:
    """Images that some units take for their own. A notebook shows them."""

    method: str
    options: Mapping[str, Any]  # of the method
    filters: Sequence[int]  # the units: entries of ``layer.filters``
    captions: Sequence[str]  # of the units
    read: Read  # the images before, and their names
    found: Sequence[Fooled]  # by unit; each of all images

    @property
    def images(self) -> np.ndarray:
        """float32 [units, n, H, W, C], grey levels from 0 to 255: after the last step."""
        return np.stack([each.images for each in self.found])

    @property
    def confidence(self) -> np.ndarray:
        """[units, steps + 1, n]: activations behind the nonlinearity; of a class its probability."""
        return np.stack([each.confidence for each in self.found])

    @property
    def scores(self) -> np.ndarray:
        """[units, steps + 1, n]: what is raised."""
        return np.stack([each.scores for each in self.found])

    @property
    def rms(self) -> np.ndarray:
        """[units, steps + 1, n]: root mean square of the change, grey levels."""
        return np.stack([each.rms for each in self.found])

    def __repr__(self) -> str:
        first, last = (np.median(self.confidence[:, at]) for at in (0, -1))
        return (
            f"<FoolingImages: {len(self.read.names)} images for {len(self.filters)} units; confidence "
            f"{first:.3g} -> {last:.3g} (median), changed by {np.median(self.rms[:, -1]):.2g} grey levels>"
        )

    def sheet(self, unit: int) -> np.ndarray:
        """A row an image of one unit, by its place among `filters`: uint8 [H, W, 3]."""
        return fooling_pictures.sheet(self.read.images, self.found[unit], self.read.names)

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By unit."""
        return {name: self.sheet(k) for k, name in enumerate(folders.file_names(self.captions))}

    def rows(self) -> list[dict[str, Any]]:
        """A row for each unit, step and image."""
        return [
            {"unit": name, "photograph": self.read.names[k], "step": step}
            | {"score": float(each.scores[step, k]), "confidence": float(each.confidence[step, k])}
            | {"rms": float(each.rms[step, k]), "largest": float(each.largest[step, k])}
            for name, each in zip(self.captions, self.found, strict=True)
            for step, k in np.ndindex(*each.scores.shape)
        ]

    def write(self, folder: Path) -> None:
        """``curves.csv``, and the images of each unit in ``images``."""
        (folder / "images").mkdir()
        for name, each in zip(folders.file_names(self.captions), self.found, strict=True):
            np.save(folder / "images" / f"{name}.npy", each.images)
        files.write_csv(folder / "curves.csv", self.rows())

    def save(self, folder: str | Path) -> Path:
        """Pictures, images and curves into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        return {
            "confidence/first": float(np.mean(self.confidence[:, 0])),
            "confidence/last": float(np.mean(self.confidence[:, -1])),
            "rms": float(np.mean(self.rms[:, -1])),
            "largest": float(max(each.largest[-1].max() for each in self.found)),
        }

    def params(self) -> Mapping[str, Any]:
        """The method and its options."""
        return {"fooling": {"_target_": f".{self.method}", **self.options}}

    def told(self) -> Sequence[str]:
        """Confidence before and after, and the size of the change, of each unit."""
        said = []
        for name, each in zip(self.captions, self.found, strict=True):
            first, last = np.median(each.confidence[0]), np.median(each.confidence[-1])
            size = (
                f"{np.median(each.rms[-1]):.2g} grey levels (root mean square), {each.largest[-1].max():.2g}"
            )
            said.append(f"{name}: confidence {first:.3g} -> {last:.3g} (median), changed by {size} at most")
        return said

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(np.concatenate([self.sheet(k) for k in range(len(self.filters))]))


def check(cfg: Config) -> None:
    """Refuse an objective that is no unit's, or whose score has no form behind the nonlinearity.

    Raises:
      ConfigError: in one line.
    """
    units.check(cfg)
    unit_networks.check_precision(cfg)
    if not hasattr(cfg.objective, "pre_activation"):
        raise ConfigError("objective: got one that does not say pre_activation, expected one of deepvis'")


def fooling(
    cfg: Config,
    method: Target,
    filters: Sequence[int],
    captions: Sequence[str],
    read: Read,
    tell: Tell = nobody,
) -> FoolingImages:
    """Change some images for each of some units.

    Args:
      cfg: checked, with its device and batch size.
      method: the settings of the group ``fooling``.
      filters: the units: entries of ``layer.filters``.
      captions: of the units.
      read: the images.
      tell: is called after each step with its images, and with those that are done.
    """
    component = knobs.component("fooling", method.target)
    options = {key: getattr(method, key) for key in component.knobs}
    rule = component.function(**{key: each for key, each in options.items() if key != "steps"})
    network, layers = unit_networks.built(cfg)
    objective: Any = cfg.objective
    behind = replace(cfg, objective=replace(objective, pre_activation=False))
    programs = [compiled(network, layers, units.score(each)) for each in (cfg, behind)]
    found, count = [], len(read.names)

    def on_step(step: int) -> None:
        tell(count, count * (step == method.steps))

    for index in filters:
        numbers = units.numbers(cfg, index)
        raised, told = (Unit(each, numbers, cfg.batch_size, cfg.device) for each in programs)
        found.append(rules.fool(raised, told, rule, read.images, method.steps, on_step))
    return FoolingImages(component.name, options, tuple(filters), tuple(captions), read, found)
