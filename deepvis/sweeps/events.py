"""Events of a job: it begins, finishes, fails or is resumed, in its run, its folder and on the terminal."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deepvis.config import params
from deepvis.core import files, terminal
from deepvis.core.errors import TrackingError, first_line
from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder
from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Result
from deepvis.sweeps import jobs, process_locks
from deepvis.sweeps.jobs import Job
from deepvis.sweeps.recorder import JobRecorder
from deepvis.tracking.base import Tracker

_results: dict[Path, Result] = {}  # of the jobs that finished in this process, by result folder


def begin(job: Job, tags: Mapping[str, str], tracker: Tracker, sweep: str) -> str:
    """Open a job's run, with the tags of its network and its device; returns the run's id."""
    process = process_locks.sign(manifest.of_job(job.folder))
    identity = {"job": job.folder.name, "job_key": job.key, "process": process}
    identity["overrides"] = shlex.join(job.overrides)
    return tracker.start(sweep, job.name, params.main(jobs.params(job)), dict(tags) | identity)


def finish(recorder: JobRecorder, tags: Mapping[str, str], tracker: Tracker) -> str | None:
    """Write a job's folder, then its run; returns why the job failed although it has a result."""
    result, pictures = recorder.result(tags)
    folder = result_folder.write(recorder.job.folder, result, pictures)
    _results[folder] = result
    reason = failure(result)
    try:
        tracker.finish(recorder.run, result, folder, reason, pictures)
    except Exception as err:
        raise TrackingError(
            f"computed, but not logged ({first_line(err)}); its results are kept in {folder}, and "
            "resume=latest logs them"
        ) from err
    return reason


def result(folder: Path) -> Result:
    """The result in a folder: from memory where its job finished in this process, else from disk."""
    return _results.pop(folder, None) or result_folder.read(folder)


def is_known(folder: Path) -> bool:
    """Whether the result in a folder was written, or found whole, by this process."""
    return folder in _results


def failure(result: Result) -> str | None:
    """Why a job failed although it has a result: which filters are no longer finite."""
    return convergence.failure(result.history, result_folder.captions(result))


def report_failure(job: Job, reason: str, failed: dict[Path, str]) -> None:
    """Say on the terminal and in the job's folder that it has failed, and add it to those that have."""
    failed[job.folder] = reason
    terminal.error(f"{job.name}: {reason}")
    with suppress(OSError):  # a full disk may be why
        job.folder.mkdir(parents=True, exist_ok=True)
        files.write_text(job.folder / result_folder.FAILED, reason)


def end(tracker: Tracker, run: str, status: str, reason: str) -> None:
    """End a run that has no result; if the store is gone, `resume` ends the run later."""
    with suppress(Exception):
        tracker.end(run, status, reason)


def remaining(
    queue: Sequence[Job], tracker: Tracker, sweep: str, failed: dict[Path, str], again: bool = False
) -> list[Job]:
    """The jobs that have still to be computed, in a resumed sweep or `again` where another process was lost.

    What was computed and not logged is logged here.
    """
    if not again and not any(job.cfg.resume for job in queue):
        return list(queue)
    states, remaining_jobs = tracker.states(sweep), []
    for job in queue:
        folder = job.folder / "result"
        state = states.get(job.folder.name, JobState("PENDING"))
        if state.status == "RUNNING":
            failed[job.folder] = "still run by another process"
            terminal.error(f"{job.name}: {failed[job.folder]}")
            continue
        result_folder.clear(job.folder)  # of a finished one too: its process may have died tidying up
        problem = result_folder.problem(folder, job.key)
        if problem is not None:
            remaining_jobs.append(job)
            if folder.exists():
                terminal.say(f"again     {job.name}: {problem}")
        elif state.status != "FINISHED":
            _log_again(job, result_folder.read(folder), state.reason, tracker, sweep, failed)
    return remaining_jobs


def _log_again(
    job: Job, result: Result, logged: str, tracker: Tracker, sweep: str, failed: dict[Path, str]
) -> None:
    """Log a result that is there; not once more if it was logged as a failure with that very reason."""
    folder, run = job.folder / "result", None
    reason = failure(result)
    try:
        if reason is None or reason != logged:
            run = begin(job, result.tags, tracker, sweep)
            tracker.finish(run, result, folder, reason)
    except Exception as err:
        reason = f"still not logged ({first_line(err)}); its results are kept in {folder}"
        if run is not None:
            end(tracker, run, "FAILED", reason)
    if reason:
        report_failure(job, reason, failed)
