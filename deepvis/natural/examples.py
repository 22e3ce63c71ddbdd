"""Natural examples: (config, units, photographs) -> where each unit is most and least active, as a record."""

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepvis import networks
from deepvis.config import schema
from deepvis.config.knobs import Knob
from deepvis.config.schema import Config
from deepvis.core import files, images, saved_folder
from deepvis.core.errors import ConfigError
from deepvis.core.version import __version__
from deepvis.data import Photographs
from deepvis.natural import histograms, one_pass, pictures
from deepvis.natural.extremes import NONE, Extremes
from deepvis.natural.histograms import LEVELS
from deepvis.natural.one_pass import Search
from deepvis.natural.units import units
from deepvis.networks.base import Box

K = Knob(9, "natural examples of each unit, of each end", low=1, high=1000, switch=False)
ROW = 4  # tiles of each end that a gallery shows of a unit


@dataclass(frozen=True)
class Places:
    """The k places of each unit that are highest, or lowest; each [units, k]."""

    values: np.ndarray  # float32 activations; NaN where there are fewer than k
    images: np.ndarray  # numbers of photographs; -1 where there is none
    rows: np.ndarray  # of the layer's map
    columns: np.ndarray
    boxes: np.ndarray  # [units, k, 4] what the unit sees: first and last row, first and last column, px


@dataclass(frozen=True, repr=False)
class Examples:
    """What excites some units of a layer among photographs. A notebook shows the gallery."""

    model: str
    layer: str
    filters: tuple[int, ...]
    classes: tuple[str, ...]  # what each is called, where they are classes of the network
    photographs: Photographs
    size: tuple[int, int]  # of the photographs as the network saw them, px
    channels: int  # of those
    top: Places
    bottom: Places
    maxima: np.ndarray  # [units, LEVELS] quantiles, over the photographs, of the largest activation
    means: np.ndarray  # likewise of the mean over positions, which an objective of a channel is
    broken: tuple[tuple[Path, str], ...]  # what is no photograph that could be read, and why
    count: int  # photographs that were read
    seconds: float  # that the pass took, since it went on where it was resumed
    rate: float  # photographs a second, the tracing of the graph included

    def __repr__(self) -> str:
        left_out = f", {len(self.broken)} files left out" if self.broken else ""
        return (
            f"<Examples: {len(self.filters)} units of {self.layer} of {self.model}, top and bottom "
            f"{self.top.values.shape[1]} of {self.count} photographs at {self.size[0]} x {self.size[1]} px"
            f"{left_out}>"
        )

    @property
    def captions(self) -> list[str]:
        """A caption for each unit: its number, or the class and its number."""
        if not self.classes:
            return list(map(str, self.filters))
        return [f"{name} ({index})" for name, index in zip(self.classes, self.filters, strict=True)]

    def box(self, places: Places, unit: int, rank: int) -> Box:
        """What a unit sees at one of its places."""
        top, bottom, left, right = map(int, places.boxes[unit, rank])
        return (top, bottom), (left, right)

    def image(self, places: Places, unit: int, rank: int) -> np.ndarray:
        """The photograph of a place, as the network saw it: grey levels ``[H, W, C]``."""
        return self.photographs.image(int(places.images[unit, rank]), self.size, self.channels)

    def crop(self, places: Places, unit: int, rank: int) -> np.ndarray:
        """What a unit sees at one of its places: grey levels, as large as its box."""
        (top, bottom), (left, right) = self.box(places, unit, rank)
        return self.image(places, unit, rank)[top : bottom + 1, left : right + 1]

    def tiles(self, places: Places, unit: int, most: int | None = None) -> list[np.ndarray]:
        """Pictures of a unit's places, faded outside of what it sees."""
        there = np.flatnonzero(places.images[unit] != NONE)[:most]
        return [pictures.tile(self.image(places, unit, n), self.box(places, unit, n)) for n in there]

    def sheet(self, unit: int) -> np.ndarray:
        """A unit's highest places beside its lowest, with activation and photograph; by its place here."""
        blocks = []
        for word, places in (("highest", self.top), ("lowest", self.bottom)):
            tiles = self.tiles(places, unit)
            texts = [
                f"{places.values[unit, n]:.4g} {self._name(int(places.images[unit, n]))}"
                for n in range(len(tiles))
            ]
            title = f"{self.layer} {self.captions[unit]}: {word}"
            blocks.append(pictures.block(title, tiles, texts, self.size))
        return pictures.beside(blocks)

    def _name(self, image: int) -> str:
        labels = self.photographs.labels
        return labels[image] if labels else Path(self.photographs.names[image]).stem

    def gallery(self, beside: Sequence[np.ndarray] = ()) -> Image.Image:
        """A row a unit: its highest places, then its lowest.

        Args:
          beside: a picture of each unit, such as the synthesized one, which is shown first.
        """
        most = min(ROW, self.top.values.shape[1])
        rows = []
        for unit in range(len(self.filters)):
            tiles = [self._padded(self.tiles(each, unit, most), most) for each in (self.top, self.bottom)]
            synthesized = [_fitted(beside[unit], tiles[0][0].shape)] if len(beside) else []
            rows.append([*synthesized, *tiles[0], *tiles[1]])
        names = ["synthesized"] if len(beside) else []
        names += [f"{word} {n}" for word in ("highest", "lowest") for n in range(1, most + 1)]
        return Image.fromarray(images.contact_sheet(rows, self.captions, names))

    def _padded(self, tiles: list[np.ndarray], count: int) -> list[np.ndarray]:
        scale = pictures.TILE / max(self.size)
        height, width = (max(1, round(side * scale)) for side in self.size)
        blank = np.full((height, width, 3), 255, np.uint8)
        return tiles + [blank] * (count - len(tiles))

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.gallery().save(file, "png")
        return file.getvalue()

    def metrics(self) -> dict[str, float]:
        """What a run is compared by."""
        return {
            "activation/max": float(self.top.values[:, 0].max()),
            "activation/median_of_maxima": float(np.median(self.top.values[:, 0])),
            "photographs/read": self.count,
            "photographs/left_out": len(self.broken),
            "time/seconds": self.seconds,
            "time/images_per_second": self.rate,
        }

    def pictures(self) -> dict[str, np.ndarray]:
        """The gallery, by its file name."""
        return {"gallery": np.asarray(self.gallery())}

    def save(self, folder: str | Path) -> Path:
        """Gallery, sheets, arrays and table into a folder: see `saved_folder.save`."""
        return saved_folder.save(folder, self.write, self.pictures())

    def write(self, folder: Path) -> None:
        """Write ``examples.json``, ``examples.npz`` and the sheets into a folder."""
        arrays: dict[str, Any] = {f"{word}.{key}": value for word in ("top", "bottom")
                                  for key, value in vars(getattr(self, word)).items()}  # fmt: skip
        arrays |= {"levels": np.array(LEVELS), "maxima": self.maxima, "means": self.means}
        with (folder / "examples.npz").open("wb") as file:
            np.savez_compressed(file, **arrays)
        (folder / "units").mkdir()
        for unit, index in enumerate(self.filters):
            images.save(folder / f"units/f{index:03d}.png", self.sheet(unit))
        photographs = self.photographs
        text = {
            "deepvis": __version__, "model": self.model, "layer": self.layer, "filters": self.filters,
            "classes": self.classes, "size": self.size, "read": self.count,
            "quantiles": f"of levels {LEVELS}; relative error at most {histograms.ERROR}, ends exact",
            "photographs": {
                "place": photographs.place, "digest": photographs.digest, "names": photographs.names,
                "digests": photographs.digests, "labels": photographs.labels,
            },
            "left_out": [[str(path), why] for path, why in self.broken],
            "seconds": self.seconds, "photographs_per_second": self.rate,
        }  # fmt: skip
        files.write_text(folder / "examples.json", json.dumps(text, indent=1))


