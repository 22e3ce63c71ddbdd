"""Activation maps, layer by layer, and which channels are dead: (config, images) -> `ActivationMaps`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.analyses import folders
from deepvis.analyses.photographs import Read
from deepvis.attribution import layer_maps
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import files, images
from deepvis.core.counting import Tell, nobody
from deepvis.networks.base import Layer
from deepvis.report import heat_pictures

MOST = 20  # dead channels of a layer that are named


@dataclass(frozen=True, repr=False)
class ActivationMaps:
    """Maps behind the nonlinearity of each layer. A notebook shows those of the last layer."""

    model: str
    layers: Sequence[str]
    read: Read  # the images and their names
    largest: Mapping[str, np.ndarray]  # by layer, [C]: the largest magnitude over all images
    compute: Callable[[np.ndarray], Mapping[str, np.ndarray]]  # image [H, W, C] -> maps by layer

    def __repr__(self) -> str:
        dead = sum(int(each.sum()) for each in self.dead.values())
        return (
            f"<ActivationMaps: {len(self.layers)} layers of {self.model} on {len(self.read.names)} images, "
            f"{dead} channels are 0 on all of them>"
        )

    @property
    def dead(self) -> Mapping[str, np.ndarray]:
        """By layer, [C]: whether a channel is 0 on all images."""
        return {name: each == 0 for name, each in self.largest.items()}

    def maps(self, image: int = 0) -> Mapping[str, np.ndarray]:
        """By layer, float32 [h, w, C]: of one image, computed again, for those of all may fill the memory."""
        return self.compute(self.read.images[image])

    def picture(self, layer: str, image: int = 0) -> np.ndarray:
        """All channels of a layer, uint8 [H, W, 3]; a dead one has a red frame."""
        return layer_maps.sheet(self.maps(image)[layer], self.dead[layer])

    def pictures(self) -> Mapping[str, np.ndarray]:
        """Of the first image, by layer."""
        found = self.maps()
        files_of = zip(folders.file_names(self.layers), self.layers, strict=True)
        return {file: layer_maps.sheet(found[name], self.dead[name]) for file, name in files_of}

    def write(self, folder: Path) -> None:
        """``channels.csv``, the first image's arrays in ``maps``, the others' pictures in ``photographs``."""
        dead = self.dead
        rows = [
            {"layer": name, "channel": k, "largest": float(value), "dead": bool(dead[name][k])}
            for name in self.layers for k, value in enumerate(self.largest[name])
        ]  # fmt: skip
        files.write_csv(folder / "channels.csv", rows)
        (folder / "maps").mkdir()
        names = dict(zip(self.layers, folders.file_names(self.layers), strict=True))
        for name, each in self.maps().items():
            np.save(folder / "maps" / f"{names[name]}.npy", each)
        for k, photograph in enumerate(folders.file_names(self.read.names)[1:], 1):
            place = folder / "photographs" / photograph
            place.mkdir(parents=True)
            for name, each in self.maps(k).items():
                images.save(place / f"{names[name]}.png", layer_maps.sheet(each, dead[name]))

    def save(self, folder: str | Path) -> Path:
        """Pictures, arrays and table into a folder: see `folders.save`."""
        return folders.save(self, folder)

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        counts = {f"dead/{name}": float(each.sum()) for name, each in self.dead.items()}
        return counts | {"photographs": float(len(self.read.names))}

    def params(self) -> Mapping[str, Any]:
        """None."""
        return {}

    def told(self) -> Sequence[str]:
        """Which channels are dead."""
        n = len(self.read.names)
        said = [
            f"{name}: {each.sum()} of {len(each)} channels are 0 on all {n} photographs"
            + f": {', '.join(map(str, np.flatnonzero(each)[:MOST]))}{' ...' * (int(each.sum()) > MOST)}"
            for name, each in self.dead.items() if each.any()
        ]  # fmt: skip
        return said or [f"no channel is 0 on all {n} photographs"]

    def _repr_png_(self) -> bytes:
        return heat_pictures.png(self.picture(self.layers[-1]))


def maps(cfg: Config, read: Read, tell: Tell = nobody) -> ActivationMaps:
    """The maps of some images, in the layers with weights up to that of a config, and in that one."""
    network = networks.network(schema.plain(cfg.model))
    known = network.layers()
    last = network.layer(cfg.layer.name).name
    below = list(known)[: list(known).index(last) + 1]
    names = [name for name in below if name == last or _has_weights(known[name])]
    compute = layer_maps.compiled(network.build(names, cfg.sides, "float32"), names, cfg.device)
    largest = {name: np.float32(-np.inf) for name in names}
    for image in read.images:
        found = compute(image)
        largest = {name: np.maximum(largest[name], np.abs(found[name]).max(axis=(0, 1))) for name in names}
        tell(1, 1)
    return ActivationMaps(
        str(cfg.model.name), names, read, {name: np.asarray(each) for name, each in largest.items()}, compute
    )


def _has_weights(layer: Layer) -> bool:
    return any(word in layer.kind for word in ("conv", "dense"))
