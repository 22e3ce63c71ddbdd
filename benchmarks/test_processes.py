"""Whole processes: the demo beside Gildenblat's loop, the start, the launchers, memory."""

import functools
import itertools
import sys
from pathlib import Path

import ours
import pytest
from measure import (
    FILTERS,
    LAYER,
    QUICK,
    SIZE,
    STEPS,
    difference,
    interleaved,
    plain,
    process,
    ratio,
    report,
    until,
)

HERE = Path(__file__).parent
VGG = [f"layer={LAYER}", f"size={SIZE}", f"layer.filters=0-{FILTERS - 1}", f"steps={STEPS}"]
PRECISIONS = ("bfloat16", "float32")


def fresh(folder: Path, name: str) -> Path:
    """A new folder for each turn, so that no run finds what another has left."""
    return next(place for n in itertools.count() if not (place := folder / f"{name}-{n}").exists())


def test_demo_sweep_beside_the_gildenblat_loop(benchmark, tmp_path):
    """Both write their pictures; ours also imports MLflow, makes its store and logs to it."""
    loop = [
        sys.executable,
        str(HERE / "gildenblat_loop.py"),
        "pictures",
        LAYER,
        *map(str, (SIZE, FILTERS, STEPS)),
    ]
    demo = ["-m", "reg.decay=0.8,0.9", "reg.blur=3,5", *VGG]
    commands = {"loop": loop} | {each: ours.command(*demo, f"precision={each}") for each in PRECISIONS}

    def run(name):
        return process(commands[name], fresh(tmp_path, name))

    spent = interleaved(benchmark, {name: functools.partial(run, name) for name in commands})
    bounds = {"bfloat16": "0.55", "float32": "0.95"}
    figure = "the demo sweep, whole process / Gildenblat's loop doing the same four jobs"
    report(benchmark, *(ratio(figure, each, bounds[each], spent[each], spent["loop"]) for each in PRECISIONS))


def test_first_step_after_import_tensorflow(benchmark, tmp_path):
    """Until the live picture of the first step is there, in a folder that has a store already."""
    tiny = ["model=tiny", "layer=block1_conv1", "layer.filters=0", "size=16", "steps=1"]
    process(ours.command(*tiny), tmp_path)  # makes the store

    def first_step(precision):
        place = fresh(tmp_path, precision)
        typed = [*VGG, "steps=2", "snapshot_every=1", f"precision={precision}", f"hydra.run.dir={place.name}"]
        return until(ours.command(*typed), tmp_path, place / "live.png")

    def tensorflow():
        sign = fresh(tmp_path, "imported")
        return until([sys.executable, "-c", f"import tensorflow; open('{sign}', 'w')"], tmp_path, sign)

    works = {each: functools.partial(first_step, each) for each in PRECISIONS}
    spent = interleaved(benchmark, works | {"import": tensorflow})
    figure = "process start to first step done, beyond `import tensorflow`"
    rows = (difference(figure, each, "2.0 s", spent[each], spent["import"]) for each in PRECISIONS)
    report(benchmark, *rows)


def test_packed_launcher_beside_basic(benchmark, tmp_path):
    """64 jobs of one filter; both track in MLflow."""
    numbers = ["reg.decay=0.7,0.8,0.9,0.95", "reg.blur=3,5,7,9", "reg.norm_percentile=10,20,30,40"]
    numbers = [each.split(",")[0] for each in numbers] if QUICK else numbers
    one = ["layer=block3_conv1", "layer.filters=0", f"size={min(96, SIZE)}", f"steps={STEPS}"]

    def sweep(precision, launcher):
        typed = [*one, *numbers, f"precision={precision}", f"hydra/launcher={launcher}"]
        return process(ours.command("-m", *typed), fresh(tmp_path, launcher))

    turns = itertools.product(PRECISIONS, ("packed", "basic"))
    spent = interleaved(benchmark, {turn: functools.partial(sweep, *turn) for turn in turns})
    figure = "packed / basic launcher, 64 jobs of one filter, block3_conv1, 96 px"
    rows = (ratio(figure, p, "0.75", spent[p, "packed"], spent[p, "basic"]) for p in PRECISIONS)
    report(benchmark, *rows)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_memory_of_a_whole_layer(benchmark, tmp_path, precision):
    """Two steps: the peak is that of a batch, and each further look would keep 25 MB of pictures."""
    typed = [*VGG, "layer.filters=0-3" if QUICK else "layer.filters=all", "steps=2", "snapshot_every=1"]
    works = {"all": lambda: process(ours.command(*typed, f"precision={precision}"), tmp_path)}
    (once,) = interleaved(benchmark, works, rounds=1)["all"]
    figure = "peak memory, `layer.filters=all` (512)"
    report(benchmark, plain(figure, precision, "2.5 GB", f"{once.memory:.2f} GB"))


def test_memory_of_a_long_sweep(benchmark, tmp_path):
    """Jobs of 16 filters on block3_conv1, 64 px, one step: 2,048 images at full depth would take hours."""
    cheap = ["-m", "layer=block3_conv1", "layer.filters=0-15", "size=64", "steps=1", "precision=bfloat16"]

    def seeds(count):
        return process(ours.command(*cheap, f"seed=range(0,{count})"), tmp_path / str(count))

    few, many = (2, 4) if QUICK else (16, 128)
    spent = interleaved(
        benchmark, {count: functools.partial(seeds, count) for count in (few, many)}, rounds=1
    )
    for count, at_most in ((few, ""), (many, "2.5 GB, flat")):
        figure = f"peak memory, a sweep of {16 * count:,} images"
        report(benchmark, plain(figure, "bfloat16", at_most, f"{spent[count][0].memory:.2f} GB"))
