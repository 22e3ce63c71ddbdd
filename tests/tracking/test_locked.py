"""Laws of a database that is locked, deleted or moved: told, waited for, and filled afterwards."""

import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deepvis.core.errors import TrackingError
from deepvis.sweeps import logging_queue
from deepvis.tracking import mlflow, runs, store
from deepvis.tracking.base import JobRun


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database that MLflow made, which takes it seconds."""
    folder = tmp_path_factory.mktemp("empty")
    opened(folder / "mlflow.db")
    return folder / "mlflow.db"


@pytest.fixture
def file(empty, tmp_path):
    file = tmp_path / "mlruns/mlflow.db"
    file.parent.mkdir()
    shutil.copyfile(empty, file)
    return file


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    monkeypatch.setattr(logging_queue, "PAUSES", (0.05, 0.1))


def opened(file: Path, timeout: float = 120) -> mlflow.Mlflow:
    uri, artifacts = f"sqlite:///{file}", f"{file.parent}/artifacts"
    return replace(mlflow.mlflow(uri, artifacts, "deepvis", timeout), patience=0.3)


@contextmanager
def locked(file: Path):
    """As by another process: nobody reads or writes."""
    with closing(sqlite3.connect(file, check_same_thread=False)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield database
        database.rollback()


def job(number: int) -> JobRun:
    return JobRun("s", f"{number}_a", f"key{number}", "a", {"seed": number}, {}, "none", Path("nowhere"))


def logged(opened: mlflow.Mlflow) -> list:
    found = runs.search(opened.client, opened.experiment_id, "tags.sweep = 's'")
    return sorted((run.at[0], run.status, run.params["seed"]) for run in found)


def test_a_locked_database_is_told_and_waited_for_and_the_sweep_goes_on(file, capfd):
    opened_store = opened(file)
    queue = logging_queue.of(opened_store)
    with locked(file):
        begun = time.monotonic()
        for number in range(3):
            queue.add(job(number))
        assert time.monotonic() - begun < 60  # SQLite would wait 20 s for each
        said, deadline = "", time.monotonic() + 60
        while "does not answer" not in said:
            assert time.monotonic() < deadline, said
            said += capfd.readouterr().err
            time.sleep(0.05)
    assert queue.drain() == {}
    said += capfd.readouterr().err
    assert "mlflow.db does not answer for 0.3 s: it is locked by another process" in said
    assert "mlflow.db answers again" in said
    assert logged(opened_store) == [(f"{i}_a", "FAILED", str(i)) for i in range(3)]


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_database_that_goes_is_not_made_anew_and_is_filled_when_it_is_back(how, file, capfd):
    opened_store = opened(file, timeout=0.3)
    queue = logging_queue.of(opened_store)
    queue.add(job(0))
    assert queue.drain() == {}
    kept = file.with_name("kept.db")
    shutil.copyfile(file, kept) if how == "deleted" else file.rename(kept)
    file.unlink(missing_ok=True)
    queue.add(job(1))
    assert [at for _, at, _ in queue.drain()] == ["1_a"]
    said = capfd.readouterr().err
    assert "mlflow.db is gone" in said and "given up after 0.3 s" in said
    assert not file.exists()  # SQLite would make an empty one
    kept.rename(file)
    queue.next_attempt = 0
    queue.add(job(1))
    assert queue.drain() == {}
    assert logged(opened_store) == [(f"{i}_a", "FAILED", str(i)) for i in range(2)]


def test_another_database_in_its_place_is_filled_whole(file, empty):
    """It was deleted, and another process has made it anew: what was known of the old one is forgotten."""
    opened_store = opened(file)
    opened_store.log(job(0))
    file.unlink()
    shutil.copyfile(empty, file)
    for number in range(2):
        opened_store.log(job(number))
    assert logged(opened_store) == [(f"{i}_a", "FAILED", str(i)) for i in range(2)]


def test_opening_a_locked_database_says_so_and_waits(file, monkeypatch, capfd):
    monkeypatch.setattr(store, "PATIENCE", (0.2, 0.2))
    with locked(file) as database:
        threading.Timer(2, database.rollback).start()
        again = opened(file)
        said = capfd.readouterr().err
    assert "mlflow.db does not answer for 0.2 s: it is locked by another process" in said
    assert again.experiment_id
    opened(file)
    assert "does not answer" not in capfd.readouterr().err


def test_a_server_that_hangs_at_the_start_is_told_and_given_up(monkeypatch, capfd):
    monkeypatch.setattr(store, "PATIENCE", (0.2, 0.2))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TrackingError, match="cannot open this tracking store"):
            mlflow.mlflow(uri, "", "deepvis", 0)
    assert f"{uri} does not answer for 0.2 s" in capfd.readouterr().err