def examples(
    cfg: Config,
    filters: Sequence[int],
    classes: Sequence[str],
    photographs: Photographs,
    key: str = "",
    checkpoint: Path | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> Examples:
    """The natural examples of some units.

    Args:
      cfg: checked and resolved; ``examples`` says how many of each end, ``examples_per_image`` how many of
        them one photograph may have.
      filters: channels of the layer, or rows of a file of directions.
      classes: what they are called, or nothing.
      photographs: to be looked at.
      key: of the job, which a checkpoint must have.
      checkpoint: see `one_pass.run`.
      tell: is called with the number of photographs that are done.

    Raises:
      ConfigError: the objective is not about units, or no photograph could be read.
    """
    network = networks.network(schema.plain(cfg.model))
    layer = network.layer(cfg.layer.name)
    map_size = network.map_size(layer.name, cfg.sides)
    chosen = units(cfg, filters, map_size)
    built = network.build([layer.name], cfg.sides, cfg.precision)
    pre = bool(cfg.objective.pre_activation)
    for name, why in built.without_pre_activation.items() if pre else ():
        raise ConfigError(f"objective.pre_activation=true: layer {name}: {why}; set it to false")
    search = Search(
        built, layer.name, pre, chosen, len(filters), cfg.examples, cfg.examples_per_image, photographs,
        cfg.sides, cfg.batch_size, cfg.device,
        f"{key} {photographs.digest} {cfg.examples} {cfg.examples_per_image} {cfg.device}",
    )  # fmt: skip
    began: list[tuple[float, int]] = []

    def on_batch(done: int) -> None:
        began.append((time.perf_counter(), done))
        tell(done)

    state = one_pass.run(search, checkpoint, on_batch)
    seconds = began[-1][0] - began[0][0]
    read = state.done - len(state.broken)
    if not read:
        raise ConfigError(f"{photographs.place}: no photograph could be read; {state.broken[0][1]}")
    rate = (began[-1][1] - began[0][1]) / max(seconds, 1e-9)
    boxes = network.boxes(layer.name, cfg.sides)
    width = map_size[1] if chosen.first == (0, 0) else 1
    top = _places(state.top, 1, width, chosen.first, boxes)
    bottom = _places(state.bottom, -1, width, chosen.first, boxes)
    unread = tuple((photographs.paths[index], why) for index, why in state.broken)
    return Examples(
        str(cfg.model.name), layer.name, tuple(filters), tuple(classes), photographs, cfg.sides,
        network.channels, top, bottom, histograms.quantiles(state.maxima),
        histograms.quantiles(state.means), photographs.broken + unread, read, seconds, rate,
    )  # fmt: skip


def _places(
    found: Extremes, sign: int, width: int, first: tuple[int, int], boxes: Callable[[int, int], Box]
) -> Places:
    there = found.images != NONE
    values = np.where(there, sign * found.values + np.float32(0), np.float32(np.nan))
    rows, columns = found.positions // width + first[0], found.positions % width + first[1]
    seen = np.zeros((*rows.shape, 4), np.int64)
    for at in np.argwhere(there):
        unit, rank = at
        seen[unit, rank] = np.ravel(boxes(int(rows[unit, rank]), int(columns[unit, rank])))
    return Places(values, found.images, rows, columns, seen)


def _fitted(picture: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A picture as large as a tile, its proportions kept."""
    return np.asarray(Image.fromarray(picture).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
