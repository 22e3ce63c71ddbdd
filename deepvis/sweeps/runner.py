"""The runner: jobs -> results, runs and pictures.

Of a group of jobs: compile the graph, optimize the batches, take a snapshot between chunks of steps; as soon
as the last image of a job is done, write its folder, then report it to its run, while the next chunk
computes. A job that fails does not affect the others.
"""

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepvis.ascent import program
from deepvis.ascent.optimize import optimize
from deepvis.ascent.program import Program
from deepvis.ascent.specs import ImageSpec, ImageState, Snapshot
from deepvis.core import progress, terminal
from deepvis.core.errors import one_line
from deepvis.core.progress import Progress
from deepvis.networks import backend
from deepvis.sweeps import events, jobs, logging_queue
from deepvis.sweeps.checkpoints import Checkpoints, Saved
from deepvis.sweeps.jobs import Job, JobGroup, Row
from deepvis.sweeps.logging_queue import LoggingQueue
from deepvis.sweeps.recorder import JobRecorder
from deepvis.tracking.base import Tracker

# Jobs -> seconds, where they are known, and how they are, for a person.
Expected = Callable[[Sequence[Job]], tuple[float | None, str]]
MOST_PENDING = 4  # jobs that may wait to be written while others compute; their pictures are in memory


def unknown(queue: Sequence[Job]) -> tuple[float | None, str]:
    """That it is not known how long jobs will take."""
    return None, ""


def run(
    queue: Sequence[Job], tracker: Tracker, sweep: str, again: bool = False, expected: Expected = unknown
) -> dict[Path, str]:
    """Run jobs and have each logged to its own run. A job that fails does not affect the others.

    Args:
      queue: jobs; those with a common static config share batches and one compiled graph.
      tracker: where they are logged.
      sweep: id that all of them carry.
      again: whether another process, which is gone, may have run some of them.
      expected: says how long jobs will take, and how that is known.

    Returns:
      The folders of the jobs that failed, and why; each was reported on the terminal and is logged.

    Raises:
      BaseException: an interrupt or an exit, after what was computed was written and logged.
    """
    failed: dict[Path, str] = {}
    log = logging_queue.of(tracker)
    remaining = events.remaining(queue, failed, again)
    groups = list(jobs.job_groups(remaining))
    name = remaining[0].name if len(remaining) == 1 else f"{len(remaining)} jobs"
    images_left, work = map(sum, zip(*map(work_of, groups), strict=True)) if groups else (0, 0)
    seconds, known_by = expected(remaining)
    if groups:
        batches = sum(len(group.batches) for group in groups)
        terminal.say(
            f"computes  {name}: {images_left} images in {batches} batch{'es' if batches > 1 else ''}, "
            f"{work} images x steps"
        )
        if known_by:
            terminal.say(f"estimate  {known_by}")
    with progress.progress(name, images_left, work, seconds) as shown:
        try:
            if groups:  # TensorFlow, now that nothing else can be wrong
                shown.doing("loading TensorFlow")
                backend.load()
            for group in groups:
                with ThreadPoolExecutor(max_workers=1) as writer:
                    GroupRun(group, writer, failed, log, sweep, Checkpoints(group), shown).run()
        finally:
            shown.doing("logging")
            log.drain()  # a process that a launcher started may end now
    return failed


def work_of(group: JobGroup) -> tuple[int, int]:
    """Images of a group, and their images x steps."""
    steps = [max(group.jobs[row.job].cfg.steps for row in batch) for batch in group.batches]
    work = sum(len(batch) * n for batch, n in zip(group.batches, steps, strict=True))
    return sum(map(len, group.batches)), work


