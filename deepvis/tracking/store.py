"""An MLflow store: opened once, safely, or refused in one line."""

import math
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from deepvis.core import credentials, files, terminal
from deepvis.core.errors import ConfigError, TrackingError
from deepvis.tracking import database, late_client, moved_store

PATIENCE = (5.0, 10.0)  # seconds, for a file and for a server
LOCKED = 0.5  # seconds between attempts to open a locked database


def check_settings(uri: Any, experiment: Any, timeout: Any) -> None:
    """Refuse settings that are not of their kind, as a `ConfigError`."""
    for key, value in {"uri": uri, "experiment": experiment}.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f"tracker.{key}={value}: expected a text")
    is_time = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_time or not 0 <= timeout < math.inf:
        raise ConfigError(f"tracker.timeout={timeout}: expected seconds, 0 or more")


def connect(uri: str, artifacts: str | None, experiment: str, timeout: float = 0) -> tuple[Any, str]:
    """Open an MLflow store, making it where it does not exist; a person is told where it does not answer.

    Args:
      uri: ``sqlite:///folder/file.db`` or ``http://host:port``.
      artifacts: folder for images and files; a server decides for itself. None: the store is only read.
      experiment: name of the MLflow experiment.
      timeout: seconds for which a locked database is waited for, beyond the 20 s of MLflow itself.

    Returns:
      An ``MlflowClient``, made on its first use where the store needs nothing, and the experiment's id.

    Raises:
      TrackingError: the store cannot be opened; files made on the way are removed.
    """
    uri = credentials.taken(uri)
    # Before the import, which reads them: nothing goes to the network, nothing to the terminal.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it asks the server for the run each time
    # What was answered with an error may have been done, so nothing is repeated blindly: a run would be made
    # twice. Whoever calls repeats; see deepvis/sweeps/logging_queue.py.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    try:
        if not uri.startswith(("sqlite:///", "http://", "https://")):
            raise TrackingError("expected sqlite:///folder/file.db or http://host:port")
        if file(uri) is None and not urlsplit(uri).hostname:
            raise TrackingError("got no host, expected http://host:port")
        if file(uri) is None:
            import mlflow  # noqa: F401  its seconds are not the server's
        deadline = time.monotonic() + timeout
        with _told(uri):
            while True:
                try:
                    return _opened(uri, artifacts, experiment)
                except Exception as err:
                    if not _is_lock(err) or time.monotonic() > deadline:
                        raise
                time.sleep(LOCKED)
    except TrackingError as err:
        raise TrackingError(credentials.masked(f"tracker.uri={uri}: {err}")) from err
    except Exception as err:  # MLflow, SQLAlchemy, the disk and the network each fail in their own way
        reason = credentials.masked(str(err).strip().partition("\n")[0])
        if "mlflow db upgrade" in reason:  # MLflow's own words
            words = reason.partition(" NOTE:")[0].replace("<database_uri>", uri)
            raise TrackingError(f"tracker.uri={uri}: another version of MLflow made it: {words}") from err
        if "HTTPConnectionPool" in reason and not (said := silence(uri)).startswith("it takes"):
            reason = said  # instead of hundreds of characters
        raise TrackingError(
            f"tracker.uri={uri}: cannot open this tracking store ({reason}); "
            "check the path, or take tracker=none"
        ) from err


def _opened(uri: str, artifacts: str | None, experiment: str) -> tuple[Any, str]:
    if artifacts is None:
        return _existing(uri, experiment)
    if (local := file(uri)) is None:
        return _client(uri, experiment, None)
    return _local(uri, local, Path(artifacts), experiment)


