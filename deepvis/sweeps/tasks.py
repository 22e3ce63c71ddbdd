"""Tasks: the jobs of a sweep in groups, one for each worker of a launcher; a lost one is run again.

Hydra's launchers run one function for each list of overrides. Here that function runs a group of jobs, those
with one static config in one graph. Where a worker is lost (killed, out of memory, its machine gone), joblib
ends its other workers, submitit raises while the others go on, and Ray runs the task again. So a round of
tasks has a folder, in which each task that begins writes a file. A round ends with the removal of its folder:
a task that begins later does nothing. The jobs without a result are then in the next round.
"""

import itertools
import os
import secrets
import shutil
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from deepvis.ascent import specs
from deepvis.config.compose import Plan, SweepComposer
from deepvis.core import terminal
from deepvis.core.errors import one_line
from deepvis.results import manifest, result_folder
from deepvis.sweeps import events, jobs, launcher, process_locks, search
from deepvis.sweeps.jobs import Job
from deepvis.sweeps.preflight import job_of

ROUNDS = (
    3  # that a job may be in; in the last each is launched by itself, so that it is lost by its own fault
)
ROUND = ".round."  # begins the name of a round's folder
ENVIRONMENT = ("DEEPVIS_SWEEP", "DEEPVIS_SWEPT", "DEEPVIS_FOLDER")  # from the preflight to other processes


@dataclass(frozen=True)
class Task:
    """Hydra's task function in a worker: (number of the task) -> its jobs are run."""

    composer: SweepComposer
    folder: Path  # of the sweep
    round: str  # name of the round's folder
    jobs: Sequence[Sequence[tuple[int, Sequence[str]]]]  # number and overrides of each, by task
    environment: Mapping[str, str]

    def __call__(self, cfg: DictConfig) -> dict[int, str]:
        """Returns the numbers of the jobs that failed, and why."""
        os.environ.update(self.environment)
        hydra = HydraConfig.get()
        terminal.take(Path(hydra.runtime.output_dir) / "deepvis.log")
        terminal.share()
        process_locks.sign(
            self.folder
        )  # before the round is looked at: whoever ends it waits for this process
        try:
            began = self.folder / self.round / str(hydra.job.num)
            if not began.parent.is_dir():
                return {}
            again = began.exists()
            began.touch()
            numbered = self.jobs[hydra.job.num]
            queue = [job_of(self.composer.plan(overrides, number)) for number, overrides in numbered]
            failed = launcher.run(queue, self.folder, again)
            return {n: failed[job.folder] for (n, _), job in zip(numbered, queue, strict=True)
                    if job.folder in failed}  # fmt: skip
        finally:
            process_locks.tidy(self.folder)  # a worker may outlive its task


# (task function, folder of each task) -> what Hydra's launcher returns
Start = Callable[[Task, Sequence[Path]], Sequence[JobReturn]]


@dataclass(frozen=True)
class Launch:
    """The launch of some jobs of a sweep on the workers of another launcher."""

    composer: SweepComposer
    folder: Path  # of the sweep
    workers: int  # that run at a time
    start: Start

    def launch(
        self, plans: Sequence[Plan], overrides: Sequence[Sequence[str]], first: int
    ) -> list[JobReturn]:
        """Run jobs; one that failed raises `ReportedError` when its value is read.

        Args:
          plans: of the jobs, in order.
          overrides: of each, as a sweeper gives them.
          first: number of the first job in the sweep.
        """
        terminal.take(self.folder / "deepvis.log")
        for left in self.folder.glob(f"{ROUND}*"):  # of a process that was killed
            shutil.rmtree(left)
        queue = [job_of(plan) for plan in plans]
        search.check_drawn(self.folder, queue, first)
        manifest.add_jobs(self.folder, [jobs.manifest_entry(job) for job in queue])
        failed: dict[int, str] = {}
        waiting = list(range(len(queue)))
        if queue[0].cfg.resume:
            waiting = self._waiting(queue, waiting, failed)
        for number in range(ROUNDS):
            is_last = number == ROUNDS - 1
            lost: list[int] = []
            for group in [[i] for i in waiting] if is_last else [waiting] if waiting else []:
                lost += self._round(queue, overrides, first, group, failed)
            waiting = self._waiting(queue, lost, failed) if lost else []
            if waiting and not is_last:
                terminal.error(
                    f"a worker was lost: {len(waiting)} of {len(queue)} jobs have no result and are run again"
                )
        for i in waiting:
            failed[i] = f"its worker was lost in {ROUNDS} rounds; the log of its system may say why"
            terminal.error(f"{queue[i].name}: {failed[i]}")
        by_folder = {queue[i].folder: reason for i, reason in failed.items()}
        return launcher.returns(plans, queue, by_folder)

    def _round(
        self, queue: Sequence[Job], overrides: Sequence[Sequence[str]], first: int, waiting: Sequence[int],
        failed: dict[int, str],
    ) -> Sequence[int]:  # fmt: skip
        """Hand out jobs once; adds those that failed, and returns those of which nothing was heard."""
        groups = split(queue, waiting, self.workers)
        folder = self.folder / f"{ROUND}{secrets.token_hex(3)}"
        folder.mkdir()
        task = Task(
            self.composer, self.folder, folder.name,
            [[(first + i, overrides[i]) for i in group] for group in groups],
            {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        )  # fmt: skip
        try:
            returned = self.start(task, [queue[group[0]].folder for group in groups])
        except Exception:
            if not any(folder.iterdir()):  # no task has begun: the launcher itself failed
                raise
            traceback.print_exc()  # to the log
            shutil.rmtree(folder)
            self._wait_for_others()
            return waiting
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for group, each in zip(groups, returned, strict=True):
            if each.status == JobStatus.COMPLETED:
                failed |= {number - first: reason for number, reason in each.return_value.items()}
            else:
                reason = one_line(each._return_value)
                failed |= {i: reason for i in group if not _is_finished(queue[i])}
        return ()

    def _waiting(self, queue: Sequence[Job], lost: Sequence[int], failed: dict[int, str]) -> list[int]:
        """Of these jobs those that have no result and have not failed."""
        reasons: dict[Path, str] = {}
        remaining = events.remaining([queue[i] for i in lost], reasons, again=True)
        failed |= {i: reasons[queue[i].folder] for i in lost if queue[i].folder in reasons}
        folders = {job.folder for job in remaining}
        return [i for i in lost if queue[i].folder in folders]

    def _wait_for_others(self) -> None:
        """Wait until no task of the round that was left runs: it would share its jobs with the next."""
        own, began, told = process_locks.sign(self.folder), time.monotonic(), False
        while process_locks.running(
            self.folder, [token for token in process_locks.tokens(self.folder) if token != own]
        ):
            if not told and time.monotonic() - began > 5:
                told = True
                terminal.say("waiting   for the other workers of the sweep")
            time.sleep(0.2)


def split(queue: Sequence[Job], waiting: Sequence[int], workers: int) -> list[list[int]]:
    """Jobs in as many groups as there are workers, of equal size; those with one static config together."""
    order = {config: n for n, config in reversed(list(enumerate(map(_static, queue))))}
    by_config = sorted(waiting, key=lambda i: (order[_static(queue[i])], i))
    count = min(workers, len(by_config))
    cuts = [n * len(by_config) // count for n in range(count + 1)]
    return [by_config[a:b] for a, b in itertools.pairwise(cuts)]


def _static(job: Job) -> specs.StaticConfig:
    return specs.static_config(job.cfg)


def _is_finished(job: Job) -> bool:
    return result_folder.problem(job.folder / "result", job.key) is None
