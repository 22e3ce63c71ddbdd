"""Events of a job: it finishes or fails, in its folder, on the terminal and in the tracker.

The tracker is filled from result folders, by `logging_queue`: when a job ends, and at the end of a sweep with
what is not there yet.
"""

import itertools
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deepvis.config import job_names, params
from deepvis.core import files, terminal
from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder
from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Pictures, Result
from deepvis.sweeps import job_trust, jobs, logging_queue, natural_examples
from deepvis.sweeps.jobs import Job
from deepvis.sweeps.logging_queue import LoggingQueue
from deepvis.sweeps.recorder import JobRecorder
from deepvis.tracking.base import JobRun, Tracker

_results: dict[Path, Result] = {}  # of the jobs that finished in this process, by result folder
_failures: dict[tuple[str, str, str], JobRun] = {}  # without a result, in this process, as in a tracker


def finish(recorder: JobRecorder, tags: Mapping[str, str], queue: LoggingQueue, sweep: str) -> str | None:
    """Write a job's folder, and have it logged; returns why the job failed although it has a result."""
    job = recorder.job
    result, pictures = recorder.result(dict(tags) | {"overrides": shlex.join(job.overrides)})
    if job.cfg.trust:
        result = job_trust.added(result, job, [recorder.image[0, i] for i in range(len(job.filters))])
    more = [natural_examples.of_job(job, pictures)] if job.cfg.examples else []
    folder = result_folder.write(job.folder, result, pictures, *more)
    with files.replacing(job.folder / "live.png", durable=False) as live:
        live.unlink()  # a link takes a name that is free
        result_folder.link(folder / "gallery.png", live)
    _results[folder] = result
    run = run_of(sweep, folder, result, pictures)
    queue.add(run)
    return run.failure


def fail(job: Job, reason: str, queue: LoggingQueue, sweep: str) -> None:
    """Have it logged that a job failed and has no result."""
    main = params.main(jobs.params(job), job_names.swept())
    tags = {"overrides": shlex.join(job.overrides)}
    run = JobRun(sweep, job.folder_name, job.key, job.name, main, tags, reason, job.folder)
    _failures[sweep, run.job, run.key] = run
    queue.add(run)


def failed_run(sweep: str, job: Mapping[str, str], folder: Path) -> JobRun:
    """What the tracker holds of a job of a manifest that has no result.

    Where it failed in another process its parameters are not known: they are logged if it runs again.
    """
    known = _failures.get((sweep, job["folder"], job["key"]))
    return known or JobRun(sweep, job["folder"], job["key"], job["name"], {}, {}, job["reason"], folder)


def result(folder: Path) -> Result:
    """The result in a folder: from memory where its job finished in this process, else from disk."""
    return _results.pop(folder, None) or result_folder.read(folder)


def is_known(folder: Path) -> bool:
    """Whether the result in a folder was written, or found whole, by this process."""
    return folder in _results


def run_of(sweep: str, folder: Path, result: Result, pictures: Pictures | None = None) -> JobRun:
    """What the tracker holds of a job, from its result folder alone."""
    name, main = manifest.folder_name(folder.parent), params.main(result.params, job_names.swept())
    reason, tags = failure(result), result.tags
    return JobRun(
        sweep, name, result.key, result.name, main, tags, reason, folder.parent, result, pictures
    )  # fmt: skip


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


def remaining(queue: Sequence[Job], failed: dict[Path, str], again: bool = False) -> list[Job]:
    """The jobs that have still to be computed, in a resumed sweep or `again` where a process was lost."""
    if not again and not any(job.cfg.resume for job in queue):
        return list(queue)
    remaining_jobs = []
    for job in queue:
        folder = job.folder / "result"
        result_folder.clear(job.folder)  # of a finished one too: its process may have died tidying up
        problem = result_folder.problem(folder, job.key)
        if problem is None and job.cfg.trust:
            problem = job_trust.problem(folder, job.cfg)
        if problem is not None:
            remaining_jobs.append(job)
            if folder.exists():
                terminal.say(f"again     {job.name}: {problem}")
            continue
        _results[folder] = result_folder.read(folder)
        if reason := failure(_results[folder]):
            report_failure(job, reason, failed)
    return remaining_jobs


def log_missing(
    sweep: str, results: Mapping[Path, Result], tracker: Tracker, failed: Sequence[JobRun] = ()
) -> dict[str, str]:
    """Log what the tracker has not; returns the jobs that it still has not, and why.

    Args:
      sweep: its id.
      results: by result folder.
      tracker: what is to have them.
      failed: the jobs that failed and have no result.

    Raises:
      TrackingError: the tracker does not answer.
    """
    queue = logging_queue.of(tracker)
    queue.drain()
    states = queue.call(lambda: tracker.states(sweep))
    for run in itertools.chain((run_of(sweep, *each) for each in results.items()), failed):
        logged = states.get((run.job, run.key))
        if logged != JobState("FAILED" if run.failure else "FINISHED", run.failure or ""):
            queue.add(run)
    unlogged = queue.drain()
    return {job: reason for (of, job, _), reason in unlogged.items() if of == sweep}
