"""A client of a store that is known to be whole: MLflow, which takes seconds, is imported on first use."""

import importlib.util
import re
import sqlite3
import threading
from pathlib import Path
from typing import Any

from deepvis.tracking import database

PATIENCE = 20.0  # s for which a lock is waited for, as MLflow does
VERSIONS = "store/db_migrations/versions"  # in MLflow's folder: a file for each change of its tables
REVISION = re.compile(r"^(down_revision|revision)\b[^=\n]*=(.*)$", re.M)
QUERY = """
SELECT experiment_id, lifecycle_stage, (SELECT group_concat(version_num) FROM alembic_version)
FROM experiments WHERE name = ?
"""


class LateClient:
    """An ``MlflowClient`` that is made when one of its names is asked for, by whichever thread is first."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._made: list[Any] = []
        self._lock = threading.Lock()

    def load(self) -> Any:
        """The client; it is made where it is not yet."""
        with self._lock:
            if not self._made:
                from mlflow import MlflowClient

                self._made.append(MlflowClient(tracking_uri=self._uri))
        return self._made[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.load(), name)


def experiment_id(file: Path, experiment: str) -> str | None:
    """The id of an active experiment in a database that the installed MLflow takes as it is.

    Args:
      file: the database.
      experiment: its name.

    Returns:
      The id; None where MLflow has to look itself: it would make or refuse something.

    Raises:
      sqlite3.OperationalError: another process holds the database.
    """
    if not file.exists() or (expected := _revision()) is None:
        return None
    try:
        with database.opened(file, timeout=PATIENCE) as opened:
            rows = opened.execute(QUERY, (experiment,)).fetchall()
    except sqlite3.Error as err:
        if "locked" in str(err):
            raise
        return None  # no table of that name: new, or of something else
    if len(rows) != 1 or tuple(rows[0][1:]) != ("active", expected):
        return None
    return str(rows[0][0])


def _revision() -> str | None:
    """The revision of the tables that the installed MLflow expects: the one after which there is no other."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        return None
    known: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for file in Path(spec.origin).parent.joinpath(VERSIONS).glob("*.py"):
        for key, value in REVISION.findall(file.read_text(encoding="utf-8")):
            known[key] |= set(re.findall(r"\w{6,}", value))
    last = known["revision"] - known["down_revision"]
    return last.pop() if len(last) == 1 else None
