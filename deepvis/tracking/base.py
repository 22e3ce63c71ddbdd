"""The protocol of a tracker.

A tracker opens a run for a job, logs the job's result to it, and closes a sweep. Several runs are open at
once, so each is named by its id.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Pictures, Result


class Tracker(Protocol):
    """Where the jobs of a sweep are logged."""

    def start(self, sweep: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Open a run for a job, and return its id."""
        ...

    def finish(
        self, run: str, result: Result, folder: Path, failure: str | None, pictures: Pictures | None = None
    ) -> None:
        """Log a result and its folder to a run, and end the run: FINISHED, or FAILED with a reason.

        The pictures are given where they are in memory.
        """

    def end(self, run: str, status: str, reason: str) -> None:
        """End a run that has no result: FAILED or KILLED."""

    def states(self, sweep: str) -> dict[str, JobState]:
        """How far a sweep's jobs are, by the name of their folder; FINISHED counts before RUNNING."""
        ...

    def mend(self, sweep: str, is_running: Callable[[str], bool]) -> None:
        """End as KILLED the runs that are open though their process is gone."""

    def close(
        self, sweep: str, results: Mapping[str, Result], files: Iterable[Path], tags: Mapping[str, str]
    ) -> str | None:
        """Make the sweep's own run and view; return the view's address, where there is one.

        Results are by the name of the job's folder, at least one; files and tags are the sweep's.
        """


def furthest(states: Iterable[tuple[str, JobState]]) -> dict[str, JobState]:
    """A job may have several runs, all but one of them failed or killed."""
    order = ("KILLED", "FAILED", "RUNNING", "FINISHED")
    return dict(sorted(states, key=lambda pair: order.index(pair[1].status)))
