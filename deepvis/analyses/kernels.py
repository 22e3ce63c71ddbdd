"""The kernels of a layer that is linear in the image: (config, filters) -> `Kernels`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.analyses import folders
from deepvis.ascent import units
from deepvis.attribution import linear_kernels
from deepvis.attribution.unit import Unit, compiled
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import images
from deepvis.core.errors import ConfigError
from deepvis.report import heat_pictures
from deepvis.results import result_folder

SHOWN = 48  # px: a kernel is enlarged at least to this, each weight a square


@dataclass(frozen=True, repr=False)
class Kernels:
    """Kernels as they act on the image. A notebook shows the picture."""

    model: str
    layer: str
    filters: Sequence[int]
    kernels: np.ndarray  # float32 [units, h, w, C], score per grey level

    def __repr__(self) -> str:
        count, height, width = self.kernels.shape[:3]
        return f"<Kernels: {count} of {self.layer} of {self.model}, {height} x {width} px>"

    def picture(self) -> np.ndarray:
        """All kernels, uint8 [H, W, 3]; each has a scale of its own, and its zero is middle grey."""
        times = max(1, -(-SHOWN // self.kernels.shape[2]))
        shown = [linear_kernels.picture(each).repeat(times, 0).repeat(times, 1) for each in self.kernels]
        return images.gallery(shown, [result_folder.label(index) for index in self.filters])

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By file name."""
        return {"weights": self.picture()}

    def write(self, folder: Path) -> None:
        """``weights.npy``."""
        np.save(folder / "weights.npy", self.kernels)

    def save(self, folder: str | Path) -> Path:
        """Picture and array into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        return {"weights/largest": float(np.abs(self.kernels).max())}

    def params(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def told(self) -> Sequence[str]:
        """How many and how large they are."""
        count, height, width = self.kernels.shape[:3]
        return [f"{count} kernels of {self.layer}, {height} x {width} px, each with its own scale"]

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(self.picture())


def first_convolution(model: Mapping[str, Any]) -> str:
    """The name of a network's first convolution.

    Raises:
      ConfigError: it has none.
    """
    layers = networks.network(model).layers().values()
    for each in layers:
        if "conv" in each.kind:
            return each.name
    raise ConfigError("deepvis weights: got a network without convolutions, expected layer.name=...")


def kernels(cfg: Config, filters: Sequence[int]) -> Kernels:
    """The kernels of some units of a config's layer, whose objective is ``neuron``.

    Raises:
      ConfigError: the layer is not linear in the image.
    """
    network = networks.network(schema.plain(cfg.model))
    layer = cfg.layer.name  # as it was typed, which the score reads: a nested one may be without its path
    built = network.build([layer], cfg.sides, "float32")
    if layer in built.without_pre_activation:
        raise ConfigError(f"layer {layer}: {built.without_pre_activation[layer]}")
    program = compiled(built, [layer], units.score(cfg))

    def unit(index: int) -> Unit:
        return Unit(program, units.numbers(cfg, index), cfg.batch_size, cfg.device)

    found = linear_kernels.kernels(unit, filters, cfg.sides, network.channels, layer)
    return Kernels(str(cfg.model.name), layer, tuple(filters), found)