@dataclass(frozen=True)
class GroupRun:
    """The run of one group; its collections change as it goes on."""

    group: JobGroup
    writer: ThreadPoolExecutor  # writes what is done
    failed: dict[Path, str]  # reasons, by job folder
    log: LoggingQueue
    sweep: str
    checkpoints: Checkpoints
    progress: Progress
    recorders: dict[int, JobRecorder] = field(default_factory=dict)  # by job, from its start to its report
    pending: dict[int, Future] = field(default_factory=dict)  # by job, what the writer has, oldest first
    scores: dict[Row, float] = field(default_factory=dict)  # the last of each image, for the progress line

    def run(self) -> None:
        graph = None
        self.progress.doing("building the network")
        with self.isolate_failures(range(len(self.group.jobs))):
            graph = program.compiled(self.group.static_config, self.group.enabled)
        try:
            if graph is not None:
                self.run_batches(graph)
            else:
                self.progress.skip(*work_of(self.group))
            self.progress.doing("writing")
            self.wait_for_writer(0)
        except BaseException:
            self.wait_for_writer(0)  # what was computed is kept
            self.checkpoints.write(self.recorders)
            raise

    def run_batches(self, graph: Program) -> None:
        group, begun = self.group, set[int]()
        saved = self.checkpoints.load(graph.tags)
        done = {row: image.state.step for row, image in saved.items()}
        batches = jobs.remaining_batches(group, done)
        lengths = [
            max(group.jobs[row.job].cfg.steps for row in batch) - done.get(batch[0], 0) for batch in batches
        ]
        images_left, work = work_of(group)
        self.progress.skip(
            images_left - sum(map(len, batches)),
            work - sum(len(batch) * length for batch, length in zip(batches, lengths, strict=True)),
        )
        self.begin(sorted({row.job for row in saved}))
        begun |= self.recorders.keys()
        self.restore(saved, graph)
        self.progress.trace()
        for batch, length in zip(batches, lengths, strict=True):
            self.begin(sorted({row.job for row in batch} - begun))
            begun |= {row.job for row in batch}
            starts = {}
            for row in batch:
                with self.isolate_failures([row.job]):
                    starts[row] = program.start(jobs.image_spec(group, row), graph.network.mean)
            self.progress.begin(len(batch), done.get(batch[0], 0), done.get(batch[0], 0) + length)
            if starts := {row: start for row, start in starts.items() if row.job in self.recorders}:
                resumed = [saved[row].state for row in starts] if batch[0] in saved else []
                self.run_batch(graph, starts, resumed, max(map(len, batches)))

    def begin(self, indices: Iterable[int]) -> None:
        """Begin jobs of the group: a recorder for each."""
        for index in indices:
            with self.isolate_failures([index]):
                self.recorders[index] = JobRecorder(self.group.jobs[index])

    def restore(self, saved: Mapping[Row, Saved], graph: Program) -> None:
        """Take over what checkpoints hold; a job whose images have all done their steps is finished."""
        for row, image in saved.items():
            if row.job in self.recorders:
                with self.isolate_failures([row.job]):
                    self.recorders[row.job].restore(row, image.state.step, image.recorded, image.seconds)
        for index in [i for i, recorder in self.recorders.items() if recorder.waiting == 0]:
            self.submit(index, graph)

    def submit(self, index: int, graph: Program) -> None:
        """Give a job that is computed to the writer."""
        recorder = self.recorders[index]
        self.pending[index] = self.writer.submit(events.finish, recorder, graph.tags, self.log, self.sweep)

    def run_batch(self, graph: Program, starts: dict[Row, np.ndarray], resumed: Sequence[ImageState],
                  width: int) -> None:  # fmt: skip
        rows = list(starts)
        unfinished = {row.job for row in rows}

        def on_snapshot(_: Sequence[ImageSpec], snapshot: Snapshot) -> None:
            self.record(rows, snapshot, unfinished)
            until = snapshot.first + len(snapshot.record["score"])
            steps = [self.group.jobs[row.job].cfg.steps for row in rows]
            self.progress.finish(sum(snapshot.first < each <= until for each in steps))
            self.progress.snapshot(*self.figures(rows, snapshot))
            for index in sorted(i for i in unfinished if self.recorders[i].is_done(snapshot)):
                unfinished.remove(index)
                with self.isolate_failures([index]):
                    recorder = self.recorders[index]
                    recorder.waiting -= sum(row.job == index for row in rows)
                    if recorder.waiting == 0:
                        self.submit(index, graph)
            self.checkpoints.note(rows, snapshot, self.recorders)
            self.wait_for_writer(MOST_PENDING)

        with self.isolate_failures(unfinished):
            optimize(
                [jobs.image_spec(self.group, row) for row in rows], using=graph,
                starts=np.stack(list(starts.values())), width=width, on_snapshot=on_snapshot, resumed=resumed,
                on_step=self.step,
            )  # fmt: skip

    def step(self) -> None:
        """Count a step of the batch, and say how long the rest will take, where no sweep has told.

        By the first step that is measured, the second one: a pass of the network to time it beforehand would
        keep everybody waiting, and would not know what a step's other work takes.
        """
        is_told = self.progress.expected is not None or self.progress.measured > 0
        self.progress.advance()
        if not is_told and self.progress.measured:
            rest = terminal.duration(self.progress.rest())
            terminal.say(
                f"estimate  about {rest}, by the first steps, for no sweep of that layer has run here"
            )

    @contextmanager
    def isolate_failures(self, indices: Iterable[int]) -> Iterator[None]:
        """What fails in here ends these jobs, and no others."""
        try:
            yield
        except Exception as err:
            traceback.print_exc()  # to the log
            reason = one_line(err)
            for index in indices:
                job = self.group.jobs[index]
                if job.folder not in self.failed:
                    events.report_failure(job, reason, self.failed)
                    events.fail(job, reason, self.log, self.sweep)
                self.recorders.pop(index, None)

    def record(self, rows: Sequence[Row], snapshot: Snapshot, unfinished: Collection[int]) -> None:
        """Hand a snapshot to the recorders of its jobs, and show it in their live pictures."""
        for i, row in enumerate(rows):
            if row.job in unfinished:
                self.recorders[row.job].update(row, snapshot, i)
        for index in unfinished:
            recorder = self.recorders[index]
            ends = recorder.is_done(snapshot) and recorder.waiting == sum(row.job == index for row in rows)
            if not ends:  # else its gallery is the last one, see `events.finish`
                recorder.show_live()

    def figures(self, rows: Sequence[Row], snapshot: Snapshot) -> tuple[float, int]:
        """What the progress line shows: the median score, and how many images of the batch have no gradient.

        The median is that of the summary's table, over every image of the group so far that is finite.
        """
        count, record = len(rows), snapshot.record
        last = snapshot.final_values.get("score", record["score"][-1])
        alive = record["alive"][-1].astype(bool)
        for i, row in enumerate(rows):
            if row.twin == 0:
                self.scores[row] = float(last[i]) if alive[i] else np.nan
        finite = [score for score in self.scores.values() if np.isfinite(score)]
        zero_gradient = (record["gradient_rms"][:, :count] == 0).all(axis=0)
        return float(np.median(finite)) if finite else float("nan"), int(zero_gradient.sum())

    def wait_for_writer(self, most: int) -> None:
        """Close the jobs that are reported; wait until no more than so many are pending."""
        for index in list(self.pending):
            if len(self.pending) <= most and not self.pending[index].done():
                return
            with self.isolate_failures([index]):
                wait([self.pending[index]])  # it stays pending if this is interrupted
                reason = self.pending.pop(index).result()
                recorder = self.recorders.pop(index)
                self.checkpoints.release()
                if reason:
                    events.report_failure(recorder.job, reason, self.failed)
