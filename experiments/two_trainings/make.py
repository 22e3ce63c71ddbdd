"""Tables and picture of this study, from its sweep.

python experiments/two_trainings/make.py outputs/<sweep>
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from omegaconf import OmegaConf
from PIL import Image

from deepvis import networks
from deepvis.ascent import starts
from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.metrics import statistics
from deepvis.results import result_folder

HERE = Path(__file__).parent
NETWORKS = ("vgg16", "hed")
METRICS = ("activation", "spectral_slope", "high_frequency", "saturation", "robustness")
LIKE = ("pixels", "pixels_beyond_start", "features")


def read(sweep: Path) -> tuple[dict, dict, dict, dict]:
    """Pictures by layer and (network, seed, twin), their starts, metrics by layer and network, networks."""
    seen, starting, metrics, configs = {}, {}, {}, {}
    for place in result_folder.finished(sweep):
        result, cfg = result_folder.read(place), OmegaConf.load(place / "config.yaml")
        name, layer, numbers = cfg.model.name, cfg.layer.name, (cfg.start.low, cfg.start.high)
        configs[name] = OmegaConf.to_container(cfg.model)
        own = [starts.noise(cfg.size, cfg.seed, i, 0, *numbers) for i in result.filters]
        starting[cfg.seed] = np.stack(own)
        for twin, folder in enumerate((place / "filters", place / "twins" / "1")):
            pictures = [np.asarray(Image.open(path), np.float32) for path in sorted(folder.iterdir())]
            seen.setdefault(layer, {})[name, cfg.seed, twin] = np.stack(pictures)
        last = {"activation": result.history["activation"][-1]} | dict(result.metrics)
        metrics.setdefault((layer, name), []).append([last[key] for key in METRICS])
    return seen, starting, {key: np.mean(each, axis=0) for key, each in metrics.items()}, configs


def means(config: dict, layer: str, seen: dict) -> dict:
    """Mean of each of the layer's maps behind its ReLU, of each picture: [filters, channels]."""
    size = len(next(iter(seen.values()))[0])
    network = networks.network(config).build([layer], size, "float32")
    maps = {key: network.activations(tf.constant(each - 128), [layer])[layer] for key, each in seen.items()}
    return {key: each.post.numpy().mean(axis=(1, 2)) for key, each in maps.items()}


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row; NaN where one is zero."""
    a, b = (each.reshape(len(each), -1).astype(float) for each in (a, b))
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def likeness(seen: dict, starting: dict, excited: dict) -> dict[str, np.ndarray]:
    """How alike the pictures of each filter are to the eye and to a network, three ways."""
    flat, beyond, shares, found = {}, {}, {}, {}
    for key, each in seen.items():
        flat[key], start = (a - a.mean(axis=(1, 2), keepdims=True) for a in (each, starting[key[1]]))
        shares[key] = cosine(flat[key], start) ** 2
        slope = (flat[key] * start).sum(axis=(1, 2, 3)) / (start**2).sum(axis=(1, 2, 3))
        beyond[key] = flat[key] - slope[:, None, None, None] * start
    for name, other in (NETWORKS, NETWORKS[::-1]):
        found[f"share_of_start_{name}"] = np.mean([shares[name, s, 0] for s in (0, 1)], axis=0)
        own, theirs = (np.diagonal(excited[name][n, 0, 0]) for n in (name, other))
        found[f"retained_by_{other}s_in_{name}"] = theirs / own
    for kind in ("twins", "seeds", "trainings"):
        alike = []
        for (name, other), s in itertools.product((NETWORKS, NETWORKS[::-1]), (0, 1)):
            b = {"twins": (name, s, 1), "seeds": (name, 1 - s, 0), "trainings": (other, s, 0)}[kind]
            alike.append([cosine(each[name, s, 0], each[b]) for each in (flat, beyond, excited[name])])
        found |= {f"{key}_{kind}": each for key, each in zip(LIKE, np.mean(alike, axis=0), strict=True)}
    return found


def main(sweep: Path) -> None:
    seen, starting, metrics, configs = read(sweep)
    table, layers, tests = [], [], []
    for layer, pictures in seen.items():
        parts = [networks.network(configs[n]).read(layer).layers[layer] for n in NETWORKS]
        kernels = [np.moveaxis(kernel, -1, 0) for kernel, _ in parts]
        old, new = (np.linalg.norm(each.reshape(len(each), -1), axis=1) for each in kernels)
        found = {"kernel_cosine": cosine(*kernels), "kernel_norm_ratio": new / old}
        row = {"layer": layer, "kernels": len(new), "cosine_of_all": np.median(found["kernel_cosine"])}
        found |= likeness(pictures, starting, {n: means(configs[n], layer, pictures) for n in NETWORKS})
        for name in NETWORKS:
            found |= {f"{k}_{name}": v for k, v in zip(METRICS, metrics[layer, name], strict=True)}
            row[f"silent_{name}"] = int((found[f"activation_{name}"] == 0).sum())
        count = len(found["activation_hed"])
        found = {key: values[:count].astype(float) for key, values in found.items()}
        table += [{"layer": layer, "filter": i} | {k: v[i] for k, v in found.items()} for i in range(count)]
        layers.append(row | {"filters": count} | {k: float(np.nanmedian(v)) for k, v in found.items()})
        pairs = {key: [found[f"{key}_{name}"] for name in NETWORKS] for key in METRICS}
        pairs["log_activation"] = np.log(pairs.pop("activation"))
        pairs |= {key: [found[f"{key}_seeds"], found[f"{key}_trainings"]] for key in LIKE[1:]}
        tests += [({"layer": layer, "of": k}, statistics.effect(b - a)) for k, (a, b) in pairs.items()]
    adjusted = statistics.holm([each.p for _, each in tests])
    write_csv(HERE / "filters.csv", table, digits=3)
    write_csv(HERE / "layers.csv", layers, digits=4)
    rows = [row | each._asdict() | {"p_holm": p} for (row, each), p in zip(tests, adjusted, strict=True)]
    write_csv(HERE / "results.csv", rows, digits=4)
    order = {"vgg16 seed 0": ("vgg16", 0, 0), "its twin": ("vgg16", 0, 1), "vgg16 seed 1": ("vgg16", 1, 0)}
    order |= {"hed seed 0": ("hed", 0, 0), "hed seed 1": ("hed", 1, 0)}
    every = [*seen][1::2]  # second layer
    cells = [[seen[n][key][i].astype(np.uint8) for i in (0, 1) for key in order.values()] for n in every]
    names = [f"{result_folder.label(i)} {name}" for i in (0, 1) for name in order]
    Image.fromarray(images.contact_sheet(cells, every, names)).save(HERE / "pictures.jpg", quality=75)


if __name__ == "__main__":
    with np.errstate(divide="ignore", invalid="ignore"):  # a filter that no picture turns on
        main(Path(sys.argv[1]))
