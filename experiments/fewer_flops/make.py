"""Tables and picture of this study; it climbs by itself: robustness is of images before they are displayed.

python experiments/fewer_flops/make.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from scipy import stats

from deepvis import networks
from deepvis.ascent import program
from deepvis.core import images, names
from deepvis.core.files import write_csv
from deepvis.results import result_folder
from deepvis.sweeps import jobs

HERE = Path(__file__).parent
SHIFTS = ((2, 0), (0, -2), (-3, 0), (0, 3), (4, 4), (-4, 4), (8, 0), (0, -8))  # px, down and right
TWENTY = ("steps=20", "optimizer.learning_rate=0.9")  # the post's
TEN = ("steps=10", "optimizer.learning_rate=2.7")  # the preset's
LAYERS = ("block3_conv1", "block5_conv1")


def optimized(layer: str, filters: range, *overrides: str) -> tuple[np.ndarray, np.ndarray]:
    """Final images and final activations: [F, H, W, 3], [F]."""
    with initialize_config_dir(str(names.CONF), version_base="1.3"):
        typed = [f"layer.filters={filters.start}-{filters.stop - 1}", *overrides]
        cfg = compose("config", ["experiment=fewer_flops", f"layer={layer}", *typed])
    pack = next(jobs.job_groups([jobs.make(cfg, typed, HERE)]))
    (job,), made = pack.jobs, program.compiled(pack.static_config, pack.active)
    finals, heights = [], []
    for batch in pack.batches:
        images = [jobs.image_spec(pack, row) for row in batch]
        start = np.stack([program.start(each, made.network.mean) for each in images])
        *_, last = program.ascend(made, images, start, len(pack.batches[0]), job.cfg.steps)
        finals.append(last.image[: len(batch)])
        heights.append(last.final_values["activation"][: len(batch)])
    return np.concatenate(finals), np.concatenate(heights)


def robustness(layer: str, filters: range, finals: np.ndarray) -> np.ndarray:
    """Share of its activation that an image keeps under small shifts, borders reflected: [F]."""
    with initialize_config_dir(str(names.CONF), version_base="1.3"):
        model = compose("config").model
    network = networks.network(OmegaConf.to_container(model)).build([layer], len(finals[0]), "bfloat16")

    @tf.function(reduce_retracing=True)
    def activation(image, channel):
        maps = network.activations(image, [layer])[layer].post
        return tf.gather(tf.reduce_mean(maps, axis=[1, 2]), channel[:, None], axis=1, batch_dims=1)[:, 0]

    kept = []
    for image, channel in zip(finals, filters, strict=True):
        wide = np.pad(image, ((8, 8), (8, 8), (0, 0)), mode="reflect")
        n, m, _ = image.shape
        views = [image, *(wide[8 - y : 8 - y + n, 8 - x : 8 - x + m] for y, x in SHIFTS)]
        seen = activation(np.stack(views), tf.fill([len(views)], channel)).numpy()
        kept.append(seen[1:].mean() / seen[0] if seen[0] > 0 else np.nan)
    return np.array(kept)


def search(filters: range) -> list[dict]:
    """How the preset was found: fewer and longer steps, on 16 filters of one seed."""
    wanted, reference = optimized("block5_conv1", filters, *TWENTY)
    table = [{"steps": 20, "learning_rate": 0.9, "activation": 1.0, "higher": "",
              "robustness": np.nanmedian(robustness("block5_conv1", filters, wanted))}]  # fmt: skip
    for steps in (5, 7, 10):
        for rate in (0.9, 1.8, 2.7, 5.4):
            finals, height = optimized(
                "block5_conv1", filters, f"steps={steps}", f"optimizer.learning_rate={rate}"
            )
            table.append({
                "steps": steps, "learning_rate": rate, "activation": np.median(height / reference),
                "higher": np.mean(height > reference),
                "robustness": np.nanmedian(robustness("block5_conv1", filters, finals)),
            })  # fmt: skip
    return table


def interval(differences: np.ndarray) -> str:
    low, high = stats.bootstrap([differences], np.median, rng=0).confidence_interval
    return f"{np.median(differences):.3f} [{low:.3f}, {high:.3f}]"


def confirm(filters: range, seeds: range) -> tuple[list[dict], dict]:
    """The preset against the post's recipe on filters that the search has not seen; seeds are averaged."""
    table, shown = [], {}
    for layer in LAYERS:
        height, kept = {}, {}
        for name, schedule in (("twenty", TWENTY), ("ten", TEN)):
            runs = [optimized(layer, filters, *schedule, f"seed={seed}") for seed in seeds]
            height[name] = np.mean([run[1] for run in runs], axis=0)
            kept[name] = np.mean([robustness(layer, filters, run[0]) for run in runs], axis=0)
            shown[layer, name] = runs[0][0]
        # A filter that is silent in one of them has no ratio: counted, and left out.
        alive = (height["twenty"] > 0) & np.isfinite(kept["twenty"]) & np.isfinite(kept["ten"])
        change = kept["ten"][alive] - kept["twenty"][alive]
        table.append({
            "layer": layer, "filters": int(alive.sum()), "silent": int((~alive).sum()), "seeds": len(seeds),
            "activation ten/twenty": interval(height["ten"][alive] / height["twenty"][alive]),
            "filters that end higher": f"{np.mean(height['ten'][alive] > height['twenty'][alive]):.2f}",
            "robustness twenty": f"{np.median(kept['twenty'][alive]):.3f}",
            "robustness ten - twenty": interval(change),
            "Wilcoxon p of it": f"{stats.wilcoxon(change).pvalue:.2g}",
        })  # fmt: skip
    return table, shown


def main() -> None:
    write_csv(HERE / "search.csv", search(range(16)), digits=3)
    filters = range(64, 128)
    table, shown = confirm(filters, range(3))
    write_csv(HERE / "results.csv", table, digits=3)
    rows = [(layer, i) for layer in LAYERS for i in range(4)]
    cells = [[images.contrast(shown[layer, name][i]) for name in ("twenty", "ten")] for layer, i in rows]
    names = [f"{layer[:6]} {result_folder.label(filters[i])}" for layer, i in rows]
    sheet = images.contact_sheet(cells, names, ["20 steps", "10 steps"])
    Image.fromarray(sheet).save(HERE / "pictures.jpg", quality=85)


if __name__ == "__main__":
    main()
