"""Tables and picture of this study, from its sweep over two networks and two seeds.

python experiments/two_trainings/make.py outputs/<sweep>
"""

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

METRICS = ("activation", "spectral_slope", "high_frequency", "saturation", "robustness")
LIKE = ("pixels", "pixels_beyond_start", "features")
SHOWN = (0, 1)  # columns of the filters in the picture

Pictures = dict[tuple[str, int, int], np.ndarray]  # by network, seed and replica: [filters, H, W, 3]


@dataclass
class Sweep:
    """What is read of it."""

    models: dict[str, DictConfig] = field(default_factory=dict)  # by name, the two networks
    starts: dict[int, np.ndarray] = field(default_factory=dict)  # by seed, [filters, H, W, 3]
    pictures: dict[str, Pictures] = field(default_factory=dict)  # by layer
    metrics: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # by layer and network


def read(folder: Path) -> Sweep:
    found, metrics = Sweep(), {}
    for job in study.jobs(folder):
        cfg, filters = job.config, job.result.filters
        name, layer = cfg.model.name, cfg.layer.name
        found.models[name] = cfg.model
        found.starts[cfg.seed] = np.stack([study.start(job, index) for index in filters])
        for replica, kind in enumerate(("filters", "twins/1")):
            seen = np.stack([job.picture(index, kind).astype(np.float32) for index in filters])
            found.pictures.setdefault(layer, {})[name, cfg.seed, replica] = seen
        final = study.final(job)
        metrics.setdefault((layer, name), []).append([final[key] for key in METRICS])
    found.metrics = {key: np.mean(each, axis=0) for key, each in metrics.items()}
    return found


def means(model: DictConfig, layer: str, pictures: Pictures) -> dict:
    """Mean of each of the layer's maps behind its ReLU, of each picture: [filters, channels]."""
    size = next(iter(pictures.values())).shape[1]
    maps = study.network(model, layer, size, "float32")
    return {key: maps(each - 128).post.numpy().mean(axis=(1, 2)) for key, each in pictures.items()}


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row; NaN where one is zero."""
    a, b = (each.reshape(len(each), -1).astype(float) for each in (a, b))
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def likeness(pictures: Pictures, starts: dict[int, np.ndarray], excited: dict) -> dict[str, np.ndarray]:
    """How alike the pictures of each filter are, in pixels and to a network, three ways."""
    flat, beyond, shares, found = {}, {}, {}, {}
    networks, seeds = list(excited), list(starts)
    for key, each in pictures.items():
        flat[key], start = (a - a.mean(axis=(1, 2), keepdims=True) for a in (each, starts[key[1]]))
        shares[key] = cosine(flat[key], start) ** 2
        slope = (flat[key] * start).sum(axis=(1, 2, 3)) / (start**2).sum(axis=(1, 2, 3))
        beyond[key] = flat[key] - slope[:, None, None, None] * start
    for name, other in (networks, networks[::-1]):
        found[f"share_of_start_{name}"] = np.mean([shares[name, seed, 0] for seed in seeds], axis=0)
        own, theirs = (np.diagonal(excited[name][n, seeds[0], 0]) for n in (name, other))
        found[f"kept_by_{other}s_in_{name}"] = theirs / own
    for kind in ("twins", "seeds", "trainings"):
        alike = []
        for (name, other), s in itertools.product((networks, networks[::-1]), (0, 1)):
            one = (name, seeds[s], 0)
            two = {"twins": (name, seeds[s], 1), "seeds": (name, seeds[1 - s], 0),
                   "trainings": (other, seeds[s], 0)}[kind]  # fmt: skip
            alike.append([cosine(each[one], each[two]) for each in (flat, beyond, excited[name])])
        found |= {f"{key}_{kind}": each for key, each in zip(LIKE, np.mean(alike, axis=0), strict=True)}
    return found


def make(to: Path, folder: Path) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):  # a filter that no picture turns on
        _make(to, read(folder))


def _make(to: Path, sweep: Sweep) -> None:
    table, layers, tests, networks = [], [], [], list(sweep.models)
    for layer, pictures in sweep.pictures.items():
        kernels = [np.moveaxis(study.kernel(model, layer)[0], -1, 0) for model in sweep.models.values()]
        old, new = (np.linalg.norm(each.reshape(len(each), -1), axis=1) for each in kernels)
        found = {"kernel_cosine": cosine(*kernels), "kernel_norm_ratio": new / old}
        row = {"layer": layer, "kernels": len(new), "cosine_of_all": np.median(found["kernel_cosine"])}
        excited = {name: means(model, layer, pictures) for name, model in sweep.models.items()}
        found |= likeness(pictures, sweep.starts, excited)
        for name in networks:
            own = zip(METRICS, sweep.metrics[layer, name], strict=True)
            found |= {f"{key}_{name}": values for key, values in own}
            row[f"silent_{name}"] = int((found[f"activation_{name}"] == 0).sum())
        count = len(found[f"activation_{networks[1]}"])
        found = {key: values[:count].astype(float) for key, values in found.items()}
        table += [{"layer": layer, "filter": i} | {k: v[i] for k, v in found.items()} for i in range(count)]
        layers.append(row | {"filters": count} | {k: float(np.nanmedian(v)) for k, v in found.items()})
        pairs = {key: [found[f"{key}_{name}"] for name in networks] for key in METRICS}
        pairs["log_activation"] = np.log(pairs.pop("activation"))
        pairs |= {key: [found[f"{key}_seeds"], found[f"{key}_trainings"]] for key in LIKE[1:]}
        for key, (a, b) in pairs.items():
            e = study.effect(b - a)
            tests.append({"layer": layer, "of": key, "n": e.n, "median": e.median, "low": e.low,
                          "high": e.high, "up": e.up, "moved": e.moved, "p": e.p})  # fmt: skip
    study.holm(tests)
    study.table(to / "filters.csv", table, digits=3)
    study.table(to / "layers.csv", layers, digits=4)
    study.table(to / "results.csv", tests, digits=4)
    draw(to, sweep)


def draw(to: Path, sweep: Sweep) -> None:
    """Every second layer."""
    (old, new), (s, t) = sweep.models, sweep.starts
    shown = {f"{old} seed {s}": (old, s, 0), "its replica": (old, s, 1), f"{old} seed {t}": (old, t, 0)}
    shown |= {f"{new} seed {s}": (new, s, 0), f"{new} seed {t}": (new, t, 0)}
    every = [*sweep.pictures][1::2]
    rows = [[sweep.pictures[layer][key][i].astype(np.uint8) for i in SHOWN for key in shown.values()]
            for layer in every]  # fmt: skip
    titles = [f"{study.label(i)} {name}" for i in SHOWN for name in shown]
    study.pictures(to / "pictures.jpg", rows, every, titles, quality=75)


if __name__ == "__main__":
    study.run(__file__, make, "sweep")
