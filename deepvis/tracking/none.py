"""Nothing is tracked beyond the result folders."""

from dataclasses import dataclass, field
from typing import Any

from deepvis.results.manifest import JobState


@dataclass(frozen=True)
class NoTracker:
    """Keeps runs in memory until its process ends, for tests and for jobs that need no tracking."""

    runs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # by job folder and key
    place: str = "tracker=none"
    patience: float = 5
    timeout: float = 0
    writers: int = 1

    def obstacle(self):
        return "no answer"

    def load(self):
        return None

    def log(self, run):
        self.runs[run.job, run.key] = {
            "sweep": run.sweep, "name": run.name, "params": dict(run.params), "tags": dict(run.tags),
            "status": "FAILED" if run.failure else "FINISHED", "reason": run.failure or "",
            "folder": run.folder / "result" if run.result else None,
        }  # fmt: skip

    def log_analysis(self, run):
        self.runs[run.kind, run.id] = {
            "name": run.name,
            "params": dict(run.params),
            "metrics": dict(run.metrics),
        }

    def states(self, sweep):
        return {at: JobState(run["status"], run["reason"]) for at, run in self.runs.items()}

    def close(self, sweep, results, files, tags):
        return None
