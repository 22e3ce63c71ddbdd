"""What is around the graph: a job's cost beside its steps, retraces, a thousand jobs.

On the tiny network with pictures of the usual size: what is around a graph does not depend on what is in it.
"""

import itertools
import time

import numpy as np
import ours
from measure import QUICK, difference, interleaved, plain, report, timed

TINY = ["model=tiny", "layer=named", "layer.name=block2_conv2", "precision=float32"]


def test_time_outside_the_graph(benchmark, tmp_path):
    """A warm sweep less its ascents alone; on VGG16 that is less than what the steps themselves vary by."""
    count, turn, tracker = 2 if QUICK else 8, itertools.count(), ours.new_tracker(tmp_path)

    def queue():
        """Pictures of the usual size, filters, steps and looks as in the demo."""
        folder, usual = tmp_path / str(next(turn)), ["layer.filters=0-15", "size=128"]
        return [ours.job(folder / str(n), *TINY, *usual, f"reg.decay={0.9 - n / 100}") for n in range(count)]

    ours.sweep(queue(), tracker)
    works = {
        "sweep": timed(lambda: ours.sweep(queue(), tracker)),
        "graph": timed(lambda: list(ours.optimize(ours.group(queue())))),
    }
    spent = interleaved(benchmark, works)
    figure = "time outside the graph for a job of a warm sweep, SQLite, 16 filters, all images logged"
    report(benchmark, difference(figure, "", "0.3 s", spent["sweep"], spent["graph"], per=count))


def test_retraces(benchmark, tmp_path):
    """One sweep after another, other numbers in each; a changed set of regularizers is another graph."""
    numbers = [["reg.decay=0.8"], ["reg.decay=0.9"], ["reg.decay=0.8", "seed=3"],
               ["reg.decay=0.8", "steps=7"], ["reg.decay=0.8", "layer.filters=[4,6]"]]  # fmt: skip
    whole = [*TINY, "size=32", "layer.filters=[0,1]", "batch_size=2"]
    queues = [[ours.job(tmp_path / str(n), *whole, *own)] for n, own in enumerate(numbers)]
    tracker = ours.new_tracker(tmp_path)
    works = {str(n): timed(lambda queue=queue: ours.sweep(queue, tracker)) for n, queue in enumerate(queues)}
    interleaved(benchmark, works, rounds=1)
    again = ours.traces([ours.group(queue) for queue in queues]) - 1
    figure = "retraces in a sweep over reg numbers, seeds, filters, steps"
    report(benchmark, plain(figure, "", "0 after the first", str(again)))


class Watched:
    """A tracker that notes when each job was done, in CPU seconds."""

    def __init__(self, tracker):
        self.tracker, self.done = tracker, []

    def __getattr__(self, name):
        return getattr(self.tracker, name)

    def finish(self, *job):
        self.tracker.finish(*job)
        self.done.append(time.process_time())


def test_a_thousand_jobs(benchmark, tmp_path):
    """Composed as a sweep's, then run and tracked; the first and last hundred less the graph's own time."""
    count, part = (20, 5) if QUICK else (1000, 100)
    whole = [*TINY, "layer.filters=0-3", "size=32", "steps=2", f"hydra.sweep.dir={tmp_path}/out"]
    each = [[f"reg.decay={0.5 + n / 10_000}", f"seed={n}"] for n in range(count)]
    plans = []
    works = {"compose": timed(lambda: plans.extend(ours.composed(whole, each)))}
    composed = interleaved(benchmark, works, rounds=1)["compose"][0]
    queue = [ours.made(plan) for plan in plans]
    graph = ours.group(queue[:part])
    list(ours.optimize(graph))
    alone = timed(lambda: list(ours.optimize(graph)))().cpu
    tracker = Watched(ours.new_tracker(tmp_path))
    ours.sweep(queue, tracker)
    # A batch ends four jobs at once, so a part is measured from one batch's end to another's.
    done = np.array(tracker.done)
    first, last = ((done[i + part] - done[i] - alone) / part * 1000 for i in (3, count - part - 1))
    seconds = f"{composed.cpu:.1f} s", f"{composed.wall:.1f} s"
    report(
        benchmark,
        plain("seconds to compose 1,000 configs", "", "30 s", *seconds),
        plain("1,000 jobs: ms outside the graph for a job, first hundred", "", "", f"{first:.0f} ms"),
        plain("the same, last hundred", "", "flat", f"{last:.0f} ms"),
    )
