"""Packed: all jobs of a sweep -> one call of the harness, and what Hydra wants to know of each."""

import os
from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from deepvis.ascent import backend
from deepvis.config import compose
from deepvis.config.schema import plain
from deepvis.core import terminal
from deepvis.core.errors import ReportedError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import jobs
from deepvis.sweeps.preflight import job_of, tracker_of


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
      One a job, in that order; a failed one raises `ReportedError` when it is read.
    """
    folder = Path(whole.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    terminal.take(folder / "deepvis.log")
    queue, returns = [], []
    for number, overrides in enumerate(every, start=first):
        plan = compose.plan(loader, whole, overrides, number)
        queue.append(job_of(plan))
        plan.folder.mkdir(parents=True, exist_ok=True)
        returns.append(JobReturn(overrides=list(overrides), cfg=plan.cfg, working_dir=str(Path.cwd())))
    manifest.add_jobs(folder, [jobs.listed(job) for job in queue])
    backend.load()  # TensorFlow, now that nothing else can be wrong
    from deepvis.sweeps import runner

    lost = runner.run(queue, tracker_of(plain(queue[0].cfg.tracker)), os.environ["DEEPVIS_SWEEP"])
    for job, told in zip(queue, returns, strict=True):
        if job.folder in lost:
            told.status, told.return_value = JobStatus.FAILED, ReportedError(job.name)
        else:
            told.status = JobStatus.COMPLETED
            told.return_value = result_folder.value(job.folder / "result", job.cfg.objective_value)
    return returns
