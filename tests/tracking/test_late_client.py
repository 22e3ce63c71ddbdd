"""A store that exists is opened without MLflow; where MLflow would change or refuse it, MLflow opens it."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
from mlflow.store.db import utils

from deepvis.core.errors import TrackingError
from deepvis.tracking import late_client, store

OPEN = """
import sys
from deepvis.tracking import store
client, number = store.connect(sys.argv[1], sys.argv[2], "deepvis")
assert "mlflow" not in sys.modules and "sqlalchemy" not in sys.modules
assert client.get_experiment(number).name == "deepvis" and "mlflow" in sys.modules
print(number)
"""


@pytest.fixture
def made(tmp_path):
    """A store that MLflow made: its database, its address, the folder for files."""
    file = tmp_path / "mlflow.db"
    place = f"sqlite:///{file}", str(tmp_path / "artifacts")
    client, number = store.connect(*place, "deepvis")
    assert not isinstance(client, late_client.LateClient), "a new store is made by MLflow"
    store.disconnect(client)
    return file, place, number


def changed(file, statement):
    with sqlite3.connect(file) as opened:
        assert opened.execute(statement).rowcount == 1


def test_the_revision_is_the_one_that_mlflow_expects():
    assert late_client._revision() == utils._get_latest_schema_revision()


def test_a_store_that_exists_is_opened_without_mlflow_and_used_with_it(made):
    _, place, number = made
    done = subprocess.run([sys.executable, "-c", OPEN, *place], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.split() == [number], done.stderr


def test_threads_that_use_it_first_at_once_make_one_client(made, monkeypatch):
    _, place, number = made
    built = []

    class Client(mlflow.MlflowClient):
        def __init__(self, **options):
            built.append(options)
            super().__init__(**options)

    monkeypatch.setattr(mlflow, "MlflowClient", Client)
    client, _ = store.connect(*place, "deepvis")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: client.get_experiment(number).name, range(8)))
    assert found == ["deepvis"] * 8 and built == [{"tracking_uri": place[0]}]


def test_another_experiment_is_made_by_mlflow(made):
    file, place, number = made
    assert late_client.experiment_id(file, "other") is None
    client, other = store.connect(*place, "other")
    assert other != number and client.get_experiment(other).name == "other"


def test_a_deleted_experiment_is_refused_before_anything_is_computed(made):
    file, place, _ = made
    changed(file, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'deepvis'")
    assert late_client.experiment_id(file, "deepvis") is None
    with pytest.raises(TrackingError, match="was deleted"):
        store.connect(*place, "deepvis")


def test_tables_of_another_revision_are_left_to_mlflow(made):
    file, *_ = made
    changed(file, "UPDATE alembic_version SET version_num = '0584bdc529eb'")
    assert late_client.experiment_id(file, "deepvis") is None


def test_no_database_and_one_of_something_else_are_left_to_the_store(tmp_path):
    file = tmp_path / "other.db"
    assert late_client.experiment_id(file, "deepvis") is None and not file.exists()
    with sqlite3.connect(file) as opened:
        opened.execute("CREATE TABLE experiments (name)")
    assert late_client.experiment_id(file, "deepvis") is None


def test_a_database_that_another_process_holds_is_waited_for_as_before(made, monkeypatch):
    file, _, number = made
    monkeypatch.setattr(late_client, "PATIENCE", 0.1)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        late_client.experiment_id(file, "deepvis")
    holder.rollback()
    holder.close()
    assert late_client.experiment_id(file, "deepvis") == number


def test_importing_mlflow_is_no_silence_of_the_store(tmp_path, monkeypatch, capsys):
    """The import is done before the call is timed; one that fails is the call's to say."""
    from deepvis.sweeps import logging_queue
    from deepvis.tracking.none import NoTracker

    order = []

    class Slow(NoTracker):
        def load(self):
            order.append(dict(queue.calls))
            raise ImportError("no MLflow")

    queue = logging_queue.LoggingQueue(Slow())
    assert queue.call(lambda: "answered") == "answered"
    assert order[0] == {}, "no call had begun"
