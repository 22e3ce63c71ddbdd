"""Resume: (jobs of a sweep, its runs) -> the jobs that are still to be computed."""

from collections.abc import Sequence
from pathlib import Path

from deepvis.core.errors import first_line
from deepvis.results import result_folder
from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Result
from deepvis.sweeps import events
from deepvis.sweeps.jobs import Job
from deepvis.tracking.base import Tracker


def remaining(queue: Sequence[Job], tracker: Tracker, sweep: str, failed: dict[Path, str]) -> list[Job]:
    """The jobs that a resumed sweep has still to compute; what was computed and not logged is logged here."""
    if not any(job.cfg.resume for job in queue):
        return list(queue)
    states, remaining_jobs = tracker.states(sweep), []
    for job in queue:
        folder = job.folder / "result"
        state = states.get(job.folder.name, JobState("PENDING"))
        if state.status == "RUNNING":
            events.report_failure(job, "still run by another process", failed)
            continue
        result_folder.clear(job.folder)  # of a finished one too: its process may have died tidying up
        if state.status == "FINISHED":
            continue
        if folder.is_dir() and (result := result_folder.read(folder)).key == job.key:
            _log_again(job, result, state.reason, tracker, sweep, failed)
        else:
            remaining_jobs.append(job)
    return remaining_jobs


def _log_again(
    job: Job, result: Result, logged: str, tracker: Tracker, sweep: str, failed: dict[Path, str]
) -> None:
    """Log a result that is there; not once more if it was logged as a failure with that very reason."""
    folder, run = job.folder / "result", None
    failure = events.failure(result)
    try:
        if failure is None or failure != logged:
            run = events.begin(job, result.tags, tracker, sweep)
            tracker.finish(run, result, folder, failure)
    except Exception as err:
        failure = f"still not logged ({first_line(err)}); its results are kept in {folder}"
        if run is not None:
            events.end(tracker, run, "FAILED", failure)
    if failure:
        events.report_failure(job, failure, failed)
