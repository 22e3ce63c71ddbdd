"""Nothing is tracked beyond the result folders."""

from dataclasses import dataclass, field
from typing import Any

from deepvis.results.manifest import JobState
from deepvis.tracking.base import furthest


@dataclass(frozen=True)
class NoTracker:
    """Keeps runs in memory until its process ends, for tests and for jobs that need no tracking."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def start(self, sweep, name, params, tags):
        run = f"run-{len(self.runs)}"
        self.runs[run] = {"sweep": sweep, "name": name, "params": dict(params), "tags": dict(tags),
                          "status": "RUNNING"}  # fmt: skip
        return run

    def finish(self, run, result, folder, failure, pictures=None):
        self.runs[run] |= {"status": "FAILED" if failure else "FINISHED", "folder": folder}

    def end(self, run, status, reason):
        self.runs[run] |= {"status": status, "reason": reason}

    def states(self, sweep):
        return furthest(
            (run["tags"]["job"], JobState(run["status"], run.get("reason", ""))) for run in self.runs.values()
        )

    def mend(self, sweep, is_running):
        pass

    def close(self, sweep, results, files, tags):
        return None
