"""Notices: what a job's run, its folder and whoever watches are told of it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from deepvis.core import terminal
from deepvis.core.errors import TrackingError, first_line
from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Result
from deepvis.sweeps import jobs, process_locks
from deepvis.sweeps.jobs import Job
from deepvis.sweeps.recorder import JobRecorder
from deepvis.tracking.base import Tracker


def begin(job: Job, tags: Mapping[str, str], tracker: Tracker, sweep: str) -> str:
    """Open a job's run.

    Args:
      job: which.
      tags: what is known of its network and its device.
      tracker: where.
      sweep: id.
    """
    sign = process_locks.sign(manifest.of_job(job.folder))
    own = {"job": job.folder.name, "job_key": job.key, "process": sign}
    return tracker.start(sweep, job.name, jobs.params(job), dict(tags) | own)


def finish(board: JobRecorder, tags: Mapping[str, str], tracker: Tracker) -> str | None:
    """Write a job's folder, then its run; why it failed nevertheless."""
    result, pictures = board.result(tags)
    folder = result_folder.write(board.job.folder, result, pictures)
    reason = failure(result)
    try:
        tracker.finish(board.run, folder, reason)
    except Exception as err:
        raise TrackingError(
            f"computed, but not logged ({first_line(err)}); its results are kept in {folder}, and "
            "resume=latest logs them"
        ) from err
    return reason


def failure(result: Result) -> str | None:
    """Why a job that has a result failed nevertheless: which filters are no longer finite."""
    return convergence.failure(result.history, [result_folder.label(i) for i in result.filters])


def lose(job: Job, reason: str, lost: dict[Path, str]) -> None:
    """A job has failed; whoever watches is told."""
    lost[job.folder] = reason
    terminal.error(f"{job.name}: {reason}")


def end(tracker: Tracker, run: str, status: str, reason: str) -> None:
    """End a run that has no result; a store that is gone cannot be told, and `resume` mends the run."""
    with suppress(Exception):
        tracker.end(run, status, reason)
