"""What each regularizer adds to a step: 16 images of VGG16 block5_conv1 at 128 px beside the bare network.

python benchmarks/regularizers.py        prints the table of docs/reference/benchmarks.md

A step of deepvis, its copy to the host included, and one of the bare network take turns in one process. Each
operator also runs alone, in a graph of its own. CPU time is that of all threads.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import bare
import ours
import tensorflow as tf
from measure import LAYER, timed

KNOBS = {
    "none": [],
    "decay": ["reg.decay=0.95"],
    "blur": ["reg.blur=5"],
    "value percentile": ["reg.value_percentile=5"],
    "norm percentile": ["reg.norm_percentile=10"],
    "contribution percentile": ["reg.contribution_percentile=10"],
    "clip_pixels": ["reg.clip_pixels=true"],
}
ALL = {**KNOBS, "all of them": [knob for knobs in KNOBS.values() for knob in knobs]}
BATCH, STEPS, ROUNDS, ALONE = 16, 2, int((sys.argv[1:] or ["3"])[0]), 40
Call = Callable[[], object]


def steps(folder: Path, precision: str, knobs: list[str]) -> Call:
    """So many steps of a job, traced."""
    typed = [f"layer={LAYER}", f"precision={precision}", f"layer.filters=0-{BATCH - 1}", "size=128"]
    endless = [f"batch_size={BATCH}", f"snapshot_every={STEPS}", f"steps={1000 * STEPS}"]
    looks = ours.optimize(ours.group([ours.job(folder, *typed, *knobs, *endless)]))
    next(looks)
    return lambda: next(looks)


def network(precision: str) -> Call:
    """As many of the bare network."""
    image, filters = tf.random.normal([BATCH, 128, 128, 3], stddev=40.0, seed=0), tf.range(BATCH)
    call = bare.score_and_gradient(LAYER, precision)

    def run():
        for _ in range(STEPS):
            _, gradient = call(image, filters)
        gradient.numpy()

    run()
    return run


def alone(folder: Path, knobs: list[str]) -> float:
    """CPU ms of a step's regularizers by themselves."""
    tiny = "model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-15", "size=128"
    call = ours.regularizers_of(ours.group([ours.job(folder, *tiny, *knobs)]))
    image, gradient = (tf.random.normal([BATCH, 128, 128, 3], stddev=40.0, seed=n) for n in (0, 1))
    call(image, gradient)
    return 1000 * statistics.median(timed(lambda: call(image, gradient).numpy())().cpu for _ in range(ALONE))


def main() -> None:
    ratios: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as place:
        for precision in ("bfloat16", "float32"):
            works = {name: steps(Path(place) / name, precision, knobs) for name, knobs in ALL.items()}
            works["bare"] = network(precision)
            spent = [{name: timed(work)().cpu for name, work in works.items()} for _ in range(ROUNDS)]
            for name in ALL:
                found = [each[name] / each["bare"] for each in spent]
                told = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
                ratios.setdefault(name, []).append(told)
            ms = 1000 * statistics.median(each["bare"] for each in spent) / STEPS
            ratios.setdefault("bare network, CPU ms a step", []).append(f"{ms:.0f}")
        cost = {name: f"{alone(Path(place) / name, knobs):.0f}" for name, knobs in ALL.items() if knobs}
    print("| regularizer | bfloat16 | float32 | alone, CPU ms |\n| --- | --- | --- | --- |")
    for name, cells in ratios.items():
        print(f"| {' | '.join([name, *cells, cost.get(name, '')])} |")


if __name__ == "__main__":
    main()
