"""Where the time goes that is no step of a network: a process's start, and a job around its graph.

python benchmarks/parts.py        prints the two tables of docs/explanation/limits.md
"""

import importlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # helpers.configs
VGG = ("layer=block5_conv1", "layer.filters=0-15", "size=128", "precision=bfloat16")
ROUNDS = 9


@contextmanager
def stage(name: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    spent = time.perf_counter() - wall, time.process_time() - cpu
    print(f"| {name} | {1000 * spent[0]:.0f} | {1000 * spent[1]:.0f} |")


def start(folder: Path) -> None:
    """Until the first step of 16 filters is seen, in the order of a run; once, for most of it is imports."""
    with stage("import Hydra and deepvis"):
        importlib.import_module("deepvis.run")
    from deepvis.networks import backend

    with stage("import TensorFlow, without Keras"):
        backend.load()
    import ours

    with stage("compose one config"):
        job = ours.job(folder, *VGG, "steps=2", "snapshot_every=1")
    with stage("import MLflow and make a store"):
        ours.new_tracker(folder)
    with stage("open that store again"):
        ours.new_tracker(folder)
    looks = ours.optimize(ours.group([job]))
    with stage("read the weights, trace, and take the first step"):
        next(looks)
    with stage("take the second step, the last, and see its images through five views"):
        next(looks)


def median(name: str, work: Callable[[], object]) -> None:
    walls, cpus = [], []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"| {name} | {1000 * statistics.median(walls):.0f} | {1000 * statistics.median(cpus):.0f} |")


def around(folder: Path) -> None:
    """A finished job of 16 filters at 128 px with four looks: what is done for it, each part by itself."""
    import ours

    from deepvis.metrics import image_statistics
    from deepvis.results import result_folder
    from deepvis.sweeps.recorder import JobRecorder
    from deepvis.tracking import ui_images
    from deepvis.tracking.base import JobRun

    tiny = "model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-15", "size=128"
    job = ours.job(folder / "0_job", *tiny)
    pack = ours.group([job])
    tracker, recorder = ours.new_tracker(folder), JobRecorder(job)
    rows = pack.batches[0]
    for look in ours.optimize(pack):
        for place, row in enumerate(rows):
            recorder.update(row, look, place)
    last = list(recorder.image.values())
    result, pictures = recorder.result({})
    median("metrics of 16 images", lambda: [image_statistics.of(image) for image in last])
    median("write its folder", lambda: result_folder.write(job.folder, result, pictures))

    placed = job.folder / "result"
    median("small copies for MLflow's grid", lambda: list(ui_images.files(placed, result, pictures, 0)))
    logged = itertools.count()

    def log():
        tracker.log(
            JobRun("sweep", f"{next(logged)}_job", result.key, "job", result.params, {}, None, job.folder,
                   result, pictures)
        )  # fmt: skip

    median("log it, with the small copies", log)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print("| start of a process | wall ms | CPU ms |\n| --- | --- | --- |")
        start(Path(place) / "start")
        print("\n| a job around its graph | wall ms | CPU ms |\n| --- | --- | --- |")
        around(Path(place) / "job")
