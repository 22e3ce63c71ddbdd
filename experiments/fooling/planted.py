"""Are silent and two-faced units told? They are planted behind VGG16's block5_conv1, and plain ones, too.

python experiments/fooling/planted.py PHOTOGRAPHS [--units 8] [--to FOLDER]

A plain unit is one channel, a two-faced unit the sum of two, each over its highest natural value. A silent
unit looks along a direction in which photographs hardly differ from zero, behind a negative bias (Geirhos et
al. 2024, section 3). They are planted by one half of the photographs, and judged by the other.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from circuit import convolutions
from keras import layers
from make import LAYER, POST, SIZE

import deepvis
from deepvis import networks
from deepvis.config import groups
from deepvis.core.files import write_csv
from deepvis.data import Photographs, photographs
from deepvis.networks.vgg import Vgg
from deepvis.trust.evidence import evidence
from deepvis.trust.verdicts import verdicts

MADE = {**POST, "steps": 10, "optimizer": {"preset": "normalized", "learning_rate": 2.7}}
BEYOND = 5.0  # times the highest value of the one half, that the other half does not come near it
KINDS = ("plain", "two-faced", "silent")


def directions(maps: np.ndarray, count: int) -> np.ndarray:
    """Unit vectors ``[C, count]`` along which maps ``[positions, C]`` have the least mean square."""
    return np.linalg.eigh(maps.T @ maps / len(maps))[1][:, :count]


def weights(maps: np.ndarray, channels: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel ``[C, 3 units]`` and bias of plain, two-faced and silent units.

    Args:
      maps: ``[photographs, positions, C]`` natural ones, behind the ReLU.
      channels: of which plain units are made, and two-faced ones; ``3 * units`` of them.
      units: of each kind.
    """
    highest = maps.max(axis=(0, 1))
    kernel, bias = np.zeros((maps.shape[2], 3 * units)), np.zeros(3 * units)
    one, other = channels[units : 2 * units], channels[2 * units :]
    for at in range(units):
        kernel[channels[at], at] = 1 / highest[channels[at]]
        for channel in (one[at], other[at]):
            kernel[channel, units + at] = 1 / highest[channel]
    flat = maps.reshape(-1, maps.shape[2]).astype(float)
    silent = directions(flat, units)
    kernel[:, 2 * units :] = silent
    bias[2 * units :] = -BEYOND * np.maximum((flat @ silent).max(axis=0), 0)
    return kernel, bias


def planted(vgg: Vgg, layer: str, kernel: np.ndarray, bias: np.ndarray) -> keras.Model:
    """A VGG with units behind one of its layers, as a layer ``planted``."""
    image, maps = convolutions(vgg, layer)
    units = layers.Conv2D(len(bias), 1, activation="relu", name="planted")
    model = keras.Model(image, units(maps[layer].post), name="planted_units")
    units.set_weights([kernel[None, None], bias])
    return model


def half(data: Photographs, first: int) -> Photographs:
    """Every other photograph."""
    part = slice(first, None, 2)
    return replace(data, paths=data.paths[part], names=data.names[part], digests=data.digests[part])


def natural_maps(vgg: Vgg, layer: str, data: Photographs, batch: int = 14) -> np.ndarray:
    """Maps of photographs behind a layer's ReLU, ``[photographs, positions, C]``."""
    read = vgg.build([layer], (SIZE, SIZE), "float32")
    found = []
    for first in range(0, len(data), batch):
        part = range(first, min(first + batch, len(data)))
        images = np.stack([data.image(k, (SIZE, SIZE)) for k in part]) - np.float32(vgg.centre)
        found.append(read.activations(keras.ops.convert_to_tensor(images), [layer])[layer].post.numpy())
    maps = np.concatenate(found)
    return maps.reshape(len(maps), -1, maps.shape[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="as experiments/photographs.py writes them")
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    data = photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(given.photographs)})
    vgg = networks.network(groups.composed({"model": "vgg16"})["model"])
    maps = natural_maps(vgg, LAYER, half(data, 0))
    alive = np.flatnonzero(maps.max(axis=(0, 1)) > 0)
    channels = np.random.default_rng(0).permutation(alive)[: 3 * given.units]
    model = planted(vgg, LAYER, *weights(maps, channels, given.units))
    units = list(range(3 * given.units))
    made = deepvis.visualize(model, "planted", units, size=SIZE, preprocess="caffe", **MADE).centred
    held = networks.network(networks.hold(model, "caffe"))
    found = evidence(held, "planted", units, made[None], half(data, 1), lambda x: x.mean(axis=(1, 2)))
    write_csv(given.to / "planted.csv", [
        {"kind": KINDS[at // given.units], "unit": at, "verdict": said, "strength": float(found.strength[at]),
         "path": float(found.path[at]), "facets": float(found.facets[at])}
        for at, said in zip(units, verdicts(found), strict=True)
    ])  # fmt: skip


if __name__ == "__main__":
    main()
