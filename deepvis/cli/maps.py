"""``deepvis maps``: the activation maps of photographs, layer by layer, and which channels are dead."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepvis import networks
from deepvis.attribution import layer_maps
from deepvis.cli import analyses, read_photographs
from deepvis.cli.attribution import in_float32
from deepvis.config import schema
from deepvis.core import files, images, progress
from deepvis.networks.base import Layer
from deepvis.sweeps.jobs import Job

HELP = """deepvis maps [data=...]    activation maps of photographs, from the first layer up to layer.name

  deepvis maps                                       the photographs of scikit-learn and scikit-image, VGG16
  deepvis maps layer=block3_conv1 data=folder data.path=photos/ size=224

Writes outputs/<id>: for each layer a picture of all its channels behind the nonlinearity (black is 0 or less,
white what 99.5 % of the values are below), of the first photograph; of the others in photographs/. Arrays of
the first one in maps/*.npy [h, w, C]. channels.csv has the largest magnitude of each channel over all
photographs; one that is 0 on all of them is dead, and has a red frame. One MLflow run."""

MOST = 20  # dead channels of a layer that are named


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("maps", in_float32(typed), _compute)


def layers_up_to(job: Job) -> list[str]:
    """The convolutions and dense layers up to that of a job, and that one, as far as they take the size."""
    network = networks.network(schema.plain(job.cfg.model))
    known = network.layers()
    last = network.layer(job.cfg.layer.name).name
    names = list(known)[: list(known).index(last) + 1]
    return [name for name in names if name == last or _has_weights(known[name])]


def _has_weights(layer: Layer) -> bool:
    return any(word in layer.kind for word in ("conv", "dense"))


def _compute(job: Job, checkpoint: Path) -> analyses.Found:
    del checkpoint
    read, names = read_photographs.read(job.cfg), layers_up_to(job)
    network = networks.network(schema.plain(job.cfg.model)).build(names, job.cfg.sides, "float32")
    n = len(read.names)
    with progress.doing(f"computing the maps of {n} photographs"):
        largest = dict.fromkeys(names, np.float32(-np.inf))
        first: Mapping[str, np.ndarray] = {}
        for found in layer_maps.maps(network, names, read.images):
            first = first or found
            largest = {name: np.maximum(largest[name], _magnitude(found[name])) for name in names}
    dead = {name: largest[name] == 0 for name in names}

    def write(folder: Path) -> None:
        rows = [
            {"layer": name, "channel": k, "largest": float(value), "dead": bool(dead[name][k])}
            for name in names for k, value in enumerate(np.asarray(largest[name]))
        ]  # fmt: skip
        files.write_csv(folder / "channels.csv", rows)
        (folder / "maps").mkdir()
        for name, each in first.items():
            np.save(folder / "maps" / f"{_file(name)}.npy", each)
        # Once more, for the maps of all photographs at once may be larger than memory.
        others = zip(read.names[1:], layer_maps.maps(network, names, read.images[1:]), strict=True)
        for photograph, found in others:
            place = folder / "photographs" / photograph.replace("/", "_")
            place.mkdir(parents=True)
            for name in names:
                images.save(place / f"{_file(name)}.png", layer_maps.sheet(found[name], dead[name]))

    pictures = {_file(name): layer_maps.sheet(first[name], dead[name]) for name in names}
    counts = {name: int(each.sum()) for name, each in dead.items()}
    said = [
        f"{name}: {counts[name]} of {len(dead[name])} channels are 0 on all {n} photographs"
        + f": {', '.join(map(str, np.flatnonzero(dead[name])[:MOST]))}{' ...' * (counts[name] > MOST)}"
        for name in names if counts[name]
    ]  # fmt: skip
    metrics = {f"dead/{name}": float(count) for name, count in counts.items()} | {"photographs": float(n)}
    return analyses.Found({"data.digest": read.digest}, metrics, pictures, write, [
        *read.said, *(said or [f"no channel is 0 on all {n} photographs"])])  # fmt: skip


def _magnitude(found: np.ndarray) -> np.ndarray:
    return np.abs(found).max(axis=(0, 1))


def _file(layer: str) -> str:
    return layer.replace("/", "_")