def _is_lock(err: BaseException | None) -> bool:
    """Whether another process keeps a database: SQLAlchemy's error and MLflow's have SQLite's as a cause."""
    while err is not None and not isinstance(err, sqlite3.OperationalError):
        err = getattr(err, "orig", None) or err.__cause__ or err.__context__
    return err is not None and "locked" in str(err)


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Say it where opening a store takes long."""

    ended = threading.Event()
    local, pause = file(uri), patience(uri)

    def watch() -> None:
        waited = 0.0
        while not ended.wait(pause):
            waited += pause
            reason = silence(uri) if local is None else obstacle(local)
            if local is None or "locked" in reason:  # else it is being made, or MLflow is slow
                place = uri if local is None else local.name
                terminal.error(f"{place} does not answer for {waited:g} s: {reason}; it is waited for")
                return

    threading.Thread(target=watch, name="deepvis-opening", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _local(uri: str, file: Path, artifacts: Path, experiment: str) -> tuple[Any, str]:
    if file.exists() and not _is_sqlite(file):
        raise TrackingError(f"{file} is not an SQLite database; move it away or choose another file")
    _refuse_foreign(file)
    lock = file.with_name(f".{file.name}.lock")
    new = [p for p in (lock, file, *(q for q in (file.parent, *file.parent.parents))) if not p.exists()]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # filelock waits for ever where it cannot make its file
        # Processes that create one store at once crash each other in its migrations.
        with FileLock(lock):
            files.remove_partials(file.parent)
            if not file.exists():
                _make(file)
            moved_store.adopt(file, artifacts.resolve(), experiment)
            if (known := late_client.experiment_id(file, experiment)) is not None:
                opened: tuple[Any, str] = late_client.LateClient(uri), known
            else:
                opened = _client(uri, experiment, artifacts.resolve().as_uri())
        artifacts.mkdir(parents=True, exist_ok=True)
        return opened
    except BaseException:
        for path in new:
            with suppress(OSError):  # not there, or another process has put something in it
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make(file: Path) -> None:
    """Make an empty store, whole or not at all: of half of its tables MLflow could make nothing any more."""
    from mlflow import MlflowClient

    folder = files.partial(file)  # SQLite has a journal beside its file
    try:
        folder.mkdir()
        MlflowClient(tracking_uri=f"sqlite:///{folder / file.name}").search_experiments(max_results=1)
        files.sync(folder / file.name)
        (folder / file.name).replace(file)
        files.sync(file.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _existing(uri: str, experiment: str) -> tuple[Any, str]:
    if local := file(uri):
        if not _is_sqlite(local):
            raise TrackingError("there is no such SQLite database")
        _refuse_foreign(local)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise TrackingError(f"it has no experiment {experiment!r}")
    return client, found.experiment_id


def _client(uri: str, experiment: str, artifacts: str | None) -> tuple[Any, str]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    if client.get_experiment_by_name(experiment) is None:
        with suppress(MlflowException):  # another process was faster
            client.create_experiment(experiment, artifact_location=artifacts)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise TrackingError(f"tracker.experiment={experiment!r} could not be created")
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"its experiment {experiment!r} was deleted; restore it in the UI, or name another with "
            "tracker.experiment=..."
        )
    return client, found.experiment_id


def file(uri: str) -> Path | None:
    """The database file of a store without a server."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def patience(uri: str) -> float:
    """Seconds after which a person is told that a store does not answer."""
    return PATIENCE[0 if uri.startswith("sqlite:///") else 1]


def inode(file: Path) -> int:
    """Of a database, which tells it from another of the same name.

    Raises:
      TrackingError: it was deleted or moved, and SQLite would make an empty one.
    """
    try:
        return file.stat().st_ino
    except FileNotFoundError as err:
        raise TrackingError(f"{file} is gone; it was there when the sweep began") from err


def load(client: Any) -> None:
    """Make a client that is not made yet, with MLflow's import."""
    if isinstance(client, late_client.LateClient):
        client.load()


def disconnect(client: Any) -> None:
    """Close the connections of a client to a database whose file is another one now."""
    client._tracking_client.store.engine.dispose()  # MLflow has no public way; they last as long as it


def obstacle(file: Path) -> str:
    """What keeps a database from answering."""
    if not file.is_file():
        return "it was deleted or moved"
    try:
        with database.opened(file, timeout=0) as probe:
            probe.execute("BEGIN IMMEDIATE")
            probe.rollback()
    except sqlite3.Error as err:
        return "it is locked by another process" if "locked" in str(err) else str(err)
    return "no other process holds it: its disk is slow, or this machine is busy"


def silence(uri: str) -> str:
    """What keeps a server from answering, as far as a connection tells."""
    address = urlsplit(uri)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=1):
            return "it takes connections and sends no reply"
    except socket.gaierror:
        return f"no address is known for {address.hostname}"
    except TimeoutError:
        return f"{address.hostname} takes no connection"
    except OSError as err:
        return f"{address.hostname}, port {port}: {(err.strerror or str(err)).lower()}"


def _refuse_foreign(file: Path) -> None:
    """Refuse a database of something else: MLflow would add its tables to it.

    Raises:
      TrackingError: it has tables, and they are not MLflow's.
    """
    if not file.exists() or file.stat().st_size == 0:
        return
    with database.opened(file) as found:
        tables = [name for (name,) in found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [row[1] for row in found.execute("PRAGMA table_info(experiments)")]
    if tables and "artifact_location" not in columns:
        few = ", ".join(sorted(tables)[:3])
        raise TrackingError(
            f"{file} is the database of something else (it has the tables {few}), expected MLflow's; "
            "choose another file"
        )


def _is_sqlite(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(16) in (b"SQLite format 3\0", b"")
