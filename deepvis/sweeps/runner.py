"""The runner: jobs -> results, runs and pictures.

Of a group of jobs: compile the graph, optimize the batches, take a snapshot between chunks of steps; as soon
as the last image of a job is done, write its folder, then report it to its run, while the next chunk
computes. A job that fails does not affect the others.
"""

import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepvis.ascent import program
from deepvis.ascent.optimize import optimize
from deepvis.ascent.program import Program
from deepvis.ascent.specs import ImageSpec, Snapshot
from deepvis.core import images, terminal
from deepvis.core.errors import one_line
from deepvis.core.files import write_text
from deepvis.results import result_folder
from deepvis.sweeps import events, jobs
from deepvis.sweeps.jobs import Job, JobGroup, Row
from deepvis.sweeps.recorder import JobRecorder
from deepvis.tracking.base import Tracker

MOST_PENDING = 4  # jobs that may wait to be written while others compute; their pictures are in memory


@dataclass(frozen=True)
class GroupRun:
    """What the functions that run one group share; its collections change as it runs."""

    group: JobGroup
    writer: ThreadPoolExecutor  # writes and reports what is done
    failed: dict[Path, str]  # reasons, by job folder
    tracker: Tracker
    sweep: str
    recorders: dict[int, JobRecorder] = field(default_factory=dict)  # by job, from its start to its report
    pending: dict[int, Future] = field(default_factory=dict)  # by job, what the writer has, oldest first
    scores: dict[Row, float] = field(default_factory=dict)  # the last of each image, for the progress line


def run(queue: Sequence[Job], tracker: Tracker, sweep: str) -> dict[Path, str]:
    """Run jobs and report each to its own run. A job that fails does not affect the others.

    Args:
      queue: jobs; those with a common static config share batches and one compiled graph.
      tracker: where they are reported.
      sweep: id that all of them carry.

    Returns:
      The folders of the jobs that failed, and why; each was reported on the terminal and to its run.

    Raises:
      BaseException: an interrupt or an exit, after the open runs were ended as KILLED.
    """
    failed: dict[Path, str] = {}
    for group in jobs.job_groups(events.remaining(queue, tracker, sweep, failed)):
        with ThreadPoolExecutor(max_workers=1) as writer:
            group_run, graph = GroupRun(group, writer, failed, tracker, sweep), None
            with isolate_failures(group_run, range(len(group.jobs))):
                graph = program.compiled(group.static_config, group.enabled)
            try:
                if graph is not None:
                    _run_group(group_run, graph)
                _wait_for_writer(group_run, 0)
            except BaseException as err:
                try:
                    _wait_for_writer(group_run, 0)  # what was computed is kept
                finally:
                    for recorder in group_run.recorders.values():
                        events.end(tracker, recorder.run, "KILLED", type(err).__name__)
                raise
    return failed


def _run_group(group_run: GroupRun, graph: Program) -> None:
    group, recorders = group_run.group, group_run.recorders
    title = group.jobs[0].name if len(group.jobs) == 1 else f"{len(group.jobs)} jobs"
    lengths = [max(group.jobs[row.job].cfg.steps for row in batch) for batch in group.batches]
    begun: set[int] = set()
    with terminal.progress(title, sum(lengths)) as advance:
        for batch in group.batches:
            for index in sorted({row.job for row in batch} - begun):
                begun.add(index)
                with isolate_failures(group_run, [index]):
                    recorder = JobRecorder(group.jobs[index])
                    recorder.run = events.begin(recorder.job, graph.tags, group_run.tracker, group_run.sweep)
                    recorders[index] = recorder
            starts = {}
            for row in batch:
                with isolate_failures(group_run, [row.job]):
                    starts[row] = program.start(jobs.image_spec(group, row), graph.network.mean)
            rows = [row for row in starts if row.job in recorders]
            if not rows:
                continue
            _run_batch(group_run, graph, rows, [starts[row] for row in rows], advance)


