"""Packed: all jobs of a sweep -> one call of the runner, and what Hydra expects to get of each."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus

from deepvis.config.compose import Plan
from deepvis.config.schema import plain
from deepvis.core import terminal
from deepvis.core.errors import ReportedError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import amount, jobs, runner, search
from deepvis.sweeps.jobs import Job
from deepvis.sweeps.preflight import job_of, sweep_id, tracker_of


def launch(plans: Sequence[Plan], folder: Path, first: int) -> list[JobReturn]:
    """Run the jobs that a sweeper asks for; one that failed raises `ReportedError` when its value is read.

    Args:
      plans: of the jobs, in order.
      folder: of the sweep.
      first: number of the first job in the sweep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    terminal.take(folder / "deepvis.log")
    queue = [job_of(plan) for plan in plans]
    search.check_drawn(folder, queue, first)
    return returns(plans, queue, run(queue, folder))


def returns(plans: Sequence[Plan], queue: Sequence[Job], failed: Mapping[Path, str]) -> list[JobReturn]:
    """What Hydra expects to get of jobs, some of which failed."""
    found = []
    for plan, job in zip(plans, queue, strict=True):
        returned = JobReturn(overrides=list(plan.overrides), working_dir=str(Path.cwd()))
        if job.folder in failed:
            returned.status, returned.return_value = JobStatus.FAILED, ReportedError(job.name)
        else:
            returned.status = JobStatus.COMPLETED
            returned.return_value = result_folder.value(job.folder / "result", job.cfg.objective_value)
        found.append(returned)
    return found


def run(queue: Sequence[Job], folder: Path, again: bool = False) -> dict[Path, str]:
    """Run jobs of a sweep; returns the folders of those that failed, and why.

    Args:
      queue: the jobs.
      folder: of the sweep.
      again: whether another process, which is gone, may have run some of them.
    """
    manifest.add_jobs(folder, [jobs.manifest_entry(job) for job in queue])
    for job in queue:
        job.folder.mkdir(parents=True, exist_ok=True)
    tracker = tracker_of(plain(queue[0].cfg.tracker))
    expected = functools.partial(amount.expected, outputs=folder.parent)
    return runner.run(queue, tracker, sweep_id(), again, expected)
