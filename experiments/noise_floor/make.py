"""Tables and pictures of this study; it climbs by itself, for it looks at every step's images.

python experiments/noise_floor/make.py
"""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
from hydra import compose, initialize_config_dir
from PIL import Image
from scipy import stats

from deepvis.ascent import program
from deepvis.core import images, names
from deepvis.core.files import write_csv
from deepvis.results import result_folder
from deepvis.sweeps import jobs

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
STARTS = {"raw": "raw_noise", "mean-subtracted": "noise"}
REGS = ("none", "decay", "blur", "small_norm", "combined", "seed")
PRECISIONS = ("float32", "bfloat16")
FILTERS = range(16)
LOOKS = (1, 3, 5, 10, 20)


def optimized(*overrides: str) -> tuple[np.ndarray, np.ndarray]:
    """Images after each step, scores before it, of filters and twins: [T, 2, F, H, W, 3], [T, 2, F]."""
    own = [
        f"layer.filters={FILTERS.start}-{FILTERS.stop - 1}",
        "twins=1",
        "snapshot_every=1",
        "batch_size=32",
    ]
    with initialize_config_dir(str(names.CONF), version_base="1.3"):
        typed = [*own, "layer=block5_conv1", "size=128", "steps=20", *overrides]
        pack = next(jobs.job_groups([jobs.make(compose("config", typed), typed, HERE)]))
    (job,), (batch,) = pack.jobs, pack.batches
    made = program.compiled(pack.static_config, pack.active)
    images = [jobs.image_spec(pack, row) for row in batch]
    start = np.stack([program.start(each, made.network.mean) for each in images])
    looks = list(program.ascend(made, images, start, len(batch), job.cfg.steps))
    seen = np.stack([start, *(look.image for look in looks)])
    scores = np.concatenate(
        [*(look.record["score"] for look in looks), looks[-1].final_values["score"][None]]
    )
    shape = 2, len(FILTERS)
    return seen.reshape(len(seen), *shape, *seen.shape[2:]), scores.reshape(len(scores), *shape)


def distance(seen: np.ndarray) -> np.ndarray:
    """RMS difference of twins over the standard deviation of the image: [T, F]."""
    apart = np.sqrt(np.square(seen[:, 1] - seen[:, 0], dtype=float).mean(axis=(2, 3, 4)))
    return apart / seen[:, 0].std(axis=(2, 3, 4), dtype=float)


def main() -> None:
    table, curves, shown = [], {}, {}
    for start, reg, precision in itertools.product(STARTS, REGS, PRECISIONS):
        seen, scores = optimized(f"start={STARTS[start]}", f"reg={reg}", f"precision={precision}")
        apart = distance(seen)
        curves[start, reg, precision] = apart
        if (start, precision) == ("raw", "float32"):
            shown[reg] = seen[20, :, :4]
        moved = np.abs(scores[-1, 1] / scores[-1, 0] - 1)
        table.append({
            "start": start, "reg": reg, "precision": precision, "filters": len(FILTERS),
            **{f"distance_{t}": float(np.median(apart[t])) for t in LOOKS},
            "worst_distance_20": float(apart[20].max()),
            "score_moved_percent": 100 * float(np.median(moved)),
            "worst_score_moved_percent": 100 * float(moved.max()),
        })  # fmt: skip
    write_csv(HERE / "results.csv", table, digits=3)
    pairs(curves)
    plot(curves)
    cells = [[images.contrast(shown[reg][twin, i]) for reg in REGS for twin in (0, 1)] for i in range(4)]
    names = [name for reg in REGS for name in (reg, "its twin")]
    sheet = images.contact_sheet(cells, [result_folder.label(i) for i in FILTERS[:4]], names)
    Image.fromarray(sheet).save(HERE / "pictures.jpg", quality=85)


def pairs(curves: dict) -> None:
    """What each regularizer does to the distance after 20 steps, filter by filter, in float32."""
    table = []
    for start, reg in itertools.product(STARTS, REGS[1:]):
        ratio = curves[start, reg, "float32"][20] / curves[start, "none", "float32"][20]
        table.append({
            "start": start, "reg": reg, "median_ratio_to_none": float(np.median(ratio)),
            "filters_closer": int((ratio < 1).sum()),
            "wilcoxon_p": float(stats.wilcoxon(np.log(ratio)).pvalue),
        })  # fmt: skip
    write_csv(HERE / "regularizers.csv", table, digits=3)


def plot(curves: dict) -> None:
    """Median over filters by step; markers and line styles tell the lines apart without colour."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for panel, start in zip(panels, STARTS, strict=True):
        for (reg, mark), (precision, line) in itertools.product(
            zip(REGS, "osv^Dx", strict=True), zip(PRECISIONS, ("-", ":"), strict=True)
        ):
            median = np.median(curves[start, reg, precision], axis=1)[:21]
            label = reg if precision == "float32" else None
            (drawn,) = panel.semilogy(median, line, marker=mark, markevery=5, markersize=4, label=label)
            drawn.set_color(f"C{REGS.index(reg)}")
        panel.set(title=f"{start} start", xlabel="steps", xlim=(0, 20))
        panel.axhline(1, color="0.7", linewidth=0.8)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("distance of twins, standard deviations")
    panels[1].legend(title="float32; dotted: bfloat16", fontsize=8, title_fontsize=8)
    figure.savefig(HERE / "divergence.png", dpi=110)


if __name__ == "__main__":
    main()
