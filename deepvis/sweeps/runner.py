"""The harness: jobs -> results, runs and pictures.

A pack's life: compile its graph, climb its batches, look between chunks; as soon as the last image of a job
is done, write its folder, then report it to its run, while the next chunk computes. What goes wrong with one
job is no matter of its neighbours.
"""

import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepvis.ascent import program
from deepvis.ascent.optimize import optimize
from deepvis.ascent.program import Program
from deepvis.ascent.specs import ImageSpec, Snapshot
from deepvis.core import images, terminal
from deepvis.core.errors import one_line
from deepvis.core.files import write_text
from deepvis.results import result_folder
from deepvis.sweeps import events, jobs, resume
from deepvis.sweeps.jobs import Job, JobGroup, Row
from deepvis.sweeps.recorder import JobRecorder
from deepvis.tracking.base import Tracker

DESK = 4  # jobs that may wait to be written while others compute; their pictures are in memory


class GroupRun(NamedTuple):
    """What the functions of one pack's life share."""

    pack: JobGroup
    boards: dict[int, JobRecorder]  # by job, from its first image until it is reported
    desk: ThreadPoolExecutor  # writes and reports what is done
    papers: dict[int, Future]  # by job, what is on the desk, oldest first
    lost: dict[Path, str]  # why, by job folder
    tracker: Tracker
    sweep: str


def run(queue: Sequence[Job], tracker: Tracker, sweep: str) -> dict[Path, str]:
    """Run jobs and report each to its own run. What goes wrong with one job is no matter of its neighbours.

    Args:
      queue: jobs; those with a common static_config share batches and one compiled graph.
      tracker: where they are reported.
      sweep: id that all of them carry.

    Returns:
      The folders of the jobs that failed, and why; each has been told on the terminal and to its run.

    Raises:
      BaseException: an interrupt or an exit, after the open runs were ended as KILLED.
    """
    lost: dict[Path, str] = {}
    for pack in jobs.job_groups(resume.remaining(queue, tracker, sweep, lost)):
        with ThreadPoolExecutor(max_workers=1) as desk:
            life, made = GroupRun(pack, {}, desk, {}, lost, tracker, sweep), None
            with _alone(life, range(len(pack.jobs))):
                made = program.compiled(pack.static_config, pack.enabled)
            try:
                if made is not None:
                    _run_pack(life, made)
                _clear_desk(life, 0)
            except BaseException as err:
                try:
                    _clear_desk(life, 0)  # what was computed is kept
                finally:
                    for board in life.boards.values():
                        events.end(tracker, board.run, "KILLED", type(err).__name__)
                raise
    return lost


def _run_pack(life: GroupRun, made: Program) -> None:
    pack, boards = life.pack, life.boards
    title = pack.jobs[0].name if len(pack.jobs) == 1 else f"{len(pack.jobs)} jobs"
    lengths = [max(pack.jobs[row.job].cfg.steps for row in batch) for batch in pack.batches]
    began: set[int] = set()
    with terminal.progress(title, sum(lengths)) as advance:
        for batch in pack.batches:
            for index in sorted({row.job for row in batch} - began):
                began.add(index)
                with _alone(life, [index]):
                    board = JobRecorder(pack.jobs[index])
                    board.run = events.begin(board.job, made.tags, life.tracker, life.sweep)
                    boards[index] = board
            starts = {}
            for row in batch:
                with _alone(life, [row.job]):
                    starts[row] = program.start(jobs.image_spec(pack, row), made.network.mean)
            rows = [row for row in starts if row.job in boards]
            if not rows:
                continue
            _run_batch(life, made, rows, [starts[row] for row in rows], advance)


def _run_batch(
    life: GroupRun, made: Program, rows: Sequence[Row], starts: Sequence[np.ndarray], advance: terminal.Update
) -> None:
    pack, boards = life.pack, life.boards
    climbing = {row.job for row in rows}

    def on_snapshot(images: Sequence[ImageSpec], look: Snapshot) -> None:
        _show(rows, look, climbing, boards)
        advance(len(look.record["score"]), *_figures(look, len(rows)))
        for index in sorted(i for i in climbing if boards[i].is_done(look)):
            climbing.remove(index)
            with _alone(life, [index]):
                _settle(index, sum(row.job == index for row in rows), made, life)
        _clear_desk(life, DESK)

    with _alone(life, climbing):
        optimize(
            [jobs.image_spec(pack, row) for row in rows], using=made, starts=np.stack(starts),
            width=max(map(len, pack.batches)), on_snapshot=on_snapshot,
        )  # fmt: skip


@contextmanager
def _alone(life: GroupRun, indices: Iterable[int]) -> Iterator[None]:
    """What goes wrong in here ends these jobs, and no others."""
    try:
        yield
    except Exception as err:
        traceback.print_exc()  # to the log
        reason = one_line(err)
        for index in indices:
            job = life.pack.jobs[index]
            if job.folder not in life.lost:
                events.lose(job, reason, life.lost)
            if index in life.boards:
                events.end(life.tracker, life.boards.pop(index).run, "FAILED", reason)
            else:  # it has no run that could say so
                with suppress(OSError):
                    write_text(job.folder / result_folder.FAILED, reason)


def _show(
    rows: Sequence[Row], look: Snapshot, climbing: Collection[int], boards: Mapping[int, JobRecorder]
) -> None:
    """Let the jobs of a batch see a look, and whoever watches see them."""
    for i, row in enumerate(rows):
        if row.job in climbing:
            boards[row.job].update(row, look, i)
    for index in climbing:
        board = boards[index]
        images.save(board.job.folder / "live.png", images.gallery(board.final))


def _figures(look: Snapshot, count: int) -> tuple[int, float, int]:
    """What the bar shows of a batch: images, mean score, and how many have no gradient."""
    scores = look.record["score"][-1, :count].astype(float)
    finite = scores[np.isfinite(scores)]
    still = (look.record["gradient_rms"][:, :count] == 0).all(axis=0)
    return count, float(finite.mean()) if len(finite) else float("nan"), int(still.sum())


def _settle(index: int, count: int, made: Program, life: GroupRun) -> None:
    """Images of a job are done. With the last of them the job is."""
    board = life.boards[index]
    board.waiting -= count
    if board.waiting == 0:
        life.papers[index] = life.desk.submit(events.finish, board, made.tags, life.tracker)


def _clear_desk(life: GroupRun, most: int) -> None:
    """Take from the desk what is reported; wait until no more than so many jobs are on it."""
    for index in list(life.papers):
        if len(life.papers) <= most and not life.papers[index].done():
            return
        with _alone(life, [index]):
            failure = life.papers.pop(index).result()
            board = life.boards.pop(index)
            if failure:
                events.lose(board.job, failure, life.lost)
