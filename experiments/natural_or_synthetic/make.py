"""Which regularizer's images explain a unit best, beside photographs and noise? VGG16 and EfficientNet-Lite0.

python experiments/natural_or_synthetic/make.py PHOTOGRAPHS [--cells FOLDER] [--to FOLDER]

Images are kept in --cells, a file a cell (network, layer, setting): what is there is not optimized again.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import study
from compared import tables
from measured import Row, natural, natural_rows, synthesized_rows

import deepvis
from deepvis import networks
from deepvis.config import groups
from deepvis.core import files
from deepvis.data import photographs
from deepvis.trust.natural_values import network_observer

SIZE = 128
PIXELS = {"param": "pixel", "transform": "none", "start": "noise", "steps": 10,
          "optimizer": {"preset": "normalized", "learning_rate": 2.7}}  # fmt: skip
SETTINGS: dict[str, dict] = {
    name: {"reg": name, **PIXELS} for name in ("none", "decay", "blur", "gildenblat_2016")
} | {
    "fourier, robust": {
        "reg": "none", "param": "fourier", "steps": 16,
        "transform": {"jitter": 6, "scale": 0.1, "rotate": 10.0},  # what robust was in version 0.4
        "start": {"preset": "pink", "sigma": 1.3}, "optimizer": {"preset": "adam", "learning_rate": 0.1},
    }
}  # fmt: skip
NOISE = 40.0  # grey levels, standard deviation
PICTURED, PHOTOGRAPHS = 2, 3  # units of each layer in the picture, and photographs of each


@dataclass(frozen=True)
class Target:
    """Units that are explained, and the network that looks at the explanations."""

    network: str
    layer: str
    units: int
    observer: str

    def chosen(self, channels: int) -> np.ndarray:
        return np.sort(np.random.default_rng(0).permutation(channels)[: self.units])


TARGETS = (
    Target("vgg16", "block5_conv1", 22, "efficientnet_lite0"),
    Target("vgg16", "block3_conv1", 22, "efficientnet_lite0"),
    Target("vgg16", "block4_conv1", 22, "efficientnet_lite0"),
    Target("efficientnet_lite0", "block5b_expand_activation", 64, "vgg16"),
    Target("efficientnet_lite0", "predictions", 20, "vgg16"),
)


def synthesized(
    target: Target, setting: str, units: np.ndarray, cells: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Images of some units, centred, and as a gallery shows them; from a file, those that are there.

    An image does not depend on which others are optimized with it, so units can be added.
    """
    file = cells / f"{target.network}-{target.layer}-{setting}.npz"
    kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    if file.exists():
        with np.load(file) as stored:
            kept = dict(
                zip(
                    stored["units"].tolist(),
                    zip(stored["centred"], stored["shown"], strict=True),
                    strict=True,
                )
            )
    missing = [unit for unit in units.tolist() if unit not in kept]
    if missing:
        started = time.process_time()
        made = deepvis.visualize({"preset": target.network}, target.layer, missing, size=SIZE,
                                 precision="float32", **SETTINGS[setting])  # fmt: skip
        print(
            f"{file.stem}: {len(missing)} images, {time.process_time() - started:.0f} s of processor time",
            flush=True,
        )
        kept |= dict(zip(missing, zip(made.centred, made.images, strict=True), strict=True))
        with files.replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, units=list(kept), centred=[each[0] for each in kept.values()],
                     shown=[each[1] for each in kept.values()])  # fmt: skip
    return np.stack([kept[unit][0] for unit in units.tolist()]), np.stack(
        [kept[unit][1] for unit in units.tolist()]
    ).astype("float32")


def noise(units: Sequence[int], centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image of normal noise for each unit, centred, and in grey levels."""
    drawn = [np.random.default_rng([0, int(unit)]).normal(0, NOISE, (SIZE, SIZE, 3)) for unit in units]
    shown = np.clip(128 + np.stack(drawn), 0, 255).astype("float32")
    return shown - centre, shown


def rows_of(
    target: Target, settings: Sequence[str], folder: Path, cells: Path
) -> tuple[list[Row], list[list[np.ndarray]]]:
    """All rows of a target, and a row of pictures of each of its first units."""
    data = photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(folder)})
    network, other = (
        networks.network(groups.composed({"model": name})["model"])
        for name in (target.network, target.observer)
    )
    units = target.chosen(network.layer(target.layer).channels)
    made = {setting: synthesized(target, setting, units, cells) for setting in settings}
    found = natural(network, target.layer, units, data, network_observer(other, (SIZE, SIZE)), SIZE)
    made["noise"] = noise(units.tolist(), found.centre)
    measured = natural_rows(found) | {
        kind: synthesized_rows(found, centred, shown) for kind, (centred, shown) in made.items()
    }
    rows = [
        {"network": target.network, "layer": target.layer, "explanation": kind} | row
        for kind, each in measured.items() for row in each
    ]  # fmt: skip
    pictures = [
        [
            np.clip(np.rint(each), 0, 255).astype(np.uint8)
            for each in (
                *found.pictures[found.tops[at, :PHOTOGRAPHS]],
                *(shown[at] for _, shown in made.values()),
            )
        ]
        for at in range(PICTURED)
    ]
    return rows, pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="as experiments/photographs.py writes them")
    parser.add_argument("--cells", type=Path, default=Path("outputs/natural_or_synthetic"))
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    make(given.to, given.photographs, given.cells)


def make(
    to: Path,
    folder: Path,
    cells: Path,
    targets: Sequence[Target] = TARGETS,
    settings: Sequence[str] = tuple(SETTINGS),
) -> None:
    """Write the tables and the picture."""
    cells.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    sheet: list[list[np.ndarray]] = []
    names: list[str] = []
    for target in targets:
        more, pictures = rows_of(target, settings, folder, cells)
        rows += more
        sheet += pictures
        names += [f"{target.layer} {row['unit']}" for row in more[:PICTURED]]
        files.write_csv(to / "units.csv", rows, digits=4)
    results, pairs = tables(rows, areas(targets))
    files.write_csv(to / "results.csv", results, digits=4)
    files.write_csv(to / "pairs.csv", pairs, digits=4)
    columns = [*(f"photograph {k + 1}" for k in range(PHOTOGRAPHS)), *settings, "noise"]
    study.pictures(to / "pictures.jpg", sheet, names, columns, quality=70, longest=1200)


def areas(targets: Sequence[Target]) -> dict[str, list[tuple[str, str]]]:
    """Each layer by itself, and those of VGG16 together."""
    found = {f"{each.network} {each.layer}": [(each.network, each.layer)] for each in targets}
    vgg = [(each.network, each.layer) for each in targets if each.network == "vgg16"]
    return ({"vgg16, all layers": vgg} if len(vgg) > 1 else {}) | found


if __name__ == "__main__":
    main()
