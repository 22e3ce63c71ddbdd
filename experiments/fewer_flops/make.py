"""Tables and picture of this study; it optimizes by itself: robustness is of images before display.

python experiments/fewer_flops/make.py
"""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

PAD = 8  # px
SHIFTS = ((2, 0), (0, -2), (-3, 0), (0, 3), (4, 4), (-4, 4), (8, 0), (0, -8))  # px, down and right
TWENTY = {"steps": 20, "optimizer.learning_rate": 0.9}  # Gildenblat 2016
TEN = {"steps": 10, "optimizer.learning_rate": 2.7}  # the preset
LAYERS = ("block3_conv1", "block5_conv1")
SEARCHED, TESTED = range(16), range(64, 128)  # filters
SEEDS = range(3)
SHOWN = 4  # filters of the picture, a layer

Settings = Mapping[str, object]


def optimized(layer: str, filters: range, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Final images and final activations: [F, H, W, C], [F]."""
    own = {"experiment": "fewer_flops", "layer": layer, "layer.filters": f"{filters[0]}-{filters[-1]}"}
    found = study.optimize({**own, **settings})
    return found.images[-1], found.activation


def robustness(layer: str, filters: range, finals: np.ndarray, settings: Settings) -> np.ndarray:
    """Share of its activation that an image keeps under small shifts, borders reflected: [F]."""
    model = {key: value for key, value in settings.items() if key.partition(".")[0] == "model"}
    cfg = study.config(*(f"{key}={value}" for key, value in model.items()))
    maps = study.network(cfg.model, layer, len(finals[0]), "bfloat16")

    @tf.function(reduce_retracing=True)
    def activation(image, channel):
        means = tf.reduce_mean(maps(image).post, axis=[1, 2])
        return tf.gather(means, channel[:, None], axis=1, batch_dims=1)[:, 0]

    kept = []
    for image, channel in zip(finals, filters, strict=True):
        wide = np.pad(image, ((PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")
        n, m, _ = image.shape
        views = [image, *(wide[PAD - y : PAD - y + n, PAD - x : PAD - x + m] for y, x in SHIFTS)]
        seen = activation(np.stack(views), tf.fill([len(views)], channel)).numpy()
        kept.append(seen[1:].mean() / seen[0] if seen[0] > 0 else np.nan)
    return np.array(kept)


def search(layer: str, filters: range, settings: Settings) -> Iterator[dict]:
    """How the preset was found: fewer and longer steps, on some filters of one seed."""

    def median(finals):
        return np.nanmedian(robustness(layer, filters, finals, settings))

    finals, reference = optimized(layer, filters, {**TWENTY, **settings})
    yield {"steps": 20, "learning_rate": 0.9, "activation": 1.0, "higher": "", "robustness": median(finals)}
    for steps in (5, 7, 10):
        for rate in (0.9, 1.8, 2.7, 5.4):
            schedule = {"steps": steps, "optimizer.learning_rate": rate}
            finals, reached = optimized(layer, filters, {**schedule, **settings})
            yield {
                "steps": steps, "learning_rate": rate, "activation": np.median(reached / reference),
                "higher": np.mean(reached > reference), "robustness": median(finals),
            }  # fmt: skip


def interval(differences: np.ndarray) -> str:
    low, high = stats.bootstrap([differences], np.median, rng=0).confidence_interval
    return f"{np.median(differences):.3f} [{low:.3f}, {high:.3f}]"


def confirm(
    layers: Sequence[str], filters: range, seeds: range, settings: Settings
) -> tuple[list[dict], dict[tuple[str, str], np.ndarray]]:
    """The preset against the published recipe on filters that the search has not seen; seeds are averaged."""
    table, shown = [], {}
    for layer in layers:
        reached, kept = {}, {}
        share = functools.partial(robustness, layer, filters, settings=settings)
        for name, schedule in (("twenty", TWENTY), ("ten", TEN)):
            runs = [optimized(layer, filters, {**schedule, "seed": seed, **settings}) for seed in seeds]
            reached[name] = np.mean([run[1] for run in runs], axis=0)
            kept[name] = np.mean([share(run[0]) for run in runs], axis=0)
            shown[layer, name] = runs[0][0]
        # A filter that is silent in one of them has no ratio: counted, and left out.
        active = (reached["twenty"] > 0) & np.isfinite(kept["twenty"]) & np.isfinite(kept["ten"])
        change = kept["ten"][active] - kept["twenty"][active]
        table.append({
            "layer": layer, "filters": int(active.sum()), "silent": int((~active).sum()), "seeds": len(seeds),
            "activation ten/twenty": interval(reached["ten"][active] / reached["twenty"][active]),
            "filters that end higher": f"{np.mean(reached['ten'][active] > reached['twenty'][active]):.2f}",
            "robustness twenty": f"{np.median(kept['twenty'][active]):.3f}",
            "robustness ten - twenty": interval(change),
            "Wilcoxon p of it": f"{stats.wilcoxon(change).pvalue:.2g}",
        })  # fmt: skip
    return table, shown


def make(
    to: Path, layers: Sequence[str] = LAYERS, searched: range = SEARCHED, tested: range = TESTED,
    seeds: range = SEEDS, settings: Settings = {},  # noqa: B006
) -> None:  # fmt: skip
    """Make it all; the last of `layers` is the one that is searched."""
    study.table(to / "search.csv", search(layers[-1], searched, settings), digits=3)
    table, shown = confirm(layers, tested, seeds, settings)
    study.table(to / "results.csv", table, digits=3)
    cells = [(layer, i) for layer in layers for i in range(SHOWN)]
    rows = [[study.contrast(shown[layer, name][i]) for name in ("twenty", "ten")] for layer, i in cells]
    names = [f"{layer[:6]} {study.label(tested[i])}" for layer, i in cells]
    study.pictures(to / "pictures.jpg", rows, names, ["20 steps", "10 steps"])


if __name__ == "__main__":
    study.run(__file__, make)
