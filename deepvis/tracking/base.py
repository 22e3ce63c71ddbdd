"""What the sweeps ask of a tracker.

A tracker opens a run for a job, fills it from the job's result folder, and closes a sweep. Several runs are
open at once, so everything goes by run id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from deepvis.results.manifest import JobState


class Tracker(Protocol):
    """What the harness asks of a tracker."""

    def start(self, sweep: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Open a run for a job, and return its id."""

    def finish(self, run: str, folder: Path, failure: str | None) -> None:
        """Fill a run from a result folder, and end it: FINISHED, or FAILED with a reason."""

    def end(self, run: str, status: str, reason: str) -> None:
        """End a run that has no result: FAILED or KILLED."""

    def states(self, sweep: str) -> dict[str, JobState]:
        """How far a sweep's jobs are, by the name of their folder; FINISHED counts before RUNNING."""

    def mend(self, sweep: str, alive: Callable[[str], bool]) -> None:
        """End as KILLED the runs that are open though their process is gone."""

    def close(
        self, sweep: str, folders: Sequence[Path], files: Iterable[Path], tags: Mapping[str, str]
    ) -> str | None:
        """Make the sweep's own run and view; return the view's address, where there is one."""


def furthest(seen: Iterable[tuple[str, JobState]]) -> dict[str, JobState]:
    """A job may have several runs, all but one of them failed or killed."""
    order = ("KILLED", "FAILED", "RUNNING", "FINISHED")
    return dict(sorted(seen, key=lambda pair: order.index(pair[1].status)))