def _run_batch(group_run: GroupRun, graph: Program, rows: Sequence[Row], starts: Sequence[np.ndarray],
               advance: terminal.Update) -> None:  # fmt: skip
    group, recorders = group_run.group, group_run.recorders
    unfinished = {row.job for row in rows}

    def on_snapshot(_: Sequence[ImageSpec], snapshot: Snapshot) -> None:
        _record(rows, snapshot, unfinished, recorders)
        advance(len(snapshot.record["score"]), *_figures(snapshot, rows, group_run.scores))
        for index in sorted(i for i in unfinished if recorders[i].is_done(snapshot)):
            unfinished.remove(index)
            with isolate_failures(group_run, [index]):
                _finish_images(index, sum(row.job == index for row in rows), graph, group_run)
        _wait_for_writer(group_run, MOST_PENDING)

    with isolate_failures(group_run, unfinished):
        optimize(
            [jobs.image_spec(group, row) for row in rows], using=graph, starts=np.stack(starts),
            width=max(map(len, group.batches)), on_snapshot=on_snapshot,
        )  # fmt: skip


@contextmanager
def isolate_failures(group_run: GroupRun, indices: Iterable[int]) -> Iterator[None]:
    """What fails in here ends these jobs, and no others."""
    try:
        yield
    except Exception as err:
        traceback.print_exc()  # to the log
        reason = one_line(err)
        for index in indices:
            job = group_run.group.jobs[index]
            if job.folder not in group_run.failed:
                events.report_failure(job, reason, group_run.failed)
            if index in group_run.recorders:
                events.end(group_run.tracker, group_run.recorders.pop(index).run, "FAILED", reason)
            else:  # it has no run that could say so
                with suppress(OSError):
                    write_text(job.folder / result_folder.FAILED, reason)


def _record(rows: Sequence[Row], snapshot: Snapshot, unfinished: Collection[int],
            recorders: Mapping[int, JobRecorder]) -> None:  # fmt: skip
    """Hand a snapshot to the recorders of its jobs, and show it in their live pictures."""
    for i, row in enumerate(rows):
        if row.job in unfinished:
            recorders[row.job].update(row, snapshot, i)
    for index in unfinished:
        recorder = recorders[index]
        images.save(recorder.job.folder / "live.png", images.gallery(recorder.final))


def _figures(snapshot: Snapshot, rows: Sequence[Row], scores: dict[Row, float]) -> tuple[int, float, int]:
    """What the progress line shows: images in the batch, mean score, and how many have no gradient.

    The mean is that of the summary's table, over every image of the group so far that is finite.
    """
    count, record = len(rows), snapshot.record
    last = snapshot.final_values.get("score", record["score"][-1])
    alive = record["alive"][-1].astype(bool)
    scores |= {row: float(last[i]) if alive[i] else np.nan for i, row in enumerate(rows) if row.twin == 0}
    finite = [score for score in scores.values() if np.isfinite(score)]
    zero_gradient = (record["gradient_rms"][:, :count] == 0).all(axis=0)
    return count, float(np.mean(finite)) if finite else float("nan"), int(zero_gradient.sum())


def _finish_images(index: int, count: int, graph: Program, group_run: GroupRun) -> None:
    """Images of a job are done. With the last of them the job is."""
    recorder = group_run.recorders[index]
    recorder.waiting -= count
    if recorder.waiting == 0:
        finish = group_run.writer.submit(events.finish, recorder, graph.tags, group_run.tracker)
        group_run.pending[index] = finish


def _wait_for_writer(group_run: GroupRun, most: int) -> None:
    """Close the jobs that are reported; wait until no more than so many are pending."""
    for index in list(group_run.pending):
        if len(group_run.pending) <= most and not group_run.pending[index].done():
            return
        with isolate_failures(group_run, [index]):
            reason = group_run.pending.pop(index).result()
            recorder = group_run.recorders.pop(index)
            if reason:
                events.report_failure(recorder.job, reason, group_run.failed)
