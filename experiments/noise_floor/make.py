"""Tables and pictures of this study; it optimizes by itself, for it needs the images of every step.

python experiments/noise_floor/make.py
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from scipy import stats

matplotlib.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

STARTS = {"raw": "raw_noise", "mean-subtracted": "noise"}
REGS = ("none", "decay", "blur", "small_norm", "combined", "gildenblat_2016")
PRECISIONS = ("float32", "bfloat16")
SETTINGS = {"layer": "block5_conv1", "layer.filters": "0-15", "size": 128, "batch_size": 32}
STEPS = 20
TIMES = (1, 3, 5, 10, STEPS)  # steps after which the distance is told
SHOWN = 4  # filters of the picture

Curves = dict[tuple[str, str, str], np.ndarray]  # by start, regularizer and precision: [steps + 1, filters]


def optimized(settings: Mapping[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Images after each step, scores before it, of filters and replicas: [T, 2, F, H, W, C], [T, 2, F]."""
    own = {"twins": 1, "snapshot_every": 1, "steps": STEPS}
    found = study.optimize({**SETTINGS, **own, **settings})
    shape = 2, found.score.shape[1] // 2
    images = found.images.reshape(len(found.images), *shape, *found.images.shape[2:])
    return images, found.score.reshape(len(found.score), *shape)


def distance(images: np.ndarray) -> np.ndarray:
    """RMS difference of two replicas over the standard deviation of the image: [T, F]."""
    apart = np.sqrt(np.square(images[:, 1] - images[:, 0], dtype=float).mean(axis=(2, 3, 4)))
    return apart / images[:, 0].std(axis=(2, 3, 4), dtype=float)


def make(
    to: Path, regs: Sequence[str] = REGS, precisions: Sequence[str] = PRECISIONS,
    settings: Mapping[str, object] = {},
) -> None:  # fmt: skip
    """Make it all; the first of `regs` is what the others are compared with."""
    table, curves, shown = [], {}, {}
    for start, reg, precision in itertools.product(STARTS, regs, precisions):
        images, scores = optimized({"start": STARTS[start], "reg": reg, "precision": precision, **settings})
        apart = distance(images)
        curves[start, reg, precision] = apart
        if (start, precision) == ("raw", "float32"):
            shown[reg] = images[STEPS, :, :SHOWN]
        change = np.abs(scores[-1, 1] / scores[-1, 0] - 1)
        table.append({
            "start": start, "reg": reg, "precision": precision, "filters": apart.shape[1],
            **{f"distance_{t}": float(np.median(apart[t])) for t in TIMES},
            f"worst_distance_{STEPS}": float(apart[STEPS].max()),
            "score_moved_percent": 100 * float(np.median(change)),
            "worst_score_moved_percent": 100 * float(change.max()),
        })  # fmt: skip
    study.table(to / "results.csv", table, digits=3)
    study.table(to / "regularizers.csv", ratios(curves, regs), digits=3)
    plot(to / "divergence.png", curves, regs, precisions)
    rows = [
        [study.contrast(shown[reg][replica, i]) for reg in regs for replica in (0, 1)] for i in range(SHOWN)
    ]
    titles = [name for reg in regs for name in (reg, "its replica")]
    study.pictures(to / "pictures.jpg", rows, [study.label(i) for i in range(SHOWN)], titles)


def ratios(curves: Curves, regs: Sequence[str]) -> list[dict]:
    """What each regularizer does to the distance after all steps, filter by filter, in float32."""
    table = []
    for start, reg in itertools.product(STARTS, regs[1:]):
        ratio = curves[start, reg, "float32"][STEPS] / curves[start, regs[0], "float32"][STEPS]
        table.append({
            "start": start, "reg": reg, "median_ratio_to_none": float(np.median(ratio)),
            "filters_closer": int((ratio < 1).sum()),
            "wilcoxon_p": float(stats.wilcoxon(np.log(ratio)).pvalue),
        })  # fmt: skip
    return table


def plot(path: Path, curves: Curves, regs: Sequence[str], precisions: Sequence[str]) -> None:
    """Median over filters by step; markers and line styles tell the lines apart without colour."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for panel, start in zip(panels, STARTS, strict=True):
        for (reg, mark), (precision, line) in itertools.product(
            zip(regs, "osv^Dx", strict=False), zip(precisions, ("-", ":"), strict=False)
        ):
            median = np.median(curves[start, reg, precision], axis=1)
            name = reg if precision == "float32" else None
            (drawn,) = panel.semilogy(median, line, marker=mark, markevery=5, markersize=4, label=name)
            drawn.set_color(f"C{list(regs).index(reg)}")
        panel.set(title=f"{start} start", xlabel="steps", xlim=(0, STEPS))
        panel.axhline(1, color="0.7", linewidth=0.8)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("distance of replicas, standard deviations")
    panels[1].legend(title="float32; dotted: bfloat16", fontsize=8, title_fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    study.run(__file__, make)
