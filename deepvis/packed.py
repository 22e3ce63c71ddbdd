"""Packed: all jobs of a sweep -> one call of the harness, and what Hydra wants to know of each."""

import os
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from deepvis import composer, errors, jobs, lean, ledger, outcome, terminal
from deepvis.preflight import job_of, tracker_of


def launch(
    loader: ConfigLoader, whole: DictConfig, every: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Run the jobs that a sweeper asks for.

    Args:
      loader: Hydra's.
      whole: the sweep's config.
      every: overrides, one list a job.
      first: number of the first job, for a sweeper that asks more than once.

    Returns:
      One a job, in that order; a failed one raises `errors.ReportedError` when it is read.
    """
    folder = Path(whole.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    terminal.take(folder / "deepvis.log")
    queue, returns = [], []
    for number, overrides in enumerate(every, start=first):
        plan = composer.plan(loader, whole, overrides, number)
        queue.append(job_of(plan))
        plan.folder.mkdir(parents=True, exist_ok=True)
        returns.append(JobReturn(overrides=list(overrides), cfg=plan.cfg, working_dir=str(Path.cwd())))
    ledger.enlist(folder, [jobs.listed(job) for job in queue])
    lean.load()  # TensorFlow, now that nothing else can be wrong
    from deepvis import harness

    lost = harness.run(queue, tracker_of(queue[0].cfg), os.environ["DEEPVIS_SWEEP"])
    for job, told in zip(queue, returns, strict=True):
        if job.folder in lost:
            told.status, told.return_value = JobStatus.FAILED, errors.ReportedError(job.name)
        else:
            told.status = JobStatus.COMPLETED
            told.return_value = outcome.value(job.folder / "result", job.cfg.objective_value)
    return returns
