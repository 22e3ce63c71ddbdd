"""The database of a store in a file, opened without MLflow, whose import takes seconds."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

FINISHED = """
SELECT count(DISTINCT job.value) FROM tags sweep JOIN runs ON runs.run_uuid = sweep.run_uuid
JOIN tags job ON job.run_uuid = sweep.run_uuid AND job.key = 'job'
WHERE sweep.key = 'sweep' AND sweep.value = ? AND status = 'FINISHED' AND lifecycle_stage = 'active'
"""


def opened(file: Path, timeout: float = 5, mode: str = "rw") -> closing[sqlite3.Connection]:
    """A database that exists; SQLite makes none.

    Args:
      file: of the database.
      timeout: seconds for which a lock is waited for.
      mode: ``ro`` or ``rw``. To be written is the rule: what a killed process had half committed is undone by
        whoever opens it next.
    """
    return closing(sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=timeout))


def finished_jobs(file: Path, sweep: str) -> int | None:
    """How many jobs of a sweep have a finished run; None where the database does not say."""
    try:
        with opened(file, timeout=1, mode="ro") as database:
            ((count,),) = database.execute(FINISHED, (sweep,)).fetchall()
    except sqlite3.Error:
        return None
    return count
