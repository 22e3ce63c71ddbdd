"""Where the time goes that is no step of a network: a process's start, and a job around its graph.

python benchmarks/parts.py [job]        prints both tables, or that of a job alone
"""

import functools
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # helpers.configs
VGG = ("layer=block5_conv1", "layer.filters=0-15", "size=128", "precision=bfloat16")
JOBS = 20


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


def around(folder: Path) -> None:
    """Jobs of 16 filters at 128 px with four snapshots, in a warm sweep: what is done around its graph.

    The snapshots are computed once and given to job after job. CPU ms and calls a job, medians over the jobs.
    """
    import numpy as np
    import ours

    from deepvis.core import files, images
    from deepvis.metrics import advice, image_statistics
    from deepvis.sweeps import events, logging_queue, recorder
    from deepvis.tracking import ui_images

    tiny = "model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-15", "size=128"
    queue = [ours.job(folder / f"{n}_job", *tiny, f"reg.decay={0.9 - n / 1000}") for n in range(JOBS)]
    tracker = ours.new_tracker(folder)
    log, pack = logging_queue.of(tracker), ours.group(queue[:1])
    looks = list(ours.optimize(pack))
    spent: dict[str, list[float]] = {}

    def watch(kind: str, owner: Any, *names: str) -> None:
        for name in names:
            setattr(owner, name, functools.partial(_timed, spent.setdefault(kind, []), getattr(owner, name)))

    watch("PNGs encoded", images, "png")
    watch("WebP copies for MLflow's grid, enlarged and encoded", ui_images, "_encoded")
    watch("MLflow's calls (SQLAlchemy)", tracker.client, "create_run", "log_batch", "set_terminated")
    watch("statistics of the last images", image_statistics, "of")
    watch("grey levels of pictures", images, "displayed")
    watch("galleries stitched", images, "gallery")
    watch("checksums of all files", files, "checksums")
    watch("config.yaml", recorder.yaml, "safe_dump")
    watch("arrays (npz)", np, "savez_compressed")
    watch("advice", advice, "advice")
    rows: dict[str, list[tuple[float, int]]] = {}
    for number, job in enumerate(queue):
        began = time.process_time()
        one = recorder.JobRecorder(job)
        for look in looks:
            for place, row in enumerate(pack.batches[0]):
                one.update(row, look, place)
            if look is not looks[-1]:
                one.show_live()
        events.finish(one, {}, log, f"sweep-{number}")
        log.drain()
        rows.setdefault("all", []).append((time.process_time() - began, 1))
        for kind, each in spent.items():
            rows.setdefault(kind, []).append((sum(each), len(each)))
            each.clear()
    middle = {kind: [statistics.median(values) for values in zip(*each[2:], strict=True)]
              for kind, each in rows.items()}  # fmt: skip
    whole, _ = middle.pop("all")
    middle["files made, linked and renamed, and the rest"] = [whole - sum(s for s, _ in middle.values()), 1]
    for kind, (seconds, calls) in sorted(middle.items(), key=lambda each: -each[1][0]):
        print(f"| {kind} | {calls:.0f} | {1000 * seconds:.0f} |")
    print(f"| together | | {1000 * whole:.0f} |")


def _timed(spent: list[float], work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    began = time.thread_time()
    try:
        return work(*args, **kwargs)
    finally:
        spent.append(time.thread_time() - began)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        if sys.argv[1:] != ["job"]:
            print("| start of a process | wall ms | CPU ms |\n| --- | --- | --- |")
            start(Path(place) / "start")
            print()
        print("| a job around its graph | calls | CPU ms |\n| --- | --- | --- |")
        around(Path(place) / "job")
