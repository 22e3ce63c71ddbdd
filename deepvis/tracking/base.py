"""The protocol of a tracker.

A tracker is filled from result folders: logging a job is idempotent, so it may be stopped or fail anywhere
and be repeated. A job has one run, whatever became of earlier attempts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deepvis.config import params
from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Pictures, Result


@dataclass(frozen=True)
class JobRun:
    """What the run of a job holds, once the job has ended."""

    sweep: str
    job: str  # name of the job's folder
    key: str  # the job's hash; together these three name the run
    name: str
    params: Mapping[str, params.Value]
    tags: Mapping[str, str]
    failure: str | None  # why the job failed; it may have a result nevertheless
    folder: Path  # the job's
    result: Result | None = None
    pictures: Pictures | None = None  # where they are in memory


@dataclass(frozen=True)
class AnalysisRun:
    """What the run of an analysis holds, such as of natural examples."""

    kind: str  # the command
    id: str  # its folder's name
    name: str
    params: Mapping[str, params.Value]
    metrics: Mapping[str, float]
    folder: Path


class Tracker(Protocol):
    """Where the jobs of a sweep are logged."""

    @property
    def place(self) -> str:
        """What a person calls it."""
        ...

    @property
    def patience(self) -> float:
        """Seconds after which a person is told that it does not answer."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds after which an outage is not waited for any longer."""
        ...

    @property
    def writers(self) -> int:
        """How many jobs may be logged side by side."""
        ...

    def obstacle(self) -> str:
        """What keeps it from answering, as far as that can be seen."""
        ...

    def load(self) -> None:
        """Import what a call needs: that takes seconds in which nobody waits for the store."""

    def log(self, run: JobRun) -> None:
        """Make the job's one run hold this, and end it: FINISHED, or FAILED with a reason."""

    def log_analysis(self, run: AnalysisRun) -> None:
        """Make a run that holds an analysis, and end it."""

    def states(self, sweep: str) -> dict[tuple[str, str], JobState]:
        """How far the runs of a sweep are, by job folder's name and key."""
        ...

    def close(
        self, sweep: str, results: Mapping[Path, Result], files: Iterable[Path], tags: Mapping[str, str]
    ) -> str | None:
        """Make the sweep's own run and view; return the view's address, where there is one.

        Runs that a killed process left open end as KILLED, and of several runs of a job one stays.

        Results are by result folder, at least one; files and tags are the sweep's.
        """
