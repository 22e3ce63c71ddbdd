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

from deepvis import errors, graph, images, jobs, notices, outcome, resume, terminal
from deepvis.board import Board
from deepvis.climbers import Look
from deepvis.graph import Graph
from deepvis.jobs import Job, Pack, Row
from deepvis.tracker import Tracker

DESK = 4  # jobs that may wait to be written while others compute; their pictures are in memory


class Life(NamedTuple):
    """What the functions of one pack's life share."""

    pack: Pack
    boards: dict[int, Board]  # by job, from its first image until it is reported
    desk: ThreadPoolExecutor  # writes and reports what is done
    papers: dict[int, Future]  # by job, what is on the desk, oldest first
    lost: dict[Path, str]  # why, by job folder
    tracker: Tracker
    sweep: str


def run(queue: Sequence[Job], tracker: Tracker, sweep: str) -> dict[Path, str]:
    """Run jobs and report each to its own run. What goes wrong with one job is no matter of its neighbours.

    Args:
      queue: jobs; those with a common skeleton share batches and one compiled graph.
      tracker: where they are reported.
      sweep: id that all of them carry.

    Returns:
      The folders of the jobs that failed, and why; each has been told on the terminal and to its run.

    Raises:
      BaseException: an interrupt or an exit, after the open runs were ended as KILLED.
    """
    lost: dict[Path, str] = {}
    for pack in jobs.packs(resume.remaining(queue, tracker, sweep, lost)):
        with ThreadPoolExecutor(max_workers=1) as desk:
            life, made = Life(pack, {}, desk, {}, lost, tracker, sweep), None
            with _alone(life, range(len(pack.jobs))):
                made = graph.compiled(pack.skeleton, pack.active)
            try:
                if made is not None:
                    _run_pack(life, made)
                _clear_desk(life, 0)
            except BaseException as err:
                try:
                    _clear_desk(life, 0)  # what was computed is kept
                finally:
                    for board in life.boards.values():
                        notices.end(tracker, board.run, "KILLED", type(err).__name__)
                raise
    return lost


def _run_pack(life: Life, made: Graph) -> None:
    pack, boards = life.pack, life.boards
    title = pack.jobs[0].name if len(pack.jobs) == 1 else f"{len(pack.jobs)} jobs"
    lengths = [max(pack.jobs[row.job].cfg.steps for row in batch) for batch in pack.batches]
    began: set[int] = set()
    with terminal.progress(title, sum(lengths)) as advance:
        for batch, length in zip(pack.batches, lengths, strict=True):
            for index in sorted({row.job for row in batch} - began):
                began.add(index)
                with _alone(life, [index]):
                    board = Board(pack.jobs[index])
                    board.run = notices.begin(board.job, made.tags, life.tracker, life.sweep)
                    boards[index] = board
            starts = {}
            for row in batch:
                with _alone(life, [row.job]):
                    starts[row] = graph.start(jobs.climber(pack, row), made.network.mean)
            rows = [row for row in starts if row.job in boards]
            if not rows:
                continue
            climbing = {row.job for row in rows}
            with _alone(life, climbing):
                images_of = [jobs.climber(pack, row) for row in rows]
                first = np.stack([starts[row] for row in rows])
                for look in graph.ascend(made, images_of, first, max(map(len, pack.batches)), length):
                    _show(rows, look, climbing, boards)
                    advance(len(look.record["score"]), *_figures(look, len(rows)))
                    for index in sorted(i for i in climbing if boards[i].is_done(look)):
                        climbing.remove(index)
                        with _alone(life, [index]):
                            _settle(index, sum(row.job == index for row in rows), made, life)
                    _clear_desk(life, DESK)


@contextmanager
def _alone(life: Life, indices: Iterable[int]) -> Iterator[None]:
    """What goes wrong in here ends these jobs, and no others."""
    try:
        yield
    except Exception as err:
        traceback.print_exc()  # to the log
        reason = errors.line(err)
        for index in indices:
            job = life.pack.jobs[index]
            if job.folder not in life.lost:
                notices.lose(job, reason, life.lost)
            if index in life.boards:
                notices.end(life.tracker, life.boards.pop(index).run, "FAILED", reason)
            else:  # it has no run that could say so
                with suppress(OSError):
                    outcome.put(job.folder / outcome.FAILED, reason)


def _show(rows: Sequence[Row], look: Look, climbing: Collection[int], boards: Mapping[int, Board]) -> None:
    """Let the jobs of a batch see a look, and whoever watches see them."""
    for i, row in enumerate(rows):
        if row.job in climbing:
            boards[row.job].see(row, look, i)
    for index in climbing:
        board = boards[index]
        images.save(board.job.folder / "live.png", images.gallery(board.final))


def _figures(look: Look, count: int) -> tuple[int, float, int]:
    """What the bar shows of a batch: images, mean score, and how many have no gradient."""
    scores = look.record["score"][-1, :count].astype(float)
    finite = scores[np.isfinite(scores)]
    still = (look.record["gradient_rms"][:, :count] == 0).all(axis=0)
    return count, float(finite.mean()) if len(finite) else float("nan"), int(still.sum())


def _settle(index: int, count: int, made: Graph, life: Life) -> None:
    """Images of a job are done. With the last of them the job is."""
    board = life.boards[index]
    board.waiting -= count
    if board.waiting == 0:
        life.papers[index] = life.desk.submit(notices.finish, board, made.tags, life.tracker)


def _clear_desk(life: Life, most: int) -> None:
    """Take from the desk what is reported; wait until no more than so many jobs are on it."""
    for index in list(life.papers):
        if len(life.papers) <= most and not life.papers[index].done():
            return
        with _alone(life, [index]):
            failure = life.papers.pop(index).result()
            board = life.boards.pop(index)
            if failure:
                notices.lose(board.job, failure, life.lost)
