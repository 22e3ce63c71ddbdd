"""Do measures of trust catch channels whose pictures fool? VGG16 as it is, and with circuits planted into it.

python experiments/fooling/make.py PHOTOGRAPHS [--units 32] [--to FOLDER]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from circuit import FEATURES, circuit, fitted
from PIL import Image
from scipy import stats

import deepvis
from deepvis import networks
from deepvis.config import groups
from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.data import Photographs, photographs
from deepvis.networks import Network
from deepvis.trust import contributions
from deepvis.trust.evidence import Evidence, evidence, lowest
from deepvis.trust.natural_values import natural_values

LAYER, SIZE, STEPS = "block5_conv1", 128, 20
STAGES = (1, 3, 8)  # steps after which images are shown to the detector too
MARGIN = 50.0  # how far beyond a photograph's values an optimized image's may be
POST = {"reg": "none", "param": "pixel", "transform": "none", "optimizer": "normalized", "start": "noise"}
MEASURES = ("path", "activations", "strength")


def pictures(model: object, layer: str, units: Sequence[int], steps: int = STEPS) -> np.ndarray:
    """Centred images of some units, by the settings of the post without regularizers."""
    given = {"preprocess": "caffe"} if not isinstance(model, str) else {}
    seen = deepvis.visualize(model, layer, list(map(int, units)), size=SIZE, steps=steps, **POST, **given)
    return seen.centred


def measured(
    network: Network, layer: str, units: np.ndarray, made: np.ndarray, data: Photographs
) -> Evidence:
    """What `deepvis trust` measures, without the forced choice: mean colours are looked at."""
    return evidence(network, layer, units.tolist(), made[None], data, lambda x: x.mean(axis=(1, 2)))


def rows(network: str, found: Evidence, decoys: np.ndarray) -> list[dict[str, object]]:
    """A row a unit: the lower one of the two nearest convolutions, as the verdict takes it."""
    published = lowest(list(found.activations.values())[-2:], len(found.filters))
    return [
        {"network": network, "channel": unit, "decoy": int(decoys[unit]) if network == "circuit" else "",
         "strength": float(found.strength[at]), "path": float(found.path[at]),
         "activations": float(published[at])}
        for at, unit in enumerate(found.filters)
    ]  # fmt: skip


def share(sound: np.ndarray, fooled: np.ndarray) -> float:
    """The area under the ROC curve: how often a sound unit has the higher value of a pair."""
    sound, fooled = sound[np.isfinite(sound)], fooled[np.isfinite(fooled)]
    return float(stats.mannwhitneyu(sound, fooled).statistic / (len(sound) * len(fooled)))


def areas(table: list[dict[str, object]]) -> list[dict[str, object]]:
    """A row a measure: the area under its ROC curve, and the range and number of its values."""
    found = []
    for measure in MEASURES:
        row: dict[str, object] = {"measure": measure}
        values = [
            np.array([float(r[measure]) for r in table if r["network"] == n]) for n in ("VGG16", "circuit")
        ]
        row["area"] = share(*values)
        for name, each in zip(("untouched", "circuit"), values, strict=True):
            known = each[np.isfinite(each)]
            row |= {
                f"{name}_lowest": known.min(),
                f"{name}_highest": known.max(),
                f"{name}_measured": len(known),
            }
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    data = photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(given.photographs)})
    vgg = networks.network(groups.composed({"model": "vgg16"})["model"])
    natural = natural_values(vgg, LAYER, data, (SIZE, SIZE))
    drawn = np.random.default_rng(0).permutation(natural.values.shape[1])[: 2 * given.units]
    units, others = np.sort(drawn[: given.units]), drawn[given.units :]
    decoys = np.arange(natural.values.shape[1])
    decoys[units] = others
    theirs = pictures("vgg16", LAYER, others)
    shown = [pictures("vgg16", LAYER, others[:16], steps) for steps in STAGES]
    seen = np.stack([data.image(int(k), (SIZE, SIZE), 3) for k in natural.indices]) - np.float32(vgg.centre)
    read = contributions.reader(vgg, LAYER, FEATURES, (SIZE, SIZE))

    def features(x: np.ndarray) -> np.ndarray:
        means = read(x, np.zeros(len(x), int)).means
        return np.concatenate([means[name] for name in FEATURES], axis=1)

    detector = fitted(FEATURES, features(seen), features(np.concatenate([theirs, *shown])))
    model = circuit(vgg, LAYER, decoys, detector, MARGIN * float(natural.values.max()))
    fooling = networks.network(networks.hold(model, "caffe"))
    changed = np.abs(natural_values(fooling, "fooled", data, (SIZE, SIZE)).values - natural.values).max()
    ours, fooled = pictures("vgg16", LAYER, units), pictures(model, "fooled", units)
    table = rows("VGG16", measured(vgg, LAYER, units, ours, data), decoys)
    table += rows("circuit", measured(fooling, "fooled", units, fooled, data), decoys)
    write_csv(given.to / "results.csv", table)
    grid = [[images.contrast(x) for x in each[:8]] for each in (ours, fooled, theirs)]
    names = ["VGG16", "with the circuit", "the decoys"]
    sheet = images.contact_sheet(grid, names, [f"{u} / {decoys[u]}" for u in units[:8]])
    Image.fromarray(sheet).save(given.to / "pictures.jpg", quality=88)
    print(f"{len(natural.indices)} photographs, largest change of a natural value: {changed:g}")
    write_csv(given.to / "areas.csv", areas(table))


if __name__ == "__main__":
    main()
